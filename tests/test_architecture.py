"""The network as a table, against Keras's own VGG-19 and against sums worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reproduce.errors import InputError
from reproduce.images.geometry import Rectangle
from reproduce.network import architecture
from reproduce.network.architecture import (
    LAYERS,
    OPERATIONS,
    check_layers,
    feature_shape,
    field_of_view,
    operations_until,
    products,
    reach,
)
from reproduce.network.backend import keras

# Simonyan and Zisserman 2015, table 1, column E: channels of each convolution, M a pooling.
CONFIGURATION_E = "64 64 M 128 128 M 256 256 256 256 M 512 512 512 512 M 512 512 512 512 M"
# First layer of each block -> its stride and, by hand, the pixels on a side that one of its features sees: a
# convolution adds 2 strides, a pooling 1. 1: 1+2; 2: 3+2+1+4; 3: 10+4+2+8; 4: 24+3*8+4+16; 5: 68+3*16+8+32.
FIRST_OF_BLOCK = {"block1_conv1": (1, 3), "block2_conv1": (2, 10), "block3_conv1": (4, 24), "block4_conv1": (8, 68),
                  "block5_conv1": (16, 156)}  # fmt: skip
layers = st.sampled_from(LAYERS)


def test_operations_are_configuration_e():
    table = " ".join("M" if o.kind == "pooling" else str(o.channels) for o in OPERATIONS)
    assert table == CONFIGURATION_E
    assert len(LAYERS) == 16 and LAYERS[0] == "block1_conv1" and LAYERS[-1] == "block5_conv4"


def test_names_channels_and_sizes_are_those_of_keras():
    model = keras.applications.VGG19(include_top=False, weights=None, input_shape=(75, 100, 3))
    theirs = {layer.name: tuple(layer.output.shape[1:]) for layer in model.layers[1:]}
    assert list(theirs) == [operation.name for operation in OPERATIONS]
    for layer in LAYERS:
        assert theirs[layer] == (*feature_shape((75, 100), layer), architecture.channels(layer)), layer


@pytest.mark.parametrize("layer", FIRST_OF_BLOCK)
def test_stride_and_view_of_one_feature(layer):
    stride, side = FIRST_OF_BLOCK[layer]
    view = field_of_view(Rectangle(9, 12, 10, 13), layer)
    assert architecture.stride(layer) == stride
    assert view.shape == (side, side)
    # The view surrounds the stride x stride pixels of the feature evenly.
    margin = (side - stride) // 2
    assert view == Rectangle(9 * stride - margin, 12 * stride - margin, 10 * stride + margin, 13 * stride + margin)


def test_operations_until_ends_with_the_deepest():
    names = [o.name for o in operations_until(("block2_conv1", "block1_conv2"))]
    assert names == ["block1_conv1", "block1_conv2", "block1_pool", "block2_conv1"]
    assert operations_until(()) == ()


@pytest.mark.parametrize("name", ["block4_pool", "block1_conv3", "relu4_1", ""])
def test_unknown_layer(name):
    """A pooling is an operation, but no layer that a loss may have."""
    with pytest.raises(InputError, match=r"Expected a layer of VGG-19 .* Received: " + name):
        check_layers("style_layers", (name,))
    if name != "block4_pool":
        with pytest.raises(InputError, match=r"Expected a layer of VGG-19 .* Received: " + name):
            operations_until((name,))


def test_products_by_hand():
    """3 x 3 of the channels before, for each of its own."""
    assert [products(layer) for layer in ("block1_conv1", "block1_conv2", "block2_conv1", "block5_conv4")] == [
        9 * 3 * 64, 9 * 64 * 64, 9 * 64 * 128, 9 * 512 * 512,
    ]  # fmt: skip


@given(layer=layers, shape=st.tuples(*[st.integers(16, 90)] * 2), data=st.data())
def test_reach_is_where_a_change_arrives(layer, shape, data):
    pixels = data.draw(rectangles(shape))
    changed = np.zeros(shape, bool)
    changed[pixels.slices] = True
    expected = np.zeros(feature_shape(shape, layer), bool)
    expected[reach(pixels, shape, layer).slices] = True
    np.testing.assert_array_equal(propagate(changed, layer), expected)


@given(layer=layers, data=st.data())
def test_field_of_view_and_reach_agree(layer, data):
    """A feature sees a pixel if and only if the pixel reaches the feature."""
    shape = (64, 80)
    cells = feature_shape(shape, layer)
    row, column = data.draw(st.tuples(st.integers(0, cells[0] - 1), st.integers(0, cells[1] - 1)))
    y, x = data.draw(st.tuples(st.integers(0, 63), st.integers(0, 79)))
    view = field_of_view(Rectangle(row, column, row + 1, column + 1), layer)
    reached = reach(Rectangle(y, x, y + 1, x + 1), shape, layer)
    assert contains(view, y, x) == contains(reached, row, column)


def test_rectangles():
    rectangle = Rectangle(3, 5, 9, 6)
    assert rectangle.shape == (6, 1)
    assert rectangle.slices == (slice(3, 9), slice(5, 6))
    assert rectangle.grow(4) == (-1, 1, 13, 10)
    assert rectangle.grow(4).clip((8, 9)) == (0, 1, 8, 9)
    assert rectangle.scale(2) == (6, 10, 18, 12)
    assert rectangle.shrink(4) == (0, 1, 3, 2)
    assert Rectangle(0, 4, 9, 8).shrink_to_whole(4) == (0, 1, 2, 2)
    assert rectangle.shift(-3, 2) == (0, 7, 6, 8)


def rectangles(shape):
    """Rectangles of at least one pixel within (height, width)."""
    spans = [st.tuples(st.integers(0, n - 1), st.integers(1, n)).filter(lambda s: s[0] < s[1]) for n in shape]
    return st.tuples(*spans).map(lambda s: Rectangle(s[0][0], s[1][0], s[0][1], s[1][1]))


def propagate(changed, layer):
    """Cell by cell: which features of a layer depend on a changed pixel."""
    for operation in operations_until((layer,)):
        height, width = changed.shape
        if operation.kind == "convolution":
            padded = np.pad(changed, 1)
            changed = np.any([padded[i : i + height, j : j + width] for i in range(3) for j in range(3)], axis=0)
        else:
            quarters = [changed[i : height // 2 * 2 : 2, j : width // 2 * 2 : 2] for i in (0, 1) for j in (0, 1)]
            changed = np.any(quarters, axis=0)
    return changed


def contains(rectangle, row, column):
    return rectangle.top <= row < rectangle.bottom and rectangle.left <= column < rectangle.right
