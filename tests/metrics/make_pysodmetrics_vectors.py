"""Writes data/pysodmetrics_vectors.json: scores by PySODMetrics 1.6.2 of images that vectors.h makes alike in C++.

Usage: python make_pysodmetrics_vectors.py [OUTPUT]      (what to install: see pysodmetrics_oracle.py)
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
from pysodmetrics_oracle import extended_scores, scores


class Random:
    """Knuth's MMIX generator; the upper bits of its state."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % n


def mask_pixel(kind, i, j, h, w, random):
    inside = (2 * i - h) ** 2 * 9 + (2 * j - w) ** 2 * 4 < (h + w) ** 2
    return {
        "empty": lambda: 0,
        "full": lambda: 255,
        "pixel": lambda: 255 * (i == h // 3 and j == w // 2),
        "first_pixel": lambda: 255 * (i == 0 and j == 0),
        "last_pixel": lambda: 255 * (i == h - 1 and j == w - 1),
        "last_column": lambda: 255 * (j == w - 1),
        "ellipse": lambda: 255 * inside,
        "hole": lambda: 255 * (not inside),
        "noise": lambda: 255 * (random.below(2) == 0),
        "sparse": lambda: 255 * (random.below(40) == 0),
        "grid": lambda: 255 * (i % 8 == 2 and j % 6 == 1),
        "columns": lambda: 255 * (j % 10 == 4),
        "rows": lambda: 255 * (i % 7 == 3),
        "grey": lambda: 118 + random.below(20),
    }[kind]()


def pred_pixel(kind, i, j, h, w, mask, random):
    return {
        "zero": lambda: 0,
        "one": lambda: 1,
        "constant77": lambda: 77,
        "constant200": lambda: 200,
        "white": lambda: 255,
        "noise": lambda: random.below(256),
        "dim": lambda: 90 + random.below(7),
        "binary": lambda: 255 * random.below(2),
        "three": lambda: 127 * random.below(3),
        "pixel": lambda: 255 * (i == h // 2 and j == w // 4),
        "mask": lambda: mask,
        "inverse": lambda: 255 - mask,
        "halves": lambda: 40 if j * 2 < w else 220,
        "quarters": lambda: (0 if i * 2 < h else 60) if j * 2 < w else (150 if i * 2 < h else 250),
        "shifted": lambda: 30 + 190 * ((2 * i - h - 3) ** 2 * 9 + (2 * j - w + 4) ** 2 * 4 < (h + w) ** 2),
        "soft": lambda: 255 * h * w // (h * w + (2 * i - h) ** 2 * 2 + (2 * j - w) ** 2 * 3),
        "good": lambda: mask * 3 // 4 + random.below(64),
    }[kind]()


def make_pair(case):
    h, w, random = case["height"], case["width"], Random(case["seed"])
    mask = np.zeros((h, w), np.uint8)
    pred = np.zeros((h, w), np.uint8)
    for i in range(h):
        for j in range(w):
            mask[i, j] = mask_pixel(case["mask"], i, j, h, w, random)
    for i in range(h):
        for j in range(w):
            pred[i, j] = pred_pixel(case["pred"], i, j, h, w, int(mask[i, j]), random)
    return pred, mask


MASKS = ["empty", "full", "pixel", "first_pixel", "last_pixel", "last_column", "ellipse", "hole", "noise", "sparse",
         "grid", "columns", "rows", "grey", "ellipse", "ellipse", "grid"]
PREDS = ["zero", "one", "constant77", "constant200", "white", "noise", "dim", "binary", "three", "pixel", "mask",
         "inverse", "halves", "quarters", "shifted", "soft", "good"]
SIZES = [(37, 53), (64, 48), (41, 29), (16, 90)]


def cases():
    for k in range(4 * len(PREDS)):
        h, w = SIZES[k % len(SIZES)]
        # The stride visits each prediction with four masks, the masks in another order each time.
        yield dict(mask=MASKS[(k * 5 + k // len(PREDS)) % len(MASKS)], pred=PREDS[k % len(PREDS)], height=h, width=w)
    for pred in ["constant77", "soft", "good", "shifted", "noise"]:
        yield dict(mask="ellipse", pred=pred, height=97, width=131)
    yield dict(mask="ellipse", pred="constant77", height=180, width=200)
    yield dict(mask="first_pixel", pred="constant77", height=180, width=200)
    for h, w in [(1, 1), (1, 9), (9, 1), (2, 2), (3, 200)]:
        yield dict(mask="noise", pred="noise", height=h, width=w)


# All scores, of a pair with which the reference fails nowhere.
SIMPLE = make_pair(dict(mask="ellipse", pred="soft", height=37, width=53, seed=1))
NAMES = {**scores([SIMPLE])[0], **extended_scores([SIMPLE])}.keys()


def saved(values, name):
    """None where undefined, "fails" where the reference fails."""
    value = values.get(name, "fails")
    return None if value != "fails" and not math.isfinite(value) else value


def main():
    output = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "data" / "pysodmetrics_vectors.json"
    vectors, pairs = [], []
    for seed, case in enumerate(cases(), start=1):
        case["seed"] = seed
        pair = make_pair(case)
        values = {**scores([pair])[0], **extended_scores([pair])}
        # One undefined or unbounded score would hide all others in the dataset's mean.
        complete = values.keys() == NAMES and all(map(math.isfinite, values.values()))
        case["in_dataset"] = complete and pair[0].size > 1
        case["scores"] = [saved(values, name) for name in NAMES]
        vectors.append(case)
        if case["in_dataset"]:
            pairs.append(pair)
    dataset, curves = scores(pairs)
    dataset.update(extended_scores(pairs))
    curves = {key: [float(v) for v in curves[key]] for key in ("Em", "Fm", "iou")}
    lines = ",\n".join(json.dumps(case) for case in vectors)
    Path(output).write_text(f'{{"names": {json.dumps(list(NAMES))},\n"cases": [\n{lines}\n],\n'
                            f'"dataset": {json.dumps([dataset[name] for name in NAMES])},\n"curves": {json.dumps(curves)}}}\n')
    print(f"{len(vectors)} pairs, {len(pairs)} of them in the dataset")


if __name__ == "__main__":
    main()
