"""Writes data/extra_losses.safetensors: edge and uncertainty loss and level weights in float64, by plain loops.

Usage: python make_extra_loss_vectors.py      (needs PyTorch and NumPy)
logits, mask, and NAME.value and NAME.grad for edge, uncertainty; coefficients [11]: weight 0.5, start 0.2, end 0.8, at
progress 0, 0.1 ... 1.
"""

import math
import sys
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from vectors_file import save, single, stored  # noqa: E402

SOBEL = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]


def contour(p, y, x):
    gx = sum(SOBEL[i][j] * p[y + i - 1, x + j - 1] for i in range(3) for j in range(3))
    gy = sum(SOBEL[j][i] * p[y + i - 1, x + j - 1] for i in range(3) for j in range(3))
    return torch.tanh(torch.sqrt(gx ** 2 + gy ** 2 + 1e-12))


def edge_loss(logits, mask):
    total = 0
    for z, m in zip(logits[:, 0], mask[:, 0]):
        p = 1 / (1 + torch.exp(-z))
        inner = [(y, x) for y in range(1, m.shape[0] - 1) for x in range(1, m.shape[1] - 1)]
        c = torch.stack([contour(p, *at) for at in inner])
        d = torch.stack([contour(m, *at) for at in inner])
        total = total + 1 - (2 * torch.dot(c, d) + 1) / (torch.dot(c, c) + torch.dot(d, d) + 1)
    return total / len(logits)


def uncertainty_loss(logits, _):
    p = 1 / (1 + torch.exp(-logits))
    return (4 * p * (1 - p)).sum() / p.numel()


def coefficient(progress):
    if progress <= 0.2:
        return 0.0
    return 0.5 if progress >= 0.8 else 0.5 * math.sin(math.pi / 2 * (progress - 0.2) / 0.6) ** 2


def main():
    g = torch.Generator().manual_seed(9)
    logits = single(2 * torch.randn(3, 1, 8, 11, generator=g, dtype=torch.float64))
    mask = torch.zeros(3, 1, 8, 11, dtype=torch.float64)
    mask[0, 0, 2:6, 3:9] = 1
    mask[1] = single(torch.rand(1, 8, 11, generator=g, dtype=torch.float64))
    tensors = stored({"logits": logits, "mask": mask})
    for name, loss in {"edge": edge_loss, "uncertainty": uncertainty_loss}.items():
        leaf = logits.clone().requires_grad_()
        value = loss(leaf, mask)
        value.backward()
        tensors.update({f"{name}.value": value, f"{name}.grad": leaf.grad})
    tensors["coefficients"] = torch.tensor([coefficient(i / 10) for i in range(11)], dtype=torch.float64)
    save(HERE / "data" / "extra_losses.safetensors", tensors)


if __name__ == "__main__":
    main()
