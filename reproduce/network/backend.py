"""Keras, and what a backend must do: start, compile, differentiate, measure. Only here TensorFlow is named.

Keras and TensorFlow are loaded when they are first used: that takes seconds, which `--help` and `select` do not need.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..terminal import silent_stderr

__all__ = [
    "Tensor",
    "as_array",
    "as_tensor",
    "compiled",
    "compiled_for",
    "device",
    "gpu_memory_limit",
    "keras",
    "limit_gpu_memory",
    "limit_threads",
    "matrix_product_speed",
    "ops",
    "pull_back",
    "reset_peak_gpu_memory",
    "row_by_row",
    "seconds_in",
    "sort",
    "value_and_gradient",
    "versions",
    "with_gradient",
]

Tensor = Any  # what Keras's operations take and give
_starting = RLock()


class _Later:
    """A module that is imported when it is first used."""

    def __init__(self, name: str):
        self._name = name
        self._module: Any = None

    def __getattr__(self, attribute: str) -> Any:
        if self._module is None:
            with _starting, silent_stderr():  # TensorFlow logs while it loads, whatever its log level is set to
                self._module = _start(self._name)
        return getattr(self._module, attribute)


def _start(name: str) -> Any:
    # Keras would load matplotlib, for its galleries, and the garbage collector look on: a quarter of a second each.
    with _absent("matplotlib"), _for_good():
        keras_itself, tensorflow = importlib.import_module("keras"), importlib.import_module("tensorflow")
    if keras_itself.backend.backend() != "tensorflow":
        raise InputError(
            "Expected Keras to run on TensorFlow (KERAS_BACKEND=tensorflow). "
            f"Received: {keras_itself.backend.backend()}"
        )
    tensorflow.config.list_physical_devices()  # looks for GPUs now, and complains now
    # Each problem compiles its own function: no mistake, as TensorFlow's warning would have it.
    tensorflow.get_logger().setLevel("ERROR")
    return importlib.import_module(name)


@contextmanager
def _for_good() -> Iterator[None]:
    """What comes into being here stays: the garbage collector does not look through it, now or later."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()


@contextmanager
def _absent(module: str) -> Iterator[None]:
    """As if a module were not installed, unless it is loaded already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # as the import system has it
    try:
        yield
    finally:
        del sys.modules[module]


if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from keras import ops
else:
    keras, ops, tf = _Later("keras"), _Later("keras.ops"), _Later("tensorflow")


def versions() -> dict[str, str]:
    """Versions of the backend's packages."""
    return {package: version(package) for package in ("tensorflow", "keras")}


def limit_gpu_memory(gigabytes: float) -> None:
    """Take no more than this of each GPU's memory; to be called before the first computation.

    Raises:
        InputError: not above 0.
    """
    if not gigabytes > 0:
        raise InputError(f"Expected a GPU memory above 0 gigabytes. Received: {gigabytes}")
    for gpu in tf.config.list_physical_devices("GPU"):
        limit = tf.config.LogicalDeviceConfiguration(memory_limit=int(gigabytes * 1024))
        tf.config.set_logical_device_configuration(gpu, [limit])


def gpu_memory_limit() -> float | None:
    """Bytes of the first GPU's memory that this process may take, as `limit_gpu_memory` has set it; None without."""
    for gpu in tf.config.list_physical_devices("GPU"):
        for configuration in tf.config.get_logical_device_configuration(gpu) or ():
            if configuration.memory_limit is not None:
                return configuration.memory_limit * 2.0**20
    return None


def reset_peak_gpu_memory() -> None:
    """Start a new peak of what the first GPU's allocator gives out."""
    if tf.config.list_logical_devices("GPU"):
        tf.config.experimental.reset_memory_stats("GPU:0")


def device() -> dict[str, Any]:
    """What computes: its "name"; of a GPU also whether float32 products are rounded to TensorFloat-32, as they are on
    newer ones unless NVIDIA_TF32_OVERRIDE=0 is set, and the peak of what was allocated since `reset_peak_gpu_memory`.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        rounds = details.get("compute_capability", (0, 0)) >= (8, 0) and _tensor_float_32()
        peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
        return {"name": details.get("device_name", gpu.name), "tensor_float_32": rounds, "peak_memory_bytes": peak}
    return {"name": "CPU"}


def _tensor_float_32() -> bool:
    allowed = os.environ.get("NVIDIA_TF32_OVERRIDE") != "0"
    return allowed and tf.config.experimental.tensor_float_32_execution_enabled()


def limit_threads(count: int) -> None:
    """Compute with so many threads; to be called before the first computation."""
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(count)


def as_tensor(array: np.ndarray) -> Tensor:
    """A constant as a tensor of the default float type, or of int32 where it is an array of that.

    A compiled function refers to a tensor, but writes an array into its graph, and copies that several times over.
    """
    kind = array.dtype if getattr(array, "dtype", None) == np.int32 else keras.config.floatx()
    return ops.convert_to_tensor(array, dtype=kind)


def as_array(tensor: Tensor) -> np.ndarray:
    """A tensor's values as a read-only NumPy array, without the copy that `convert_to_numpy` makes on a CPU."""
    return np.asarray(memoryview(tensor))


def compiled(function: Callable, shape: tuple[int | None, ...]) -> Callable:
    """Compile a function of one array, once for all arrays of a shape in which None fits any length."""
    return tf.function(function, input_signature=[tf.TensorSpec(shape, keras.config.floatx())], autograph=False)


def compiled_for(function: Callable, *examples: Any) -> Callable:
    """Compile a function once for several calls, whose arguments differ in the lengths of their arrays alone.

    Args:
        function: of nested tuples of tensors.
        examples: of each call a tuple of its arguments, which are nested tuples of arrays.
    """

    def specification(*arrays: np.ndarray) -> Any:
        lengths = [sides[0] if len(set(sides)) == 1 else None for sides in zip(*(np.shape(array) for array in arrays))]
        return tf.TensorSpec(lengths, arrays[0].dtype)

    signature = tf.nest.map_structure(specification, *examples)
    return tf.function(function, input_signature=signature, autograph=False)


def value_and_gradient(terms: Callable[[Tensor], dict], shape: tuple[int, ...]) -> Callable:
    """Compile x -> (terms, gradient of their sum), for x of one shape; one copy to the device and one back a call."""
    return compiled(lambda x: with_gradient(terms, x), shape)


def with_gradient(terms: Callable[[Any], dict], x: Any) -> tuple[dict, Any]:
    """Terms at x, a tensor or nested tuples of some, and the gradient of their sum there."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        values = terms(x)
        loss = sum(values.values())
    return values, tape.gradient(loss, x, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def pull_back(function: Callable[[Any], Any], x: Any, slopes: Any) -> Any:
    """The slope along x, a tensor or nested tuples of some, of something that has `slopes` along the function's values
    there."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        values = function(x)
    flat = map(tf.nest.flatten, (values, slopes))
    return tape.gradient(next(flat), x, next(flat), unconnected_gradients=tf.UnconnectedGradients.ZERO)


def row_by_row(function: Callable, arrays: tuple[Tensor, ...], kinds: tuple[str, ...]) -> tuple[Tensor, ...]:
    """What a function gives for the first row of each array, for the second and so on, as arrays of such rows.

    Args:
        function: of a row of each array -> tensors.
        arrays: (n, ...).
        kinds: types of what the function gives.

    Notes:
        Memory for as many rows is taken at once as there are cores, ten at most.
    """
    at_once = min(10, os.cpu_count() or 1)
    return tf.map_fn(lambda rows: function(*rows), arrays, fn_output_signature=kinds, parallel_iterations=at_once)


def sort(numbers: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Numbers (n,) sorted, and what puts others, in that order, where those had been. Equal ones come in any order.

    Notes:
        On a CPU NumPy sorts, three times as fast as TensorFlow, whose way of putting things where they belong is slower
        there than looking for what belongs where.
    """
    if tf.config.list_logical_devices("GPU"):
        order = ops.argsort(numbers)
        return ops.take(numbers, order), lambda others: ops.scatter(order[:, None], others, ops.shape(numbers))
    order = tf.numpy_function(lambda array: np.argsort(array).astype(np.int32), [numbers], tf.int32)
    order.set_shape(numbers.shape)
    return ops.take(numbers, order), lambda others: ops.take(others, tf.math.invert_permutation(order))


def matrix_product_speed(size: int = 2048) -> float:
    """Floating-point operations a second of this machine's float32 matrix product, the best of three."""
    product = compiled(lambda matrix: ops.sum(ops.matmul(matrix, matrix)), (size, size))
    matrix = ops.ones((size, size))
    float(product(matrix))
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        float(product(matrix))
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds)


def seconds_in(operation: str, run: Callable[[], object]) -> float:
    """Seconds that the backend's operations whose name has `operation` in it take while `run` runs, by its profiler."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            run()
        trace = xplane_pb2.XSpace.FromString(next(Path(folder).rglob("*.xplane.pb")).read_bytes())
    picoseconds = 0
    for plane in trace.planes:
        names = {number: metadata.name.rpartition(":")[2] for number, metadata in plane.event_metadata.items()}
        events = (event for line in plane.lines for event in line.events)
        picoseconds += sum(event.duration_ps for event in events if operation in names[event.metadata_id])
    return picoseconds / 1e12
