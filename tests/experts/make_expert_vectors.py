"""Writes data/EXPERT_cC.safetensors: what each expert must give, by experts_oracle.py in float64.

Usage: python make_expert_vectors.py      (needs PyTorch and NumPy)
Names in a file: input, upstream (the gradient of the output), param.NAME (shared by all modes; the running statistics
belong to the batch modes); then for each mode MODE.output, MODE.grad_input, MODE.grad (all parameters in one row, in the
order of their names) and MODE.after (likewise the running statistics, where the mode updates them).
"""

import sys
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]
import experts_oracle  # noqa: E402
from vectors_file import flat, save, single, stored  # noqa: E402

# (channels, height, width, modes): 10 is divisible neither by 4 nor by 8; width 9 lets dilation 8 reach both borders.
CASES = ((10, 2, 9, ("batch_train", "batch_eval", "group", "layer")), (12, 4, 3, ("batch_train",)))


def run(expert, p, x, upstream, mode):
    leaves = {n: t.clone().requires_grad_() for n, t in p.items() if "running" not in n}
    x = x.clone().requires_grad_()
    y, running = experts_oracle.forward(expert, {**p, **leaves}, x, mode)
    y.backward(upstream)
    result = {"output": y, "grad_input": x.grad, "grad": flat({n: t.grad for n, t in leaves.items()})}
    if running:
        result["after"] = flat(running)
    return {f"{mode}.{n}": t for n, t in result.items()}


def main():
    for index, expert in enumerate(experts_oracle.EXPERTS):
        for c, h, w, modes in CASES:
            g = torch.Generator().manual_seed(100 * c + index)
            p = {n: single(t) for n, t in experts_oracle.random_parameters(expert, c, g).items()}
            x, upstream = (single(torch.randn(2, c, h, w, generator=g, dtype=torch.float64)) for _ in range(2))
            tensors = {**stored({"input": x, "upstream": upstream}), **stored(p, "param.")}
            for mode in modes:
                tensors.update(run(expert, p, x, upstream, mode))
            save(HERE / "data" / f"{expert}_c{c}.safetensors", tensors)


if __name__ == "__main__":
    main()
