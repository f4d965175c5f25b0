"""Compares codmoe-eval's scores of a folder of predictions with PySODMetrics 1.6.2, image by image and as a dataset.

  codmoe-eval --pred PRED --gt GT --json scores.json --csv scores.csv
  python compare_with_pysodmetrics.py PRED GT scores.json scores.csv

Exits with 1 where a score differs by more than 1e-9. What to install: see pysodmetrics_oracle.py.
"""

import csv
import json
import math
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from pysodmetrics_oracle import scores


def files_by_name(folder):
    return {path.stem: path for path in sorted(Path(folder).iterdir()) if not path.name.startswith(".")}


def read_pair(pred, mask):
    mask = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)
    pred = cv2.imread(str(pred), cv2.IMREAD_GRAYSCALE)
    if pred.shape != mask.shape:
        pred = cv2.resize(pred, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return pred, mask


def difference(ours, theirs):
    if ours is None or math.isnan(ours) or math.isnan(theirs):
        return 0 if (ours is None or math.isnan(ours)) and math.isnan(theirs) else math.inf
    return abs(ours - theirs) / max(1, abs(theirs))


def main():
    np.seterr(all="ignore")
    predictions, masks = files_by_name(sys.argv[1]), files_by_name(sys.argv[2])
    (dataset,) = json.loads(Path(sys.argv[3]).read_text())["datasets"].values()
    with open(sys.argv[4], newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    if not rows.keys() == masks.keys() == predictions.keys():
        sys.exit("the images scored are not those of the folders")
    worst = {}

    def compare(where, ours, theirs):
        for name, value in theirs.items():
            if name in ours:
                found = difference(ours[name], value)
                if found >= worst.get(name, (0, ""))[0]:
                    worst[name] = (found, where)

    for name, row in rows.items():
        theirs, _ = scores([read_pair(predictions[name], masks[name])])
        compare(name, {k: float(v) for k, v in row.items() if k in theirs}, theirs)
    start = time.time()
    compare("dataset", dataset, scores(read_pair(predictions[name], masks[name]) for name in rows)[0])
    print(f"PySODMetrics, one process, all metrics: {len(rows) / (time.time() - start):.1f} images/s")
    for name, (found, where) in sorted(worst.items(), key=lambda item: -item[1][0])[:5]:
        print(f"{name}: {found:.2e} ({where})")
    print(f"{len(rows)} images, {len(worst)} scores, largest difference {max(found for found, _ in worst.values()):.2e}")
    sys.exit(any(found > 1e-9 for found, _ in worst.values()))


if __name__ == "__main__":
    main()
