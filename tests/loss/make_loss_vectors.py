"""Writes data/structure_loss.safetensors: the structure loss in float64 by plain formulas.

Usage: python make_loss_vectors.py      (needs PyTorch and NumPy)
logits, mask (soft), and for each of CASES NAME.value and NAME.grad.
"""

import sys
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from vectors_file import save, single, stored  # noqa: E402

# name -> (bce, window, weight); the C++ test has the same table. 31 is wider than the image.
CASES = {"fixed": ("fixed", 31, 5.0), "legacy": ("legacy", 31, 5.0), "narrow": ("fixed", 5, 3.0)}


def box_mean(mask, window):
    """Zero padding counted in the mean."""
    h, w = mask.shape
    half, out = window // 2, torch.zeros_like(mask)
    for i in range(h):
        for j in range(w):
            part = mask[max(0, i - half):i + half + 1, max(0, j - half):j + half + 1]
            out[i, j] = part.sum() / window ** 2
    return out


def structure_loss(logits, mask, bce, window, weight):
    total = 0
    every = [-(m * torch.log(torch.sigmoid(z)) + (1 - m) * torch.log(torch.sigmoid(-z)))
             for z, m in zip(logits[:, 0], mask[:, 0])]
    for z, m, e in zip(logits[:, 0], mask[:, 0], every):
        w = 1 + weight * (box_mean(m, window) - m).abs()
        p = torch.sigmoid(z)
        i, u = (w * p * m).sum(), (w * (p + m)).sum()
        cross = torch.stack(every).mean() if bce == "legacy" else (w * e).sum() / w.sum()
        total = total + cross + 1 - (i + 1) / (u - i + 1)
    return total / len(every)


def main():
    g = torch.Generator().manual_seed(7)
    logits = single(3 * torch.randn(3, 1, 9, 12, generator=g, dtype=torch.float64))
    mask = torch.rand(3, 1, 9, 12, generator=g, dtype=torch.float64)
    mask[0] = (mask[0] > 0.7).double()
    mask[1] = 0
    mask = single(mask)
    tensors = stored({"logits": logits, "mask": mask})
    for name, case in CASES.items():
        leaf = logits.clone().requires_grad_()
        value = structure_loss(leaf, mask, *case)
        value.backward()
        tensors.update({f"{name}.value": value, f"{name}.grad": leaf.grad})
    save(HERE / "data" / "structure_loss.safetensors", tensors)


if __name__ == "__main__":
    main()
