"""Each loss against numbers worked out by hand, against its NumPy twin, and its gradient against differences."""

from itertools import permutations

import numpy as np
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from reproduce.images.geometry import Rectangle
from reproduce.losses import sliced
from reproduce.losses.content import content_loss
from reproduce.losses.gram import gram_distance, gram_matrix
from reproduce.losses.neighbors import cosine_distance, unit
from reproduce.losses.normalization import NORMALIZATIONS, normalization_of
from reproduce.losses.per_patch import patch_gram_distance
from reproduce.losses.sliced import projections, quantiles, sliced_wasserstein_distance
from reproduce.losses.terms import Cut
from reproduce.losses.variation import Variation, total_variation
from reproduce.network.backend import as_array, as_tensor, ops, sort, value_and_gradient

OF_EQUATIONS = ("sum", "mean", "gatys", "keras")  # "relative" has tests of its own
normalizations = pytest.mark.parametrize("normalization", OF_EQUATIONS)


def close(received, expected, tolerance=1e-5):
    return np.asarray(received) == pytest.approx(np.asarray(expected), rel=tolerance, abs=1e-30)


# Two positions, two channels; the second position counts half.
FEATURES = np.float32([[[1, 2], [3, 4]]])
TARGET = np.float32([[[0, 2], [1, 1]]])
MASK = np.float32([[1, 0.5]])


@pytest.mark.parametrize(
    "normalization, expected",
    [
        ("sum", 3.75),  # 1/2 (1 (1 + 0) + 1/2 (4 + 9))
        ("gatys", 3.75),
        ("keras", 7.5),
        ("mean", 0.375),  # 7.5 / (10 positions x 2 channels)
        ("relative", 1.5),  # 7.5 / (1 (0 + 4) + 1/2 (1 + 1))
    ],
)
def test_content_loss_by_hand(normalization, expected):
    assert close(content_loss(FEATURES, TARGET, MASK, 10, NORMALIZATIONS[normalization]), expected)


@pytest.mark.parametrize("normalization, divisor", [("sum", 1), ("mean", 1.5 * 2), ("gatys", 1.5), ("keras", 1)])
def test_gram_matrix_by_hand(normalization, divisor):
    # Masked features (1, 2) and (1.5, 2): 1 + 2.25, 2 + 3, 4 + 4.
    assert close(gram_matrix(FEATURES, MASK, NORMALIZATIONS[normalization]), np.array([[3.25, 5], [5, 8]]) / divisor)


@pytest.mark.parametrize(
    "normalization, expected",
    [
        ("sum", 1 + 4 + 4 + 9),
        ("mean", 18 / 4),
        ("gatys", 18 / 16),
        ("keras", 18 / (4 * 3**2 * 10**2)),  # of an image of ten pixels
    ],
)
def test_gram_distance_by_hand(normalization, expected):
    gram, target = np.float32([[2, 5], [5, 8]]), np.float32([[1, 3], [3, 5]])
    assert close(gram_distance(gram, target, normalization_of(normalization, (2, 5))), expected)


@pytest.mark.parametrize(
    "normalization, expected",
    [
        # Patches of one position and two channels: (1, 2) against (1, 0), then (1, 1) against (0, 1) at half weight.
        # Grams [[1, 2], [2, 4]] - [[1, 0], [0, 0]]: 4 + 4 + 16; all ones - [[0, 0], [0, 1]]: 1 + 1 + 1.
        ("sum", 24 + 1.5),
        ("mean", 25.5 / (1.5 * 2**2 * 4)),  # each Gram / 2 channels, 4 entries, weights 1.5
        ("gatys", 25.5 / (1.5 * 16)),
        ("keras", 25.5 / 36),  # of an image of one pixel
    ],
)
def test_patch_gram_distance_by_hand(normalization, expected):
    patches, targets = np.float32([[[1, 2]], [[1, 1]]]), np.float32([[[1, 0]], [[0, 1]]])
    assert close(patch_gram_distance(patches, targets, np.float32([1, 0.5]), NORMALIZATIONS[normalization]), expected)


STEPS = np.zeros((2, 3, 3), np.float32)
STEPS[..., 0] = [[0, 1, 3], [7, 3, 9]]


def test_total_variation_by_hand():
    """The 1 alone is free, which differs by 1, 2 and 2: (1 + 4 + 4) / 2."""
    assert close(total_variation(STEPS, np.float32([[0, 1, 0], [0, 0, 0]]), np.ones((2, 3), np.float32)), 4.5)


def test_a_pixel_that_does_not_count_counts_as_another_pixels_neighbour():
    """With its lower and its right neighbour a pixel does not count: only the left 0 and the 1 beside it differ."""
    own = np.float32([[1, 0, 1], [1, 1, 1]])
    assert close(total_variation(STEPS, np.float32([[0, 1, 0], [0, 0, 0]]), own), 0.5)


def variation_of(image, *arguments, **keywords):
    """The weighted term of the total variation."""
    return variation_term(*arguments, **keywords)(as_tensor(image))


def variation_term(free, parts, normalization, weight=1.0, styles=()):
    """Image -> the weighted term of the total variation, of the parts with what lies beside them."""
    (term,) = Variation(tv_weight=weight).terms(list(styles), parts, free > 0, NORMALIZATIONS[normalization]).values()
    around = [part.grow(1).clip(free.shape) for part in parts]
    cells = [Rectangle(0, 0, *rectangle.shape) for rectangle in around]
    constants = [list(map(as_tensor, term.constants(Cut(k, every, every)))) for k, every in enumerate(cells)]

    def value(image):
        seen = [image[rectangle.slices] for rectangle in around]
        return term.value(term.joined([term.summary(patch, *given) for patch, given in zip(seen, constants)]))

    return value


@pytest.mark.parametrize(
    "normalization, expected", [("sum", 4.5), ("keras", 4.5), ("mean", 1.5), ("gatys", 1.5), ("relative", 0.25)]
)
def test_the_term_of_the_total_variation_by_hand(normalization, expected):
    """As a mean over the one free pixel's three values; as a share of a style image's own mean, which is 6."""
    free = np.float32([[0, 1, 0], [0, 0, 0]])
    style = np.zeros((1, 2, 3), np.float32)
    style[0, 1] = np.sqrt(2 * 6 * 6 / 3)  # three channels' squared differences, halved, over six values
    for part in (Rectangle(0, 1, 1, 2), Rectangle(0, 0, 2, 3), Rectangle(0, 1, 2, 3)):
        assert close(variation_of(STEPS, free, [part], normalization, styles=[style]), expected)
    assert close(variation_of(STEPS, free, [part], normalization, 0.5, [style]), expected / 2)


def test_the_variation_of_a_blank_style_image_counts_as_a_grey_level():
    free, blank = np.float32([[0, 1, 0], [0, 0, 0]]), np.full((4, 4, 3), 0.5, np.float32)
    assert close(variation_of(STEPS, free, [Rectangle(0, 0, 2, 3)], "relative", styles=[blank]), 1.5 * 255**2)


def test_several_styles_variations_are_averaged(random):
    free, styles = np.float32([[0, 1, 0], [0, 0, 0]]), random.random((2, 6, 6, 3), np.float32)
    one, other, both = (
        float(variation_of(STEPS, free, [Rectangle(0, 0, 2, 3)], "relative", styles=these))
        for these in (styles[:1], styles[1:], styles)
    )
    assert both == pytest.approx(2 / (1 / one + 1 / other), rel=1e-6)


def test_a_variation_without_a_weight_is_no_term():
    free = np.ones((2, 3), bool)
    assert Variation().terms([], [Rectangle(0, 0, 2, 3)], free, NORMALIZATIONS["mean"]) == {}


@normalizations
def test_the_variation_of_several_parts_is_that_of_the_whole(random, normalization):
    image, free = random.random((9, 12, 3), np.float32), np.zeros((9, 12), np.float32)
    free[0:2, 0:3] = free[6:9, 9:12] = free[5, 1] = 1
    free[1, 1] = 0
    parts = [Rectangle(0, 0, 2, 3), Rectangle(6, 9, 9, 12), Rectangle(5, 1, 6, 2)]
    expected = reference.total_variation(image, free, normalization)
    assert close(variation_of(image, free, parts, normalization), expected)
    assert close(variation_of(image, free, [Rectangle(0, 0, 9, 12)], normalization), expected)


@normalizations
@pytest.mark.parametrize("shape", [(1, 1, 3), (4, 5, 1), (5, 3, 7)])
def test_whole_layer_losses_match_their_twins(random, shape, normalization):
    features, target = random.normal(size=(2, *shape)).astype(np.float32)
    mask = random.random(shape[:2], np.float32)
    row = NORMALIZATIONS[normalization]
    found = content_loss(features, target, mask, 40, row)
    assert close(found, reference.content_loss(features, target, mask, 40, normalization))
    grams = [gram_matrix(values, mask, row) for values in (features, target)]
    twins = [reference.gram_matrix(v.reshape(-1, shape[2]), mask.ravel(), normalization) for v in (features, target)]
    np.testing.assert_allclose(grams, twins, rtol=1e-5, atol=1e-5)
    assert close(gram_distance(*grams, row), reference.gram_distance(*twins, normalization), 1e-4)


@normalizations
def test_gram_matrix_of_a_list_of_vectors_is_that_of_the_grid(random, normalization):
    features, mask = random.random((3, 4, 5), np.float32), random.random((3, 4), np.float32)
    as_list = gram_matrix(features.reshape(12, 5), mask.ravel(), NORMALIZATIONS[normalization])
    np.testing.assert_allclose(as_list, gram_matrix(features, mask, NORMALIZATIONS[normalization]), rtol=1e-6)


@normalizations
@pytest.mark.parametrize("size, channels", [(1, 4), (3, 2), (3, 20), (5, 3)])
def test_small_matrices_give_the_distance_of_explicit_gram_matrices(random, size, channels, normalization):
    patches, targets = random.normal(size=(2, 6, size * size, channels)).astype(np.float32)
    mask = random.random(6, np.float32)
    expected = reference.patch_gram_distance(patches, targets, mask, normalization)
    assert close(patch_gram_distance(patches, targets, mask, NORMALIZATIONS[normalization]), expected)


@normalizations
@pytest.mark.parametrize("free", ["one", "all", "random"])
def test_total_variation_matches_its_twin(random, free, normalization):
    image = random.random((5, 7, 3), np.float32)
    masks = {"one": np.eye(5, 7) * (np.arange(7) == 4), "all": np.ones((5, 7)), "random": random.random((5, 7)) > 0.5}
    mask = masks[free].astype(np.float32)
    expected = reference.total_variation(image, mask, normalization)
    assert close(variation_of(image, mask, [Rectangle(0, 0, 5, 7)], normalization), expected)


@normalizations
def test_identical_inputs_give_zero(random, normalization):
    features, mask = random.random((3, 4, 5), np.float32), random.random((3, 4), np.float32)
    patches = random.random((4, 9, 5), np.float32)
    row = NORMALIZATIONS[normalization]
    gram = gram_matrix(features, mask, row)
    assert float(content_loss(features, features, mask, 12, row)) == 0
    assert float(gram_distance(gram, gram, row)) == 0
    assert float(patch_gram_distance(patches, patches, mask[0], row)) == pytest.approx(0, abs=1e-9)
    assert float(total_variation(np.full((4, 4, 3), 0.3), *np.ones((2, 4, 4)))) == 0


@normalizations
def test_zero_features_give_finite_numbers(random, normalization):
    zeros, mask = np.zeros((3, 4, 5), np.float32), np.ones((3, 4), np.float32)
    assert not np.asarray(gram_matrix(zeros, mask, NORMALIZATIONS[normalization])).any()
    patches = random.random((2, 9, 5), np.float32)
    found = patch_gram_distance(np.zeros_like(patches), patches, np.ones(2, np.float32), NORMALIZATIONS[normalization])
    expected = reference.patch_gram_distance(np.zeros_like(patches), patches, np.ones(2), normalization)
    assert close(found, expected)


def test_one_position_and_one_channel():
    one, mask = np.full((1, 1, 1), 3, np.float32), np.float32([[0.5]])
    assert close(content_loss(one, 0 * one, mask, 1, NORMALIZATIONS["mean"]), 4.5)
    assert close(gram_matrix(one, mask, NORMALIZATIONS["sum"]), [[2.25]])
    assert close(gram_matrix(one, mask, NORMALIZATIONS["mean"]), [[4.5]])


def test_positions_outside_the_mask_do_not_count(random):
    features, target = random.random((2, 4, 4, 3), np.float32)
    mask = np.zeros((4, 4), np.float32)
    mask[1:3, 1:3] = 1
    changed = np.where(mask[..., None] > 0, features, 1e3).astype(np.float32)
    for normalization in OF_EQUATIONS:
        row = NORMALIZATIONS[normalization]
        found, again = (content_loss(values, target, mask, 16, row) for values in (features, changed))
        assert close(found, again, 1e-6)
        grams = [gram_matrix(values, mask, row) for values in (features, changed)]
        np.testing.assert_allclose(*grams, rtol=1e-6)


def test_means_do_not_depend_on_the_size_of_the_image(random):
    """Tiled twice, the same features have the same Gram matrix and the same content loss."""
    features, target = random.random((2, 4, 4, 3), np.float32)
    mask = random.random((4, 4), np.float32)
    twice = [np.concatenate([values, values]) for values in (features, target, mask)]
    for normalization in ("mean", "gatys"):
        once = gram_matrix(features, mask, NORMALIZATIONS[normalization])
        np.testing.assert_allclose(gram_matrix(twice[0], twice[2], NORMALIZATIONS[normalization]), once, rtol=1e-5)
    once = content_loss(features, target, mask, 16, NORMALIZATIONS["mean"])
    assert close(content_loss(*twice, 32, NORMALIZATIONS["mean"]), once, 1e-6)


def test_sums_run_in_float64():
    """A float32 sum of 1 and 2^16 times 2^-26 stays at 1: the small terms, which steer the optimiser, would vanish."""
    features = np.full((257, 257, 1), 2.0**-13, np.float32)
    features[0, 0] = 1
    mask = np.ones((257, 257), np.float32)
    found = content_loss(features, np.zeros_like(features), mask, 1, NORMALIZATIONS["mean"])
    assert float(found) == 1 + (257**2 - 1) * 2.0**-26


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 10), st.integers(0, 2**31))
def test_losses_scale_as_their_equations(factor, seed):
    """Features times f: content times f^2, Gram and patch distances times f^4."""
    random = np.random.default_rng(seed)
    features, target = random.random((2, 3, 3, 4))
    patches, targets = random.random((2, 2, 9, 4))
    mask, weights = random.random((3, 3)) + 0.1, random.random(2) + 0.1
    for row in (NORMALIZATIONS[normalization] for normalization in OF_EQUATIONS):

        def content(f, row=row):
            return content_loss(f * features, f * target, mask, 9, row)

        def style(f, row=row):
            return gram_distance(gram_matrix(f * features, mask, row), gram_matrix(f * target, mask, row), row)

        def patch(f, row=row):
            return patch_gram_distance(f * patches, f * targets, weights, row)

        assert close(content(factor), factor**2 * float(content(1)))
        assert close(style(factor), factor**4 * float(style(1)))
        assert close(patch(factor), factor**4 * float(patch(1)), 1e-4)


def gradient_errors() -> dict[str, float]:
    """Relative error of each loss's gradient against central differences, in float64 throughout."""
    random = np.random.default_rng(0)
    target, features = random.normal(size=(2, 3, 4, 3))
    mask = random.random((3, 4))
    directions = random.normal(size=(3, 4))
    along = ops.sort(projections(target.reshape(-1, 3), directions), axis=-1)
    styles = random.random((1, 5, 5, 3))
    errors = {}

    def variation(name):
        """Of all but the first column, which is constant."""
        return variation_term(np.round(mask) * [0, 1, 1, 1], [Rectangle(0, 1, 3, 4)], name, styles=styles)

    for normalization, row in NORMALIZATIONS.items():
        gram = np.asarray(gram_matrix(target, mask, row))
        functions = {
            "content": lambda x, row=row: content_loss(x, target, mask, 12, row),
            "gram": lambda x, row=row, gram=gram: gram_distance(gram_matrix(x, mask, row), gram, row),
            "patch": lambda x, row=row: patch_gram_distance(x, target, mask[:, 0], row),
            "variation": variation(normalization),
            "cosine": lambda x, row=row: cosine_distance(
                ops.reshape(x, (-1, 3)), unit(target.reshape(-1, 3), np.float64), mask.ravel(), row
            ),
            "sliced": lambda x: sliced_wasserstein_distance(projections(ops.reshape(x, (-1, 3)), directions), along),
        }
        for name, function in functions.items():
            evaluate = value_and_gradient(lambda x, function=function: {"loss": function(x)}, features.shape)
            gradient = np.asarray(evaluate(as_tensor(features))[1])
            differences, step = np.zeros_like(features), 1e-5
            for index in np.ndindex(features.shape):
                moved = [features.copy(), features.copy()]
                moved[0][index] += step
                moved[1][index] -= step
                high, low = (float(function(as_tensor(values))) for values in moved)
                differences[index] = (high - low) / (2 * step)
            errors[f"{name} {normalization}"] = float(np.abs(gradient - differences).max() / np.abs(differences).max())
    return errors


@pytest.fixture(scope="module")
def errors(in_float64):
    return in_float64("test_losses.gradient_errors()")


@normalizations
@pytest.mark.parametrize("loss", ["content", "gram", "patch", "variation", "cosine"])
def test_gradients_match_central_differences(errors, loss, normalization):
    assert errors[f"{loss} {normalization}"] < 1e-8


def test_relative_style_losses_by_hand(random):
    """Twice a Gram matrix is as far from it as it is from nothing; features 2 F have a Gram matrix 4 G."""
    gram, row = random.random((4, 4), np.float32), NORMALIZATIONS["relative"]
    patches, mask = random.random((3, 9, 5), np.float32), random.random(3).astype(np.float32)
    assert close(gram_distance(2 * gram, gram, row), 1)
    assert close(patch_gram_distance(2 * patches, patches, mask, row), 9)  # (4 - 1)^2
    assert close(gram_distance(gram, 0 * gram, row), 1e12 * np.square(gram).sum())  # not infinite


def test_relative_gradients_match_central_differences(errors):
    for loss in ("content", "gram", "patch", "variation", "cosine", "sliced"):
        assert errors[f"{loss} relative"] < 1e-8


def test_sliced_distance_by_hand():
    """1, 2, 3 in any order are the same set; each 1 more, they are 3 / (1 + 4 + 9) away."""
    target = np.float32([[1, 2, 3]])
    assert float(sliced_wasserstein_distance(np.float32([[3, 1, 2]]), target)) == 0
    assert close(sliced_wasserstein_distance(np.float32([[4, 2, 3]]), target), 3 / 14)


def test_quantiles_by_hand():
    """Two samples stand for the lower and the upper half: at a quarter and at three quarters of the distribution."""
    values = np.float64([[1, 3], [0, 8]])
    np.testing.assert_array_equal(quantiles(values, 2), values)
    np.testing.assert_allclose(quantiles(values, 4), [[1, 1.5, 2.5, 3], [0, 2, 6, 8]])
    np.testing.assert_allclose(quantiles(values, 1), [[2], [4]])
    np.testing.assert_allclose(quantiles(np.float64([5]), 3), [5, 5, 5])


@pytest.mark.parametrize("shape", [(11,), (2, 5), (3, 40)])
@pytest.mark.parametrize("count", [7, 8, 30])
def test_quantiles_are_the_same_some_at_a_time(random, shape, count, monkeypatch):
    values = np.sort(random.normal(size=shape))
    at_once = as_array(quantiles(values, count))
    monkeypatch.setattr(sliced, "SAMPLES", 4)
    some_at_a_time = as_array(quantiles(values, count))
    assert some_at_a_time.shape == (*shape[:-1], count)
    np.testing.assert_allclose(some_at_a_time, at_once, rtol=1e-12)


@pytest.mark.parametrize("numbers", [[2.0], [3, 1, 2], [5, 5, -1, 5, 0], [0, -0.0, 1e-30, -1e30]])
def test_what_is_sorted_is_put_back(numbers):
    numbers = np.float32(numbers)
    in_order, put_back = sort(as_tensor(numbers))
    assert as_array(in_order).tolist() == sorted(numbers.tolist())
    assert as_array(put_back(in_order)).tolist() == numbers.tolist()
    assert sorted(as_array(put_back(np.arange(len(numbers), dtype=np.float32)))) == list(range(len(numbers)))


def test_sliced_distance_is_the_cheapest_assignment(random):
    """Along one direction no pairing of two sets costs less than the sorted one (Heitz et al. 2021)."""
    first, second = random.normal(size=(2, 5, 3)).astype(np.float32)
    direction = np.float32([[0.6], [0], [0.8]])
    target = ops.sort(projections(second, direction), axis=-1)
    along, other = first @ direction[:, 0], second @ direction[:, 0]
    cheapest = min(np.square(along[list(order)] - other).sum() for order in permutations(range(5)))
    found = sliced_wasserstein_distance(projections(first, direction), target)
    assert close(found, cheapest / np.square(other).sum())


# Two features of two channels; the second counts half.
ALONG = np.float32([[3, 4], [0, 2]])


@pytest.mark.parametrize(
    "targets, of_each",
    [
        ([[6, 8], [0, 5]], (0, 0)),  # parallel, of other lengths
        ([[4, -3], [7, 0]], (1, 1)),  # at right angles
        ([[-3, -4], [0, -9]], (2, 2)),  # opposite
        ([[4, 3], [3, 4]], (0.04, 0.2)),  # cosines of 24 / 25 and of 8 / 10
    ],
)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_cosine_distance_by_hand(targets, of_each, normalization):
    wanted = unit(np.float32(targets), np.float32)
    found = cosine_distance(ALONG, wanted, np.float32([1, 0.5]), NORMALIZATIONS[normalization])
    expected = (of_each[0] + of_each[1] / 2) / (1 if normalization in ("sum", "keras") else 1.5)
    assert float(found) == pytest.approx(expected, abs=1e-6)


@normalizations
@pytest.mark.parametrize("shape", [(1, 1), (6, 5), (4, 40)])
def test_cosine_distance_matches_its_twin(random, shape, normalization):
    features, targets = random.normal(0, 10, (2, *shape)).astype(np.float32)
    mask = 0.1 + random.random(shape[0], np.float32)
    expected = reference.cosine_distance(features, targets, mask, normalization)
    found = cosine_distance(features, unit(targets, np.float32), mask, NORMALIZATIONS[normalization])
    assert float(found) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("factor", [1e-1, 1e3, 1e6])
def test_cosine_distance_knows_no_lengths(random, factor):
    """Neither the features' nor the targets', whose squares may be as large as of the deep layers."""
    features, targets = random.normal(0, 10, (2, 7, 5)).astype(np.float32)
    mask, row = random.random(7, np.float32), NORMALIZATIONS["mean"]

    def distance(features, targets):
        return float(cosine_distance(features, unit(targets, np.float32), mask, row))

    factor = np.float32(factor)
    assert distance(factor * features, targets) == pytest.approx(distance(features, targets), rel=1e-5)
    assert distance(features, factor * targets) == pytest.approx(distance(features, targets), rel=1e-5)


def test_targets_in_half_precision_have_the_same_angles(random):
    """Of lengths that half precision does not have, up to a thousandth of a right angle."""
    features, targets = 1e5 * random.random((2, 50, 64), np.float32)
    mask, row = np.ones(50, np.float32), NORMALIZATIONS["mean"]
    halves = unit(targets, np.float16)
    assert halves.dtype == np.float16 and np.isfinite(halves).all()
    found, expected = (
        float(cosine_distance(features, of.astype(np.float32), mask, row)) for of in (halves, unit(targets, np.float32))
    )
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("which", ["features", "targets", "both"])
def test_features_of_zeros_have_a_finite_angle_and_gradient(random, which):
    """Both are what a network gives of black, or of dead channels: as far away as if at right angles."""
    features, targets = random.random((2, 4, 5), np.float32)
    features[1] *= which == "targets"
    targets[1] *= which == "features"
    mask, row = np.float32([0, 1, 0, 0]), NORMALIZATIONS["mean"]
    evaluate = value_and_gradient(
        lambda x: {"loss": cosine_distance(x, unit(targets, np.float32), mask, row)}, features.shape
    )
    terms, gradient = evaluate(as_tensor(features))
    assert close(terms["loss"], 1)
    assert np.isfinite(np.asarray(gradient)).all()
