"""Random and adversarial pairs of prediction and mask, uint8, for comparing implementations of the metrics."""

import cv2
import numpy as np

# Odd, even, thin, and one beyond the largest cell of the multi-scale IoU.
SIZES = [(37, 53), (64, 48), (41, 29), (16, 90), (97, 131), (128, 128), (1, 40), (40, 1), (2, 3), (1, 1), (150, 201),
         (8, 520)]


def blobs(rng, h, w, scale, share):
    field = cv2.GaussianBlur(rng.random((h, w)), (0, 0), max(0.3, scale))
    return field > np.quantile(field, 1 - share)


def shifted(image, rng):
    return np.roll(image, tuple(rng.integers(-4, 5, 2)), (0, 1))


def one_pixel(rng, h, w):
    mask = np.zeros((h, w), bool)
    mask[rng.integers(h), rng.integers(w)] = True
    return mask


def stripes(rng, h, w):
    """Many pixels have several nearest pixels of the mask."""
    i, j = np.mgrid[:h, :w]
    step = int(rng.integers(2, 11))
    return [i % step == 1, j % step == 1, (i % step == 1) & (j % step == 1), (i + j) % step == 0][rng.integers(4)]


def disks(rng, h, w):
    mask = np.zeros((h, w), np.uint8)
    for _ in range(rng.integers(1, 6)):
        cv2.circle(mask, (int(rng.integers(w)), int(rng.integers(h))), int(rng.integers(1, 2 + min(h, w) // 4)), 1, -1)
    return mask > 0


MASKS = {
    "empty": lambda rng, h, w: np.zeros((h, w), bool),
    "full": lambda rng, h, w: np.ones((h, w), bool),
    "pixel": one_pixel,
    "noise": lambda rng, h, w: rng.random((h, w)) < 0.5,
    "sparse": lambda rng, h, w: rng.random((h, w)) < 0.02,
    "stripes": stripes,
    "blobs": lambda rng, h, w: blobs(rng, h, w, rng.uniform(1, 12), rng.uniform(0.02, 0.7)),
    "disks": disks,
    "ring": lambda rng, h, w: disks(rng, h, w) ^ disks(rng, h, w),
    "frame": lambda rng, h, w: ~np.pad(np.ones((max(h - 2, 0), max(w - 2, 0)), bool), 1)[:h, :w],
    "half": lambda rng, h, w: np.mgrid[:h, :w][rng.integers(2)] * 2 >= min(h, w),
}

PREDICTIONS = {
    "constant": lambda rng, mask: np.full(mask.shape, rng.integers(256)),
    "binary": lambda rng, mask: 255 * shifted(mask, rng),
    "two levels": lambda rng, mask: np.where(shifted(mask, rng), rng.integers(256), rng.integers(256)),
    "noise": lambda rng, mask: rng.integers(0, 256, mask.shape),
    "binary noise": lambda rng, mask: 255 * rng.integers(0, 2, mask.shape),
    "dim": lambda rng, mask: rng.integers(90, 97, mask.shape),
    "pixel": lambda rng, mask: 255 * one_pixel(rng, *mask.shape),
    "mask": lambda rng, mask: 255 * mask,
    "inverse": lambda rng, mask: 255 - 255 * mask,
    "soft": lambda rng, mask: cv2.GaussianBlur(255.0 * shifted(mask, rng), (0, 0), rng.uniform(0.5, 6)),
    "soft noise": lambda rng, mask: np.clip(
        cv2.GaussianBlur(200.0 * shifted(mask, rng), (0, 0), 2) + rng.normal(20, 15, mask.shape), 0, 255),
    "other blobs": lambda rng, mask: 255 * blobs(rng, *mask.shape, rng.uniform(1, 8), rng.uniform(0.05, 0.5)),
    "grown": lambda rng, mask: 255 * cv2.dilate(mask.astype(np.uint8), np.ones((5, 5))),
    "holed": lambda rng, mask: 255 * (mask & (rng.random(mask.shape) < 0.97)),
}


def random_pairs(n, seed):
    """(name, prediction, mask) of each; every mask meets every prediction."""
    rng = np.random.default_rng(seed)
    kinds = [(mask, pred) for mask in MASKS for pred in PREDICTIONS]
    for k in range(n):
        mask_kind, pred_kind = kinds[k % len(kinds)]
        h, w = SIZES[rng.integers(len(SIZES))] if k % 3 else rng.integers(20, 140, 2)
        mask = MASKS[mask_kind](rng, int(h), int(w))
        pred = np.asarray(PREDICTIONS[pred_kind](rng, mask)).astype(np.uint8)
        # Levels around the threshold of 128 now and then.
        grey = rng.integers(118, 139, mask.shape) if k % 29 == 5 else np.where(mask, 255, 0)
        yield f"{k:04d} {pred_kind} for {mask_kind} {w}x{h}", pred, grey.astype(np.uint8)
