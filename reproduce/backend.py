"""Keras, and what a backend must do: start, compile, differentiate. Only here TensorFlow is named."""

import time
from collections.abc import Callable

import numpy as np

from .quiet import silent_stderr

with silent_stderr():  # TensorFlow logs while it loads, whatever its log level is set to
    import keras
    import tensorflow as tf
    from keras import ops

    tf.config.list_physical_devices()  # looks for GPUs now, and complains now
tf.get_logger().setLevel("ERROR")  # each problem compiles its own function: no mistake, as its warning would have it

__all__ = [
    "as_array",
    "as_tensor",
    "compiled",
    "keras",
    "limit_gpu_memory",
    "matrix_product_speed",
    "ops",
    "value_and_gradient",
]


def limit_gpu_memory(gigabytes: float) -> None:
    """Take no more than this of each GPU's memory; to be called before the first computation.

    Raises:
        ValueError: not above 0.
    """
    if not gigabytes > 0:
        raise ValueError(f"Expected a GPU memory above 0 gigabytes. Received: {gigabytes}")
    for gpu in tf.config.list_physical_devices("GPU"):
        limit = tf.config.LogicalDeviceConfiguration(memory_limit=int(gigabytes * 1024))
        tf.config.set_logical_device_configuration(gpu, [limit])


def as_tensor(array):
    """A constant as a tensor of the default float type.

    A compiled function refers to a tensor, but writes an array into its graph, and copies that several times over.
    """
    return ops.convert_to_tensor(array, dtype=keras.config.floatx())


def as_array(tensor):
    """A tensor's values as a read-only NumPy array, without the copy that `convert_to_numpy` makes on a CPU."""
    return np.asarray(memoryview(tensor))


def compiled(function: Callable, shape: tuple[int | None, ...]) -> Callable:
    """Compile a function of one array, once for all arrays of a shape in which None fits any length."""
    return tf.function(function, input_signature=[tf.TensorSpec(shape, keras.config.floatx())], autograph=False)


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


def value_and_gradient(terms: Callable[[object], dict], shape: tuple[int, ...]) -> Callable:
    """Compile x -> (terms, gradient of their sum), for x of one shape; one copy to the device and one back a call."""

    def evaluate(x):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            values = terms(x)
            loss = sum(values.values())
        return values, tape.gradient(loss, x)

    return compiled(evaluate, shape)
