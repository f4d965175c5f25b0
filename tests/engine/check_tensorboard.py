"""Reads a run folder as TensorBoard does and compares it with metrics.jsonl: every number at its step, once; each
epoch's loads as histograms; and pictures of predictions that open, after each validation.

Usage: python check_tensorboard.py RUN_FOLDER      (needs tensorboard and pillow; exit code 1 where they differ)
"""

import io
import json
import struct
import sys
from pathlib import Path

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import HISTOGRAMS, IMAGES, SCALARS, EventAccumulator


def numbers(value, path):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from numbers(inner, path + [key])
    elif isinstance(value, (int, float)):
        yield "/".join(path if len(path) > 1 else ["train", *path]), value


def expected_scalars(file):
    scalars = {}
    for line in file.read_text().splitlines():
        entry = json.loads(line)
        step = entry.pop("step")
        del entry["epoch"]
        if entry.pop("val_resolution", "original") == "network":
            entry["val_network"] = entry.pop("val")
        for tag, value in numbers(entry, []):
            scalars.setdefault(tag, []).append((step, struct.unpack("f", struct.pack("f", value))[0]))
    return scalars


def check_histograms(events, entries):
    """Buckets against the loads of the lines; returns how many there are."""
    expected = {}
    for entry in entries:
        for layer, loads in entry.get("moe", {}).items():
            expected.setdefault(f"moe.{layer}/experts", []).append((entry["step"], list(loads["load"].values())))
    read = {tag: [(e.step, e.histogram_value.bucket) for e in events.Histograms(tag)] for tag in events.Tags()["histograms"]}
    if read != expected:
        sys.exit(f"histograms: TensorBoard reads {read}, metrics.jsonl has {expected}")
    return sum(map(len, read.values()))


def check_images(events, entries):
    steps = [entry["step"] for entry in entries if "val" in entry]
    count = 0
    for tag in events.Tags()["images"]:
        images = events.Images(tag)
        if [image.step for image in images] != steps:
            sys.exit(f"{tag}: at steps {[image.step for image in images]}, validations were at {steps}")
        for image in images:
            size = Image.open(io.BytesIO(image.encoded_image_string)).size
            if size != (image.width, image.height):
                sys.exit(f"{tag}: is of {size}, said to be of {image.width} x {image.height}")
        count += len(images)
    return count


def main(folder):
    events = EventAccumulator(str(folder), size_guidance={SCALARS: 0, HISTOGRAMS: 0, IMAGES: 0})
    events.Reload()
    read = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    expected = expected_scalars(folder / "metrics.jsonl")
    for tag in sorted(read.keys() | expected.keys()):
        if read.get(tag) != expected.get(tag):
            sys.exit(f"{tag}: TensorBoard reads {read.get(tag)}, metrics.jsonl has {expected.get(tag)}")
    files = len(list(folder.glob("events.out.tfevents.*")))
    entries = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    histograms, images = check_histograms(events, entries), check_images(events, entries)
    print(f"{len(read)} tags, {sum(map(len, read.values()))} values in {files} event files, as in metrics.jsonl")
    print(f"{histograms} histograms of load, {images} pictures of predictions")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
