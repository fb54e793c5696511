"""How the time of an evaluation divides among operations, by TensorFlow's own profiler."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf


def share_of_convolutions(evaluate: Callable[[], object], repeats: int = 3) -> float:
    """The share of an evaluation's time that convolutions, forwards and backwards, take: 0 to 1."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            for _ in range(repeats):
                evaluate()
        trace = xplane_pb2.XSpace.FromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    convolutions = total = 0
    for plane in trace.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                if name == "evaluate":  # the compiled function, once a call
                    total += event.duration_ps
                elif "Conv2D" in name.rpartition(":")[2]:
                    convolutions += event.duration_ps
    return convolutions / total
