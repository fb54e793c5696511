"""The files that VGG-19's weights come in: Keras's HDF5 layouts, and tensors saved by PyTorch before 1.6."""

from __future__ import annotations

import collections
import math
import pickle
import re
from io import BufferedIOBase
from pathlib import Path

import h5py
import numpy as np

from ..errors import InputError
from .architecture import LAYERS, channels

# Kernel shapes (3, 3, in, out) of VGG-19's 16 convolutions, in the network's order.
KERNEL_SHAPES = {
    layer: (3, 3, channels(before) if before else 3, channels(layer)) for before, layer in zip((None, *LAYERS), LAYERS)
}
Convolutions = dict[str, tuple[np.ndarray, np.ndarray]]  # layer -> kernel (3, 3, in, out), bias (out,), float32


class _TensorUnpickler(pickle.Unpickler):
    """Unpickles tensors as NumPy arrays, and refuses every name that a file of tensors does not need."""

    def __init__(self, file: BufferedIOBase):
        super().__init__(file)
        self.storages: dict[str, np.ndarray] = {}

    def find_class(self, module: str, name: str) -> object:
        allowed = {
            "collections.OrderedDict": collections.OrderedDict,
            "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
            "torch.ByteStorage": np.dtype("u1"),
            "torch.FloatStorage": np.dtype("<f4"),
        }
        if f"{module}.{name}" not in allowed:
            raise ValueError(f"a file of tensors must not name {module}.{name}")
        return allowed[f"{module}.{name}"]

    def persistent_load(self, identifier: tuple) -> np.ndarray:
        """Returns the storage, still empty: its data follow the pickle."""
        _, dtype, key, _, count, _ = identifier
        return self.storages.setdefault(key, np.empty(count, dtype))


def _rebuild_tensor(storage: np.ndarray, offset: int, size: tuple, stride: tuple, *_: object) -> np.ndarray:
    tensor = storage[offset : offset + math.prod(size)].reshape(size)
    if tuple(step // storage.itemsize for step in tensor.strides) != tuple(stride):
        raise ValueError(f"expected a contiguous tensor of shape {size}, received strides {stride}")
    return tensor


def read_legacy_torch(file: BufferedIOBase) -> dict[str, np.ndarray]:
    """Reads what `torch.save` wrote before PyTorch 1.6, without PyTorch.

    The format is five pickles (magic number, protocol version, system information, the tensors, their storages' keys),
    then each storage as an int64 count and its little-endian items: `_legacy_load` in torch/serialization.py.

    Raises:
        ValueError: the file is not of that format, is cut short, or names anything but tensors.
    """
    try:
        magic, protocol, _ = (_TensorUnpickler(file).load() for _ in range(3))
        if (magic, protocol) != (0x1950A86A20F9469CFC6C, 1001):
            raise ValueError(f"expected torch.save's magic number and protocol 1001, received {magic}, {protocol}")
        unpickler = _TensorUnpickler(file)
        tensors = unpickler.load()
        keys = _TensorUnpickler(file).load()
    except (pickle.UnpicklingError, EOFError) as error:
        raise ValueError(f"not a file of torch.save: {error}") from error
    for key in keys:
        storage = unpickler.storages[key]
        count = int.from_bytes(file.read(8), "little")
        if count != storage.size or file.readinto(storage.data) != storage.nbytes:
            raise ValueError(f"expected {storage.size} items in storage {key}, the file is damaged or cut short")
    return tensors


def expand_codebooks(tensors: dict[str, np.ndarray]) -> Convolutions:
    """Looks the 8-bit kernels up in their tables, and turns PyTorch's (out, in, 3, 3) into Keras's (3, 3, in, out).

    Args:
        tensors: for each layer `<layer>_W_q` uint8 (out, in, 3, 3), `<layer>_W_table` float32 (256,) and
            `<layer>_b` float32 (out,).
    """
    return {
        layer: (
            tensors[f"{layer}_W_table"][tensors[f"{layer}_W_q"].transpose(2, 3, 1, 0)],
            tensors[f"{layer}_b"],
        )
        for layer in KERNEL_SHAPES
    }


def write_convolutions(path: Path, convolutions: Convolutions) -> None:
    """Writes the layout of Keras's own file: a group a layer, named in attributes."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in convolutions]
        for layer, (kernel, bias) in convolutions.items():
            arrays = {f"{layer}_W_1:0": kernel, f"{layer}_b_1:0": bias}
            group = file.create_group(layer)
            group.attrs["weight_names"] = [name.encode() for name in arrays]
            for name, array in arrays.items():
                group[name] = array


def read_convolutions(path: Path) -> Convolutions:
    """Reads VGG-19's 16 convolutions from any of Keras's HDF5 layouts; a classifier beside them is left out.

    Raises:
        InputError: the file is not HDF5, is cut short, lacks a layer, has one of another shape, or holds NaN.
    """
    try:
        with h5py.File(path, "r") as file:
            datasets = _convolution_datasets(file.get("model_weights", file))
            return {layer: _read_layer(layer, datasets) for layer in KERNEL_SHAPES}
    except (OSError, ValueError) as error:
        raise InputError(f"Expected Keras's VGG-19 weights (HDF5). Received: {path}: {error}") from error


def _convolution_datasets(group: h5py.Group) -> dict[tuple[str, int], h5py.Dataset]:
    """Finds every dataset of a convolution: (layer, number of axes) -> dataset."""
    datasets = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and (layer := _layer_name(item)):
            datasets[layer, item.ndim] = item

    group.visititems(visit)
    return datasets


def _layer_name(dataset: h5py.Dataset) -> str | None:
    """Returns the layer of a dataset: in its path up to Keras 2, in its group's attribute or its number in Keras 3."""
    if match := re.search(r"block\d_conv\d", f"{dataset.name} {dataset.parent.attrs.get('name', '')}"):
        return match[0]
    if match := re.search(r"/conv2d(?:_(\d+))?/", dataset.name):
        return dict(enumerate(KERNEL_SHAPES)).get(int(match[1] or 0))
    return None


def _read_layer(layer: str, datasets: dict[tuple[str, int], h5py.Dataset]) -> tuple[np.ndarray, np.ndarray]:
    arrays = []
    for name, shape in [("kernel", KERNEL_SHAPES[layer]), ("bias", KERNEL_SHAPES[layer][-1:])]:
        dataset = datasets.get((layer, len(shape)))
        if dataset is None or dataset.shape != shape:
            found = "none" if dataset is None else dataset.shape
            raise ValueError(f"expected a {name} of shape {shape} for {layer}, found {found}")
        array = dataset[()].astype(np.float32, copy=False)
        if not np.isfinite(array).all():
            raise ValueError(f"the {name} of {layer} is not finite")
        arrays.append(array)
    return tuple(arrays)
