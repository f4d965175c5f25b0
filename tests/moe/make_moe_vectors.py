"""Writes data/layer.safetensors and data/balance.safetensors: the whole SparseCODMoE layer and the balance loss in
float64, from DESIGN.md and ../experts/experts_oracle.py.

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


def run_layer(p, x, upstream, mode):
    norm, temperature = MODES[mode]
    leaves = {n: t.clone().requires_grad_() for n, t in p.items() if "running" not in n}
    x = x.clone().requires_grad_()
    y, logits, probs, indices, weights, running = layer(x, {**p, **leaves}, norm, temperature)
    y.backward(upstream)
    grads = {n: torch.zeros_like(t) if t.grad is None else t.grad for n, t in leaves.items()}
    result = {"output": y, "logits": logits, "probs": probs, "indices": indices, "weights": weights,
              "grad_input": x.grad, "grad": flat(grads)}
    if mode == "batch_train":
        result["after"] = flat(running)
    counts = torch.bincount(indices.flatten(), minlength=6).tolist()
    clamped = int((logits.abs() > 10).sum())
    print(f"{mode}: samples an expert {counts}, {clamped} of {logits.numel()} logits beyond the clamp")
    assert 0 in counts and clamped > 0  # both must be covered
    return {f"{mode}.{n}": t for n, t in result.items()}


def make_layer():
    g = torch.Generator().manual_seed(4)
    p = {"router.gate.weight": 2 * torch.randn(6, DIM, generator=g, dtype=torch.float64),
         "router.gate.bias": torch.randn(6, generator=g, dtype=torch.float64)}
    for e, expert in enumerate(experts_oracle.EXPERTS):
        own = experts_oracle.random_parameters(expert, DIM, g)
        p.update({f"experts.{e}.{n}": t for n, t in own.items()})
    p = {n: single(t) for n, t in p.items()}
    shape = (BATCH, DIM, HEIGHT, WIDTH)
    x, upstream = (torch.randn(shape, generator=g, dtype=torch.float64) for _ in range(2))
    x = single(x + torch.randn(BATCH, DIM, 1, 1, generator=g, dtype=torch.float64))
    upstream = single(upstream)
    tensors = {**stored({"input": x, "upstream": upstream}), **stored(p, "param.")}
    for mode in MODES:
        tensors.update(run_layer(p, x, upstream, mode))
    save(HERE / "data" / "layer.safetensors", tensors)


def balance(logits, probs, indices, coefficient, entropy, z):
    experts = probs.shape[1]
    share = torch.stack([(indices == e).double().mean() for e in range(experts)])
    imbalance = experts * sum(share[e] * probs[:, e].mean() for e in range(experts))
    h = (probs * -torch.log(probs)).sum(1).mean()
    m = logits.amax(1, keepdim=True).detach()
    lse = (logits - m).exp().sum(1).log() + m[:, 0]
    return coefficient * imbalance - entropy * h + z * (lse ** 2).mean()


def make_balance():
    g = torch.Generator().manual_seed(4)
    logits = 4 * torch.randn(7, 6, generator=g, dtype=torch.float64)
    probs = softmax(logits.clamp(-10, 10))
    indices = probs.argsort(1, descending=True)[:, :3].contiguous()
    tensors = {"logits": logits, "probs": probs, "indices": indices}
    for term, factors in TERMS.items():
        leaves = [t.clone().requires_grad_() for t in (logits, probs)]
        value = balance(*leaves, indices, *factors)
        value.backward()
        grads = [torch.zeros_like(t) if t.grad is None else t.grad for t in leaves]
        tensors.update({f"{term}.value": value, f"{term}.grad_logits": grads[0], f"{term}.grad_probs": grads[1]})
    save(HERE / "data" / "balance.safetensors", tensors)


if __name__ == "__main__":
    make_layer()
    make_balance()
