"""The operations of VGG-19 as Keras layers, and what they do where something else than zeros lies around."""

from __future__ import annotations

from .architecture import Operation
from .backend import Tensor, keras, ops


def keras_layer(operation: Operation, pooling: str, width: float, precision: str, random: bool) -> keras.Layer:
    """An operation; the arguments are those of `Extractor`, but for `random`: whether weights are drawn."""
    dtype = None if precision == "float32" else f"mixed_{precision}"  # None: Keras's float type
    if operation.kind == "pooling":
        pool = keras.layers.MaxPooling2D if pooling == "max" else keras.layers.AveragePooling2D
        return pool(2, name=operation.name, dtype=dtype)
    channels = max(2, round(operation.channels * width))
    initializer = keras.initializers.HeNormal(seed=channels) if random else "zeros"  # drawing takes half a second
    return keras.layers.Conv2D(
        channels, 3, padding="same", activation="relu", kernel_initializer=initializer, name=operation.name, dtype=dtype
    )


def apply_within(layer: keras.Layer, operation: Operation, features: Tensor) -> Tensor:
    """The layer without padding of its own, for features (1, h, w, C) that have what lies around."""
    if operation.kind == "pooling":
        return layer(features)
    kernel, bias = (ops.cast(variable, layer.compute_dtype) for variable in (layer.kernel, layer.bias))
    return ops.relu(ops.conv(ops.cast(features, layer.compute_dtype), kernel, strides=1, padding="valid") + bias)


def as_float(features: Tensor) -> Tensor:
    """Features of any precision in Keras's float type, in which losses sum."""
    return ops.cast(features, keras.config.floatx())
