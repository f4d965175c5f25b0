"""Writes data/tensorboard.tfevents: five events as TensorBoard's own code writes them, for tfevents_test.cpp.

Usage: python make_tensorboard_vectors.py      (needs tensorboard)
"""

from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

scalars = Summary(
    value=[
        Summary.Value(tag="train/loss", simple_value=1.25),
        Summary.Value(tag="moe/0/load/texture", simple_value=0.1),
        Summary.Value(tag="t" * 200, simple_value=-3e20),
    ]
)
histogram = Summary.Value(tag="moe.0/experts")
histogram.histo.min = -0.5
histogram.histo.max = 2.5
histogram.histo.num = 8
histogram.histo.sum = 0 * 5 + 1 * 1 + 2 * 2
histogram.histo.sum_squares = 0 * 5 + 1 * 1 + 4 * 2
histogram.histo.bucket_limit.extend([0.5, 1.5, 2.5])
histogram.histo.bucket.extend([5, 1, 2])
image = Summary.Value(tag="predictions/a b")
image.image.height = 160
image.image.width = 300
image.image.colorspace = 3
image.image.encoded_image_string = b"\x89PNG\0bytes"
events = [
    Event(wall_time=1700000000.25, file_version="brain.Event:2"),
    Event(wall_time=1700000001.5, step=301, session_log=SessionLog(status=SessionLog.START)),
    Event(wall_time=1700000002.75, step=5_000_000_000, summary=scalars),
    Event(wall_time=1700000003.5, step=7, summary=Summary(value=[histogram])),
    Event(wall_time=1700000004.5, step=7, summary=Summary(value=[image])),
]
with open(Path(__file__).resolve().parent / "data" / "tensorboard.tfevents", "wb") as file:
    writer = RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString())
