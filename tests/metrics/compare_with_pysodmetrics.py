"""Compares codmoe-eval with PySODMetrics 1.6.2, image by image and as a dataset, and their speed.

  python compare_with_pysodmetrics.py --eval build/release/bin/codmoe-eval --random 600
  python compare_with_pysodmetrics.py --eval build/release/bin/codmoe-eval --pred PRED --gt GT
  python compare_with_pysodmetrics.py --eval build/release/bin/codmoe-eval --pred PRED --gt GT --speed

Exits with 1 where a score differs by more than 1e-9 (of scores above 1: of their value). The context measure is compared
with the reference in float64, for its own is in float32. What to install: see pysodmetrics_oracle.py.
"""

import argparse
import csv
import json
import math
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from pysodmetrics_oracle import extended_scores, headline_scores, scores
from random_pairs import random_pairs


def files_by_name(folder):
    return {path.stem: path for path in sorted(Path(folder).iterdir()) if not path.name.startswith(".")}


def read_pair(paths):
    pred, mask = (cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths)
    if pred.shape != mask.shape:
        pred = cv2.resize(pred, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return pred, mask


def run_codmoe(args, *more):
    start = time.time()
    subprocess.run([args.eval, "--pred", args.pred, "--gt", args.gt, *more], check=True, stdout=subprocess.DEVNULL)
    return time.time() - start


def codmoe_scores(args):
    """Of the dataset, and of each image by name."""
    with tempfile.TemporaryDirectory() as folder:
        files = [f"{folder}/scores.{kind}" for kind in ("json", "csv")]
        run_codmoe(args, "--json", files[0], "--csv", files[1], "--set", "evaluation.extended=true")
        (dataset,) = json.loads(Path(files[0]).read_text())["datasets"].values()
        with open(files[1], newline="") as file:
            return dataset, {row["name"]: row for row in csv.DictReader(file)}


def reference_scores(pairs):
    return {**scores(pairs)[0], **extended_scores(pairs)}


def reference_of_one(paths):
    cv2.setNumThreads(1)
    return reference_scores([read_pair(paths)])


def difference(ours, theirs):
    ours = math.nan if ours is None else float(ours)
    if not math.isfinite(ours) or not math.isfinite(theirs):
        same = ours == theirs or (math.isnan(ours) and math.isnan(theirs))
        return 0 if same else math.inf
    return abs(ours - theirs) / max(1, abs(theirs))


class Worst:
    """The largest difference of each score, and where it was."""

    def __init__(self):
        self.by_score, self.compared, self.without_reference = {}, 0, {}

    def add(self, where, ours, theirs):
        for name in ours.keys() - {"n", "run", "dataset", "name", "height", "width", "foreground"}:
            if name not in theirs:
                self.without_reference[name] = self.without_reference.get(name, 0) + 1
                continue
            found = difference(ours[name], theirs[name])
            self.compared += 1
            if found >= self.by_score.get(name, (0, ""))[0]:
                self.by_score[name] = (found, where)

    def report(self):
        for name, (found, where) in sorted(self.by_score.items(), key=lambda item: -item[1][0])[:8]:
            print(f"  {name}: {found:.2e} ({where})")
        if self.without_reference:
            print("  the reference fails on:", self.without_reference)
        largest = max(found for found, _ in self.by_score.values())
        print(f"{self.compared} values of {len(self.by_score)} scores, largest difference {largest:.2e}")
        return largest <= 1e-9


def compare(args):
    """Whether all agree; and the names of the images of which the reference has every score, all finite."""
    predictions, masks = files_by_name(args.pred), files_by_name(args.gt)
    dataset, rows = codmoe_scores(args)
    if not rows.keys() == masks.keys() == predictions.keys():
        sys.exit("the images scored are not those of the folders")
    paths = [(predictions[name], masks[name]) for name in rows]
    with multiprocessing.Pool(args.processes) as pool:
        images = dict(zip(rows, pool.map(reference_of_one, paths, chunksize=4)))
    worst = Worst()
    for name, theirs in images.items():
        worst.add(name, rows[name], {key: value for key, value in theirs.items() if key in rows[name]})
    worst.add("dataset", dataset, reference_scores([read_pair(pair) for pair in paths]))
    print(f"{len(rows)} images against PySODMetrics, and as a dataset:")
    agree = worst.report()
    return agree, [name for name, theirs in images.items()
                   if theirs.keys() >= dataset.keys() - {"n"} and all(map(math.isfinite, theirs.values()))]


def write_pairs(folder, pairs):
    for kind in ("pred", "gt"):
        os.makedirs(f"{folder}/{kind}")
    for name, pred, mask in pairs:
        cv2.imwrite(f"{folder}/pred/{name}.png", pred)
        cv2.imwrite(f"{folder}/gt/{name}.png", mask)


def compare_random(args):
    """All pairs, where one undefined score hides the others in a dataset's mean; then those without any."""
    pairs = list(random_pairs(args.random, args.seed))
    with tempfile.TemporaryDirectory() as folder:
        args.pred, args.gt = f"{folder}/pred", f"{folder}/gt"
        write_pairs(folder, pairs)
        agree, defined = compare(args)
    with tempfile.TemporaryDirectory() as folder:
        args.pred, args.gt = f"{folder}/pred", f"{folder}/gt"
        write_pairs(folder, [pair for pair in pairs if pair[0] in defined])
        return compare(args)[0] and agree


def score_headline(paths):
    cv2.setNumThreads(1)
    return headline_scores(read_pair(pair) for pair in paths)


def score_headline_in_memory(paths):
    """Images a second."""
    cv2.setNumThreads(1)
    pairs = [read_pair(pair) for pair in paths]
    start = time.time()
    headline_scores(pairs)
    return len(pairs) / (time.time() - start)


def bench_metrics(args):
    """Images a second of codmoe-bench metrics, by stage."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([Path(args.eval).with_name("codmoe-bench"), "metrics", "--pred", args.pred, "--gt", args.gt, "--json",
                        f"{folder}/stages.json", "--set", f"threads={args.processes}"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return {case["form"]: case["images_per_s"] for case in json.loads(Path(folder, "stages.json").read_text())}


def median_time(args, repeats=7):
    return statistics.median(run_codmoe(args, "--set", f"evaluation.threads={args.processes}") for _ in range(repeats))


def compare_speed(args):
    """S, E, F, weighted F, MAE and IoU, on `--processes` processes and as many threads, in memory and from files."""
    predictions, masks = files_by_name(args.pred), files_by_name(args.gt)
    paths = [(predictions[name], masks[name]) for name in masks]
    shares = [paths[k :: args.processes] for k in range(args.processes)]
    with multiprocessing.Pool(args.processes) as pool:
        pool.map(score_headline, [paths[:1]] * args.processes)  # imports
        in_memory = sum(pool.map(score_headline_in_memory, shares, chunksize=1))
        start = time.time()
        pool.map(score_headline, shares, chunksize=1)
        from_files = len(paths) / (time.time() - start)
    stages = bench_metrics(args)
    whole = len(paths) / median_time(args)
    print(f"load {os.getloadavg()[0]:.2f}, {args.processes} processes or threads, {len(paths)} images; images/s:")
    rows = [("in memory", in_memory, stages["score"]), ("from files", from_files, stages["files"]),
            ("codmoe-eval, start included", from_files, whole), ("the files read, not scored", from_files, stages["decode"])]
    for what, theirs, ours in rows:
        print(f"  {what:28} PySODMetrics {theirs:7.1f}, codmoe {ours:8.1f}: {ours / theirs:.1f} times as many")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--eval", required=True, help="the program codmoe-eval")
    parser.add_argument("--pred", help="folder of predictions")
    parser.add_argument("--gt", help="folder of masks")
    parser.add_argument("--random", type=int, help="compare this many random pairs instead of folders")
    parser.add_argument("--seed", type=int, default=0, help="of the random pairs")
    parser.add_argument("--speed", action="store_true", help="compare speed instead of scores")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    if bool(args.random) == bool(args.pred and args.gt):
        parser.error("name --random N, or --pred DIR and --gt DIR")
    np.seterr(all="ignore")
    if args.speed:
        return compare_speed(args)
    sys.exit(not (compare_random(args) if args.random else compare(args)[0]))


if __name__ == "__main__":
    main()
