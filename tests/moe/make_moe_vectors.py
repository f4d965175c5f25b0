"""Writes data/layer.safetensors, data/balance.safetensors and the same of spatial routing, data/spatial_layer and
data/spatial_balance: the whole SparseCODMoE layer and the balance loss in float64, from DESIGN.md and
../experts/experts_oracle.py.

Usage: python make_moe_vectors.py      (needs PyTorch and NumPy)
layer: input, upstream, param.NAME (experts.N.* and router.*); then for each mode of MODES MODE.output, MODE.logits,
MODE.probs, MODE.indices, MODE.weights, MODE.grad_input, MODE.grad and MODE.after as in make_expert_vectors.py.
balance: logits, probs, indices; then TERM.value, TERM.grad_logits, TERM.grad_probs for each of TERMS.
"""

import sys
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "experts"), str(HERE.parent / "support")]
import experts_oracle  # noqa: E402
from vectors_file import flat, save, single, stored  # noqa: E402

# name -> (norm and training, temperature); the C++ test has the same table.
MODES = {"batch_eval": ("batch_eval", 1.0), "batch_train": ("batch_train", 1.0), "group": ("group", 1.75)}
SPATIAL_MODES = {"batch_eval": ("batch_eval", 1.0), "batch_train": ("batch_train", 1.75), "layer": ("layer", 1.0)}
# name -> (coefficient, entropy, z): each term alone, and all of them.
TERMS = {"imbalance": (1.0, 0.0, 0.0), "entropy": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0), "all": (0.5, 0.25, 0.125)}
BATCH, DIM, HEIGHT, WIDTH, TOP_K = 6, 7, 3, 4, 2


def softmax(z):
    e = torch.exp(z - z.amax(1, keepdim=True))
    return e / e.sum(1, keepdim=True)


def route(x, p, temperature):
    logits = x.mean((2, 3)) @ p["router.gate.weight"].T + p["router.gate.bias"]
    probs = softmax(logits.clamp(-10, 10) / temperature)
    order = [sorted(range(probs.shape[1]), key=lambda e: (-row[e], e))[:TOP_K] for row in probs.tolist()]
    indices = torch.tensor(order)
    chosen = torch.stack([probs[b, order[b]] for b in range(len(order))])
    return logits, probs, indices, chosen / chosen.sum(1, keepdim=True)


def layer(x, p, norm, temperature):
    """Every expert sees the samples routed to it as one batch."""
    logits, probs, indices, weights = route(x, p, temperature)
    rows, running = [0] * x.shape[0], {}
    for e, expert in enumerate(experts_oracle.EXPERTS):
        prefix = f"experts.{e}."
        own = {n.removeprefix(prefix): t for n, t in p.items() if n.startswith(prefix)}
        running.update({prefix + n: t for n, t in own.items() if "running" in n})
        pairs = [(b, k) for b in range(x.shape[0]) for k in range(TOP_K) if indices[b, k] == e]
        if not pairs:
            continue
        y, after = experts_oracle.forward(expert, own, x[[b for b, _ in pairs]], norm)
        running.update({prefix + n: t for n, t in after.items()})
        for i, (b, k) in enumerate(pairs):
            rows[b] = rows[b] + weights[b, k] * y[i]
    return torch.stack(rows), logits, probs, indices, weights, running


def spatial_logits(x, p, run):
    """1x1, norm, GELU, 1x1, position by position."""
    hidden = torch.einsum("rc,bchw->brhw", p["router.hidden.weight"][:, :, 0, 0], x)
    hidden = experts_oracle.gelu(run.norm(hidden, "router.norm"))
    gate = torch.einsum("er,brhw->behw", p["router.gate.weight"][:, :, 0, 0], hidden)
    return gate + p["router.gate.bias"].reshape(1, -1, 1, 1)


def spatial_layer(x, p, norm, temperature):
    """Every expert sees the images in which some position chose it as one batch; each position mixes its own."""
    run = experts_oracle.Run(p, norm)
    logits = spatial_logits(x, p, run)
    probs = softmax(logits.clamp(-10, 10) / temperature)
    batch, experts, height, width = probs.shape
    indices = torch.zeros(batch, TOP_K, height, width, dtype=torch.int64)
    weights = torch.zeros(batch, TOP_K, height, width, dtype=x.dtype)
    positions = [(b, i, j) for b in range(batch) for i in range(height) for j in range(width)]
    for b, i, j in positions:
        row = probs[b, :, i, j].tolist()
        order = sorted(range(experts), key=lambda e: (-row[e], e))[:TOP_K]
        chosen = probs[b, order, i, j]
        indices[b, :, i, j] = torch.tensor(order)
        weights[b, :, i, j] = chosen / chosen.sum()
    y, running = torch.zeros_like(x), {n: t for n, t in p.items() if "running" in n}
    running.update(run.running)
    for e, expert in enumerate(experts_oracle.EXPERTS):
        prefix = f"experts.{e}."
        own = {n.removeprefix(prefix): t for n, t in p.items() if n.startswith(prefix)}
        images = [b for b in range(batch) if (indices[b] == e).any()]
        if not images:
            continue
        result, after = experts_oracle.forward(expert, own, x[images], norm)
        running.update({prefix + n: t for n, t in after.items()})
        for b, i, j in positions:
            for k in range(TOP_K):
                if indices[b, k, i, j] == e:
                    y[b, :, i, j] = y[b, :, i, j] + weights[b, k, i, j] * result[images.index(b), :, i, j]
    return y, logits, probs, indices, weights, running


def run_layer(forward, p, x, upstream, mode, norm, temperature):
    leaves = {n: t.clone().requires_grad_() for n, t in p.items() if "running" not in n}
    x = x.clone().requires_grad_()
    y, logits, probs, indices, weights, running = forward(x, {**p, **leaves}, norm, temperature)
    y.backward(upstream)
    grads = {n: torch.zeros_like(t) if t.grad is None else t.grad for n, t in leaves.items()}
    result = {"output": y, "logits": logits, "probs": probs, "indices": indices, "weights": weights,
              "grad_input": x.grad, "grad": flat(grads)}
    if norm == "batch_train":
        result["after"] = flat(running)
    counts = torch.stack([(indices == e).flatten(1).sum(1) for e in range(6)]).tolist()
    clamped = int((logits.abs() > 10).sum())
    print(f"{mode}: choices an expert and image {counts}, {clamped} of {logits.numel()} logits beyond the clamp")
    assert [0] * x.shape[0] in counts and clamped > 0  # an expert without images and the clamp must be covered
    return {f"{mode}.{n}": t for n, t in result.items()}


def write_layer(name, forward, modes, router, shape, g):
    """`router`: its parameters."""
    p = {f"router.{n}": t for n, t in router.items()}
    for e, expert in enumerate(experts_oracle.EXPERTS):
        own = experts_oracle.random_parameters(expert, shape[1], g)
        p.update({f"experts.{e}.{n}": t for n, t in own.items()})
    p = {n: single(t) for n, t in p.items()}
    x, upstream = (torch.randn(shape, generator=g, dtype=torch.float64) for _ in range(2))
    x = single(x + torch.randn(*shape[:2], 1, 1, generator=g, dtype=torch.float64))
    upstream = single(upstream)
    tensors = {**stored({"input": x, "upstream": upstream}), **stored(p, "param.")}
    for mode, (norm, temperature) in modes.items():
        tensors.update(run_layer(forward, p, x, upstream, mode, norm, temperature))
    save(HERE / "data" / name, tensors)


def make_layer():
    g = torch.Generator().manual_seed(4)
    router = {"gate.weight": 2 * torch.randn(6, DIM, generator=g, dtype=torch.float64),
              "gate.bias": torch.randn(6, generator=g, dtype=torch.float64)}
    write_layer("layer.safetensors", layer, MODES, router, (BATCH, DIM, HEIGHT, WIDTH), g)


def make_spatial_layer():
    g = torch.Generator().manual_seed(5)
    randn = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)
    router = {"hidden.weight": randn(2, 8, 1, 1) / 3, "norm.weight": 1 + 0.3 * randn(2), "norm.bias": randn(2),
              "norm.running_mean": randn(2), "norm.running_var": 0.3 + randn(2).abs(),
              "gate.weight": 8 * randn(6, 2, 1, 1), "gate.bias": randn(6)}
    write_layer("spatial_layer.safetensors", spatial_layer, SPATIAL_MODES, router, (3, 8, 3, 4), g)


def balance(logits, probs, indices, coefficient, entropy, z):
    experts = probs.shape[1]
    share = torch.stack([(indices == e).double().mean() for e in range(experts)])
    imbalance = experts * sum(share[e] * probs[:, e].mean() for e in range(experts))
    h = (probs * -torch.log(probs)).sum(1).mean()
    m = logits.amax(1, keepdim=True).detach()
    lse = (logits - m).exp().sum(1).log() + m[:, 0]
    return coefficient * imbalance - entropy * h + z * (lse ** 2).mean()


def write_balance(name, shape):
    g = torch.Generator().manual_seed(4)
    logits = 4 * torch.randn(shape, generator=g, dtype=torch.float64)
    probs = softmax(logits.clamp(-10, 10))
    indices = probs.argsort(1, descending=True)[:, :3].contiguous()
    tensors = {"logits": logits, "probs": probs, "indices": indices}
    for term, factors in TERMS.items():
        leaves = [t.clone().requires_grad_() for t in (logits, probs)]
        value = balance(*leaves, indices, *factors)
        value.backward()
        grads = [torch.zeros_like(t) if t.grad is None else t.grad for t in leaves]
        tensors.update({f"{term}.value": value, f"{term}.grad_logits": grads[0], f"{term}.grad_probs": grads[1]})
    save(HERE / "data" / name, tensors)


if __name__ == "__main__":
    make_layer()
    make_spatial_layer()
    write_balance("balance.safetensors", (7, 6))
    write_balance("spatial_balance.safetensors", (3, 6, 2, 3))
