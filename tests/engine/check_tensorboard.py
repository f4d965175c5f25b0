"""Reads a run folder as TensorBoard does and compares it with metrics.jsonl: every number at its step, once.

Usage: python check_tensorboard.py RUN_FOLDER      (needs tensorboard; exit code 1 where they differ)
"""

import json
import struct
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator


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
        for tag, value in numbers(entry, []):
            scalars.setdefault(tag, []).append((step, struct.unpack("f", struct.pack("f", value))[0]))
    return scalars


def main(folder):
    events = EventAccumulator(str(folder), size_guidance={SCALARS: 0})
    events.Reload()
    read = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    expected = expected_scalars(folder / "metrics.jsonl")
    for tag in sorted(read.keys() | expected.keys()):
        if read.get(tag) != expected.get(tag):
            sys.exit(f"{tag}: TensorBoard reads {read.get(tag)}, metrics.jsonl has {expected.get(tag)}")
    files = len(list(folder.glob("events.out.tfevents.*")))
    print(f"{len(read)} tags, {sum(map(len, read.values()))} values in {files} event files, as in metrics.jsonl")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
