"""Checks a file of `codmoe-bench layer --save-io`: computes routes and output again in plain float32 PyTorch, from the
file's own weights and input, and prints the worst deviations.

Usage: python check_layer_io.py FILE...      (needs PyTorch and NumPy)
Exit code 1 where a choice differs, or the weights or the output deviate by more than 1e-5 of their largest value.
"""

import sys
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "experts"), str(HERE.parent / "support")]
import experts_oracle  # noqa: E402
from vectors_file import load  # noqa: E402

LIMIT = 1e-5


def own(p, prefix):
    return {name.removeprefix(prefix): t for name, t in p.items() if name.startswith(prefix)}


def logits(x, p, routing, mode):
    """[B, E] of images or [B, E, H, W] of positions."""
    weight, bias = p["router.gate.weight"].flatten(1), p["router.gate.bias"]
    if routing == "global":
        return x.mean((2, 3)) @ weight.T + bias
    hidden = torch.einsum("rc,bchw->brhw", p["router.hidden.weight"].flatten(1), x)
    hidden = experts_oracle.gelu(experts_oracle.Run(p, mode).norm(hidden, "router.norm"))
    return torch.einsum("er,brhw->behw", weight, hidden) + bias.reshape(1, -1, 1, 1)


def route(x, p, meta, mode):
    """Noise is off and temperature 1 in the benchmark."""
    probs = torch.softmax(logits(x, p, meta["routing"], mode).clamp(-10, 10), 1)
    indices = probs.sort(dim=1, descending=True, stable=True)[1][:, :int(meta["top_k"])]
    chosen = probs.gather(1, indices)
    return indices, chosen / chosen.sum(1, keepdim=True)


def mix(x, p, experts, mode, indices, weights):
    """Every expert on everything, times its weight where it was chosen."""
    y = torch.zeros_like(x)
    for e, name in enumerate(experts):
        share = (weights * (indices == e)).sum(1)
        share = share.reshape(len(x), 1, *(share.shape[1:] or (1, 1)))
        y = y + share * experts_oracle.forward(name, own(p, f"experts.{e}."), x, mode)[0]
    return y


def deviation(actual, expected):
    return ((actual - expected).abs().max() / expected.abs().max()).item()


def check(path):
    tensors, meta = load(path)
    p = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    mode = "batch_eval" if meta["norm"] == "batch" else meta["norm"]
    indices, weights = route(p["input"], p, meta, mode)
    output = mix(p["input"], p, meta["experts"].split(","), mode, indices, weights)
    others = int((indices != p["topk_indices"]).sum())
    worst = {"weights": deviation(p["topk_weights"], weights), "output": deviation(p["output"], output)}
    print(f"{path}: {meta['routing']} routing, {meta['dispatch']}, {meta['dtype']}: {others} of {indices.numel()} "
          "choices differ; worst deviation "
          + ", ".join(f"{name} {value:.1e}" for name, value in worst.items()))
    return others == 0 and all(value <= LIMIT for value in worst.values())  # not a number fails


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with torch.no_grad():
        results = [check(path) for path in sys.argv[1:]]
    sys.exit(0 if all(results) else 1)
