"""The network against keras.applications, and its windows, tiles and active rectangles against the whole image."""

import numpy as np
import pytest

from reproduce.errors import InputError
from reproduce.images.geometry import Rectangle
from reproduce.network import features as network_features
from reproduce.network.active import ActiveNetwork
from reproduce.network.architecture import LAYERS
from reproduce.network.backend import as_tensor, keras, ops, value_and_gradient
from reproduce.network.features import (
    VGG19,
    Extractor,
    blank_image,
    crop,
    features_within,
    painting_tiles,
    to_network_input,
    window_around,
)

STYLE_LAYERS = ("block3_conv1", "block4_conv1", "block5_conv1")
STRIDES = dict(zip(LAYERS, [1, 1, 2, 2, *[4] * 4, *[8] * 4, *[16] * 4]))


@pytest.fixture(scope="module")
def extractor():
    return Extractor(STYLE_LAYERS, width=0.05)


def assert_close(received, expected, tolerance=1e-5):
    """Equal within a share of the largest value: a sum's rounding follows its summands, not its result."""
    received, expected = np.asarray(received), np.asarray(expected)
    assert received.shape == expected.shape
    if expected.size:
        assert np.abs(received - expected).max() <= tolerance * np.abs(expected).max()


# The network


def test_preprocessing_is_that_of_keras_applications(random):
    image = random.random((5, 6, 3), np.float32)
    expected = keras.applications.vgg19.preprocess_input(255 * image)  # a new array: Keras overwrites its argument
    np.testing.assert_allclose(to_network_input(image), expected, atol=1e-4)


def test_preprocessing_by_hand_and_without_side_effects():
    image = np.float32([[[1, 0.5, 0]]])
    np.testing.assert_allclose(to_network_input(image), [[[-103.939, 127.5 - 116.779, 255 - 123.68]]], rtol=1e-5)
    assert image.tolist() == [[[1, 0.5, 0]]]


def test_the_blank_image_is_zero_to_the_network():
    image = blank_image((4, 6))
    assert image.shape == (4, 6, 3) and image.dtype == np.float32
    assert image.min() >= 0 and image.max() <= 1
    np.testing.assert_allclose(to_network_input(image), 0, atol=1e-4)


def test_features_are_those_of_keras_applications(random):
    """The architecture itself, at its full width, with one set of random weights in both networks."""
    layers = ("block1_conv1", "block2_conv1", *STYLE_LAYERS, "block4_conv2")
    extractor = Extractor(layers)
    theirs = keras.applications.VGG19(include_top=False, weights=None)
    for _, layer in extractor.steps:
        layer.set_weights([random.normal(scale=0.05, size=w.shape) for w in layer.get_weights()])
        theirs.get_layer(layer.name).set_weights(layer.get_weights())
    theirs = keras.Model(theirs.input, [theirs.get_layer(layer).output for layer in layers])
    image = random.random((37, 50, 3), np.float32)
    expected = theirs(keras.applications.vgg19.preprocess_input(255 * image[None]))
    features = extractor(image)
    assert set(features) == set(layers)
    for layer, values in zip(layers, expected):
        assert np.asarray(values).any()
        assert_close(features[layer], values[0])


def test_it_is_cut_after_the_deepest_layer(extractor):
    assert [layer.name for _, layer in extractor.steps][-1] == "block5_conv1"
    assert [layer.name for _, layer in Extractor(("block1_conv2",), width=0.05).steps] == [
        "block1_conv1",
        "block1_conv2",
    ]


@pytest.mark.parametrize("shape", [(40, 56), (96, 80)])  # the second strip by strip
def test_a_part_of_the_network_gives_the_wholes_features(extractor, random, shape, monkeypatch):
    monkeypatch.setattr(network_features, "PIXELS_AT_ONCE", 60 * 60)
    monkeypatch.setattr(network_features, "STRIP_PIXELS", 80 * 32)
    image = random.random((*shape, 3), np.float32)
    part = extractor.of(extractor.layers[:2])
    assert part.layers == extractor.layers[:2] and len(part.steps) < len(extractor.steps)
    whole, at_once, strips = extractor(image), part(image), [found for _, found in part.strip_by_strip(image)]
    assert len(strips) > 1 or shape[0] == 40
    for layer in part.layers:
        assert part.depth(layer) == whole[layer].shape[2]
        np.testing.assert_allclose(at_once[layer], whole[layer], rtol=1e-5, atol=1e-5)
        brought = np.concatenate([found[layer] for found in strips])
        np.testing.assert_allclose(brought, whole[layer], rtol=1e-4, atol=1e-4)
    assert extractor.of(extractor.layers) is extractor


def test_features_follow_the_relu_and_weights_are_constants(extractor, random):
    features = extractor(random.random((32, 32, 3), np.float32))
    assert all(values.min() == 0 < values.max() for values in features.values())
    assert not extractor.model.trainable_variables


def rounded(array):
    """To the 8 bits of bfloat16's significand, by hand: half a unit of the last one is added, the rest is cut off."""
    bits = np.asarray(array, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view(np.float32)


def test_bfloat16_rounds_what_goes_into_a_convolution_and_what_comes_out(random):
    """A convolution by hand; what leaves the network is float32 again."""
    image = random.random((9, 11, 3), np.float32)
    network = Extractor(("block1_conv1",), precision="bfloat16", width=0.05)
    received = network(image)["block1_conv1"]
    assert received.dtype == np.float32
    np.testing.assert_array_equal(received, rounded(received))
    kernel, bias = (rounded(weights) for weights in network.steps[0][1].get_weights())
    padded = np.pad(rounded(to_network_input(image)), ((1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (0, 1))  # (9, 11, 3, 3, 3): channel, row, column
    expected = np.maximum(np.einsum("yxcij,ijck->yxk", windows, kernel) + bias, 0)
    assert_close(received, expected, 2**-7)
    assert not np.allclose(received, Extractor(("block1_conv1",), width=0.05)(image)["block1_conv1"], rtol=1e-5)


@pytest.mark.parametrize("name", ["inside", "whole"])
def test_active_features_in_bfloat16(random, name):
    network = Extractor(STYLE_LAYERS, precision="bfloat16", width=0.05)
    image, pixels = random.random((75, 91, 3), np.float32), RECTANGLES[name]
    active, whole = ActiveNetwork(network, image, pixels)(image[pixels.slices]), network(image)
    exact = Extractor(STYLE_LAYERS, width=0.05)(image)
    for layer, rectangle in ActiveNetwork(network, image, pixels).rectangles.items():
        assert active[layer].dtype == "float32"
        assert_close(active[layer], whole[layer][rectangle.slices], 2**-7)
        assert_close(whole[layer], exact[layer], 0.03)


def test_average_pooling(random):
    """The second block's input is the mean of 2 x 2 features of the first."""
    image = random.random((33, 34, 3), np.float32)
    average = Extractor(("block1_conv2", "block2_conv1"), pooling="average", width=0.05)
    features = average(image)
    first = features["block1_conv2"][:32, :34]
    pooled = (first[::2, ::2] + first[1::2, ::2] + first[::2, 1::2] + first[1::2, 1::2]) / 4
    second = average.model.get_layer("block2_conv1")
    assert_close(features["block2_conv1"], second(pooled[None])[0])


@pytest.mark.parametrize("shape", [(16, 16), (16, 40), (17, 31), (33, 47), (100, 19)])
def test_sizes_from_16_pixels(extractor, random, shape):
    features = extractor(random.random((*shape, 3), np.float32))
    for layer, values in features.items():
        assert values.shape[:2] == (shape[0] // STRIDES[layer], shape[1] // STRIDES[layer])


@pytest.mark.parametrize("shape", [(15, 40), (40, 15)])
def test_a_too_small_image_is_refused(extractor, shape):
    with pytest.raises(InputError, match=rf"at least 16 pixels .*block5_conv1.* {shape[1]} x {shape[0]}"):
        extractor(np.zeros((*shape, 3), np.float32))


def test_a_shallow_network_takes_smaller_images(random):
    assert Extractor(("block1_conv2",), width=0.05)(random.random((2, 3, 3), np.float32))["block1_conv2"].shape[0] == 2


def test_a_wrong_layer_is_refused():
    with pytest.raises(InputError, match=r"block4_conv1.*Received: conv4_1"):
        Extractor(("conv4_1",))


def test_the_network_given_builds_an_extractor_once_for_the_same_layers(random):
    image, small = random.random((17, 18, 3), np.float32), VGG19(width=0.05)
    first = small.extractor(("block1_conv1", "block2_conv1"))
    assert VGG19(width=0.05).extractor(("block1_conv1", "block2_conv1")) is first
    average = small.extractor(("block1_conv1", "block2_conv1"), "average")
    assert_close(first(image)["block1_conv1"], Extractor(("block1_conv1",), width=0.05)(image)["block1_conv1"])
    assert not np.allclose(average(image)["block2_conv1"], first(image)["block2_conv1"])
    assert small.origin == {"source": "random", "sha256": None}


# Only where pixels change

RECTANGLES = {
    "inside": Rectangle(21, 30, 34, 51),
    "one pixel": Rectangle(40, 47, 41, 48),
    "top": Rectangle(0, 33, 20, 50),
    "bottom": Rectangle(60, 20, 75, 41),
    "left": Rectangle(30, 0, 41, 13),
    "right": Rectangle(33, 70, 50, 91),
    "top left": Rectangle(0, 0, 17, 18),
    "bottom right": Rectangle(70, 83, 75, 91),
    "last odd pixel": Rectangle(74, 90, 75, 91),
    "full height": Rectangle(0, 20, 75, 33),
    "full width": Rectangle(37, 0, 38, 91),
    "whole": Rectangle(0, 0, 75, 91),
    "all but a row": Rectangle(1, 0, 75, 91),
}


@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("name", RECTANGLES)
def test_active_features_are_those_of_the_whole_image(extractor, random, name, pooling):
    if pooling == "average":
        extractor = Extractor(("block2_conv2", "block4_conv1"), pooling="average", width=0.05)
    image, pixels = random.random((75, 91, 3), np.float32), RECTANGLES[name]
    network = ActiveNetwork(extractor, image, pixels)
    for changed in (image[pixels.slices], random.random((*pixels.shape, 3), np.float32)):
        image[pixels.slices] = changed
        whole, active = extractor(image), network(changed)
        assert list(active) == list(extractor.layers)
        for layer in active:
            assert_close(active[layer], whole[layer][network.rectangles[layer].slices])


@pytest.mark.parametrize("shape", [(16, 16), (31, 17), (63, 80), (64, 65)])
def test_active_features_for_any_parity(extractor, random, shape):
    pixels = Rectangle(shape[0] // 3, shape[1] // 4, shape[0] - 3, shape[1] - 2)
    image = random.random((*shape, 3), np.float32)
    active, whole = ActiveNetwork(extractor, image, pixels)(image[pixels.slices]), extractor(image)
    rectangles = ActiveNetwork(extractor, image, pixels).rectangles
    for layer in active:
        assert_close(active[layer], whole[layer][rectangles[layer].slices])


@pytest.mark.parametrize("name", RECTANGLES)
def test_features_around_what_changes_are_the_images(extractor, random, name):
    """Those that are wanted, beyond the image zero; where all changes there are none."""
    image, pixels = random.random((75, 91, 3), np.float32), RECTANGLES[name]
    wanted = {"block3_conv1": Rectangle(-1, 3, 12, 30), "block5_conv1": Rectangle(-1, -1, 5, 6)}
    network, whole = ActiveNetwork(extractor, image, pixels, wanted), extractor(image)
    assert set(network.features) == (set() if name == "whole" else set(wanted))
    for layer, features in network.features.items():
        assert_close(features, crop(whole[layer], wanted[layer]))
        assert features.shape[:2] == wanted[layer].shape and not features[0].any() and features[1:].any()


@pytest.mark.parametrize("name", ["inside", "top", "bottom right", "one pixel"])
def test_nothing_changes_outside_the_active_rectangles(extractor, random, name):
    image, pixels = random.random((75, 91, 3), np.float32), RECTANGLES[name]
    before, rectangles = extractor(image), ActiveNetwork(extractor, image, pixels).rectangles
    image[pixels.slices] = 1 - image[pixels.slices]
    after = extractor(image)
    for layer, rectangle in rectangles.items():
        outside = np.ones(before[layer].shape[:2], bool)
        outside[rectangle.slices] = False
        assert_close(after[layer][outside], before[layer][outside], 1e-6)
        assert not np.array_equal(after[layer], before[layer])


def test_gradients_reach_the_pixels_as_through_the_whole_image(extractor, random):
    image, pixels = random.random((60, 75, 3), np.float32), Rectangle(20, 30, 41, 50)
    network = ActiveNetwork(extractor, image, pixels)

    def sums(features):
        return {layer: ops.sum(ops.square(values)) for layer, values in features.items()}

    of_whole = value_and_gradient(lambda x: sums(extractor.model(to_network_input(x)[None])), image.shape)
    of_patch = value_and_gradient(lambda x: sums(network(x)), (*pixels.shape, 3))
    (all_features, expected), (active, found) = of_whole(as_tensor(image)), of_patch(as_tensor(image[pixels.slices]))
    assert sum(map(float, active.values())) < sum(map(float, all_features.values()))
    assert_close(found, np.asarray(expected)[pixels.slices])


# Windows and tiles


def test_window_by_hand():
    """One feature of block2_conv1 (stride 2) sees: 2 pixels, +1 for its own 3 x 3 at stride 2, +2 for block 1."""
    window = window_around({"block2_conv1": Rectangle(10, 20, 11, 21)}, (100, 101))
    # Rows 2 (10 - 1) - 2 = 16 to 2 (11 + 1) + 2 = 26; columns 2 (20 - 1) - 2 = 36 to 2 (21 + 1) + 2 = 46.
    assert window == Rectangle(16, 36, 26, 46)


@pytest.mark.parametrize("shape", [(200, 230), (201, 247)])
def test_windows_lie_on_the_pooling_grid_and_within_the_image(shape):
    for cells in (Rectangle(5, 6, 7, 9), Rectangle(0, 0, 1, 1), Rectangle(10, 11, shape[0] // 16, shape[1] // 16)):
        window = window_around({"block5_conv1": cells, "block3_conv1": Rectangle(20, 20, 21, 21)}, shape)
        assert window.top % 16 == window.left % 16 == 0
        assert window.bottom % 16 == 0 or window.bottom == shape[0]
        assert window.right % 16 == 0 or window.right == shape[1]
        assert window.top >= 0 and window.left >= 0 and window.bottom <= shape[0] and window.right <= shape[1]


@pytest.mark.parametrize("halo", [0, 1, 3])
@pytest.mark.parametrize("corner", [(0, 0), (6, 9), (11, 12)])
def test_features_within_a_rectangle_are_the_whole_images(extractor, random, corner, halo):
    """Of an image in which a window for the deepest layer leaves pixels out."""
    image = random.random((195, 223, 3), np.float32)
    whole = extractor(image)
    cells = {layer: Rectangle(*corner, corner[0] + 1, corner[1] + 1).scale(16 // STRIDES[layer]) for layer in whole}
    tile = features_within(extractor, image, cells, halo)
    for layer in whole:
        assert_close(tile.features[layer], crop(whole[layer], cells[layer].grow(halo)))
        assert_close(tile.without_halo(layer), whole[layer][cells[layer].slices])


@pytest.mark.parametrize("shape, rows", [((312, 96), 112), ((417, 139), 128), ((50, 47), 48), ((400, 30), 1)])
@pytest.mark.parametrize("halo", [0, 2])
def test_tiles_are_the_whole_image_and_cover_it_once(extractor, random, monkeypatch, shape, rows, halo):
    """However it is cut into strips, and these into columns."""
    image = random.random((*shape, 3), np.float32)
    for name in ("PIXELS_AT_ONCE", "STRIP_PIXELS"):
        monkeypatch.setattr(network_features, name, rows * shape[1])
    monkeypatch.setattr(network_features, "TILE_WIDTH", 48)
    whole = extractor(image)
    times = {layer: np.zeros(features.shape[:2], int) for layer, features in whole.items()}
    tiles = list(painting_tiles(extractor, image, halo))
    assert {number for _, number in tiles} == {len(tiles)} and (len(tiles) > 1 or shape == (50, 47))
    for tile, _ in tiles:
        for layer, cells in tile.cells.items():
            times[layer][cells.slices] += 1
            assert_close(tile.features[layer], crop(whole[layer], cells.grow(halo)))
    assert all((covered == 1).all() for covered in times.values())


def test_crop_by_hand(random):
    features = np.arange(6, dtype=np.float32).reshape(2, 3, 1)
    assert crop(features, Rectangle(-1, 1, 2, 4))[..., 0].tolist() == [[0, 0, 0], [1, 2, 0], [4, 5, 0]]
    cropped = crop(features, Rectangle(0, 0, 2, 3))
    cropped[:] = 9
    assert features.max() == 5
