"""Each measure on images made so that the answer is known."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from reproduce import metrics
from reproduce.errors import InputError

SIDE = 96


def fake_extractor(image):
    """Colours, and the 2 x 2 averages of a few of their products: features of two sizes, none negative."""
    image = image + np.float32(0.1)
    height, width = image.shape[0] // 2, image.shape[1] // 2
    products = np.concatenate([image, image * image[..., [1, 2, 0]]], axis=-1)
    pooled = products[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 6).mean(axis=(1, 3))
    return {"fine": image, "coarse": pooled.astype(np.float32)}


def texture(seed, spread=0.08, level=0.5, shape=(SIDE, SIDE)):
    noise = cv2.GaussianBlur(np.random.default_rng(seed).standard_normal((*shape, 3)), (0, 0), 1.0)
    return np.clip(level + spread * noise / noise.std(), 0, 1).astype(np.float32)


def disc(radius, shape=(SIDE, SIDE)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (np.hypot(rows - shape[0] / 2, columns - shape[1] / 2) <= radius).astype(np.float32)


MASK, GROWN = disc(24), disc(30)


def inside(image, other, mask=MASK):
    """`image` inside the mask, `other` outside."""
    return np.where(mask[..., None] > 0.5, image, other).astype(np.float32)


@pytest.fixture(scope="module")
def painting():
    return texture(0)


@pytest.fixture(scope="module")
def naive(painting):
    columns = np.linspace(0.1, 0.9, SIDE, dtype=np.float32)
    photo = np.repeat(np.stack([columns, columns**2, 1 - columns], axis=-1)[None], SIDE, axis=0)
    return inside(photo, painting)


@pytest.fixture(scope="module")
def judge(painting, naive):
    return metrics.Judge(painting, naive, MASK, GROWN, fake_extractor, {"published": inside(texture(1), painting)})


def grain_of(result, painting):
    return metrics.grain(metrics.lightness(result), metrics.lightness(painting), MASK, GROWN)


# Judge


def test_the_naive_composite_is_the_control(judge, naive):
    measures = judge(naive)
    assert measures["background"] == 0
    assert measures["style"] == measures["content"] == measures["reference_published"] == 1


def test_a_copy_of_the_reference_is_at_no_distance_from_it(judge, painting):
    assert judge(inside(texture(1), painting))["reference_published"] == 0


def test_the_painting_itself_has_its_style_and_grain_but_not_the_content(judge, painting):
    measures = judge(painting)
    assert measures["style"] < 0.2
    assert measures["grain"] == pytest.approx(1, abs=0.1)
    assert measures["color_grain"] == pytest.approx(1, abs=0.1)
    assert measures["seam"] == pytest.approx(1, abs=0.2)
    assert measures["content"] < 0.6


def test_results_between_two_images_are_ordered(judge, painting, naive):
    steps = [judge(((1 - t) * naive + t * painting).astype(np.float32)) for t in (0, 0.5, 1)]
    assert steps[0]["style"] > steps[1]["style"] > steps[2]["style"]
    assert steps[0]["content"] > steps[1]["content"] > steps[2]["content"]


def test_the_painting_s_own_grain_is_the_scale_even_if_the_result_changed_all_of_it(judge, painting):
    noise = np.random.default_rng(9).standard_normal(painting.shape).astype(np.float32)
    measures = judge(np.clip(painting + 0.05 * noise, 0, 1))
    assert measures["grain"] > 1.5
    assert measures["color_grain"] > 1.5


def test_measures_are_floats_that_json_takes(judge):
    assert all(type(value) is float for value in judge(texture(2)).values())


def test_the_painting_is_looked_at_once(painting, naive):
    seen = []
    judge = metrics.Judge(painting, naive, MASK, GROWN, lambda image: seen.append(1) or fake_extractor(image))
    judge(naive), judge(painting)
    assert len(seen) == 2 + 2


def test_style_is_the_mean_of_the_layers_ratios(judge, painting, naive):
    def distance(image, layer, positions):
        features = fake_extractor(image)[layer][positions]
        whole = fake_extractor(painting)[layer].reshape(-1, features.shape[1])
        return metrics.sliced_wasserstein(metrics.projected_quantiles(features), metrics.projected_quantiles(whole))

    result = inside(texture(3, level=0.7), painting)
    coarse = MASK.reshape(SIDE // 2, 2, SIDE // 2, 2).mean(axis=(1, 3)) > 0.5
    positions = {"fine": MASK > 0.5, "coarse": coarse}
    ratios = [distance(result, k, p) / distance(naive, k, p) for k, p in positions.items()]
    assert judge(result)["style"] == pytest.approx(np.mean(ratios), rel=1e-5)


# background


def test_background_is_the_largest_change_outside(painting):
    result = painting.copy()
    result[48, 48] = 0  # under the mask: free to change
    assert metrics.background(result, painting, GROWN) == 0
    result[2, 3, 1] += 0.25
    result[90, 90, 0] -= 0.125
    assert metrics.background(result, painting, GROWN) == pytest.approx(0.25)


def test_a_pixel_counts_as_background_only_where_the_grown_mask_is_exactly_0(painting):
    soft = GROWN.copy()
    soft[2, 3] = 0.01
    result = painting.copy()
    result[2, 3] += 0.25
    assert metrics.background(result, painting, soft) == 0


def test_a_shifted_region_raises_background(painting):
    shifted = painting.copy()
    shifted[:20, :20] = painting[:20, 1:21]
    assert metrics.background(shifted, painting, GROWN) > 0.05


# style


def test_sliced_wasserstein_of_one_channel_by_hand():
    # In one dimension a direction is +1 or -1, and the distance of a set from its copy moved by 3 is 3.
    samples = np.array([[0.0], [1.0], [5.0]], np.float32)
    first, second = metrics.projected_quantiles(samples), metrics.projected_quantiles(samples + 3)
    assert metrics.sliced_wasserstein(first, second) == pytest.approx(3)
    # Two points a, b against their mean: the root of the mean square of the distances from it.
    first = metrics.projected_quantiles(np.repeat(np.float32([[-2.0], [2.0]]), 5000, axis=0))
    second = metrics.projected_quantiles(np.zeros((1, 1), np.float32))
    assert metrics.sliced_wasserstein(first, second) == pytest.approx(2)


def test_sliced_wasserstein_of_a_shift_follows_from_the_dimension():
    # The mean square of a unit direction's component along the shift is 1 / C.
    samples = np.random.default_rng(0).random((500, 16)).astype(np.float32)
    shift = np.zeros(16, np.float32)
    shift[4] = 2
    distance = metrics.sliced_wasserstein(*map(metrics.projected_quantiles, (samples, samples + shift)))
    assert distance == pytest.approx(2 / np.sqrt(16), rel=0.15)


def test_sets_of_other_sizes_from_the_same_distribution_are_close():
    rng = np.random.default_rng(0)
    few, many = (rng.standard_normal((n, 8)).astype(np.float32) for n in (900, 20000))
    few, many, wide = map(metrics.projected_quantiles, (few, many, 2 * many))
    assert metrics.sliced_wasserstein(few, many) < 0.1
    assert metrics.sliced_wasserstein(wide, many) == pytest.approx(1, abs=0.1)  # standard deviation 2 against 1


@given(arrays.arrays(np.float32, (7, 3), elements=st.floats(-5, 5, width=32)), st.permutations(range(7)))
def test_the_order_and_the_number_of_samples_do_not_matter(samples, order):
    quantiles = metrics.projected_quantiles(samples)
    assert quantiles.shape == (metrics.QUANTILES, metrics.PROJECTIONS)
    np.testing.assert_allclose(quantiles, metrics.projected_quantiles(samples[order]), atol=1e-5)


def test_quantiles_are_numpy_s_hazen_quantiles():
    samples = np.random.default_rng(0).standard_normal((333, 1)).astype(np.float32)
    levels = (np.arange(metrics.QUANTILES) + 0.5) / metrics.QUANTILES
    expected = {sign: np.quantile(sign * samples, levels, method="hazen") for sign in (1, -1)}
    for column in metrics.projected_quantiles(samples).T:
        assert min(np.abs(column - e).max() for e in expected.values()) < 1e-5


# The mask at a layer


def test_features_inside_keeps_positions_covered_by_more_than_half():
    features = np.arange(4, dtype=np.float32).reshape(2, 2, 1)
    mask = np.zeros((4, 4), np.float32)
    mask[:2, :2] = 1  # all of the first position
    mask[2, 2:], mask[3, 2] = 1, 1  # three quarters of the last
    mask[0, 2], mask[1, 2] = 1, 1  # half of the second: not more
    np.testing.assert_array_equal(metrics.features_inside(features, mask), [[0], [3]])


def test_features_inside_of_a_hairline_are_those_it_fills_most():
    features = np.arange(4, dtype=np.float32).reshape(2, 2, 1)
    mask = np.zeros((8, 8), np.float32)
    mask[:, 5] = 1
    np.testing.assert_array_equal(metrics.features_inside(features, mask), [[1], [3]])
    mask[6:, 5] = 0
    np.testing.assert_array_equal(metrics.features_inside(features, mask), [[1]])


# content


def test_content_does_not_see_brightness_or_contrast_but_structure(naive):
    assert metrics.content(naive, naive, MASK) == 1
    strong = texture(4, spread=0.15)
    paler = (0.2 + 0.7 * strong).astype(np.float32)
    assert metrics.content(paler, strong, MASK) > 0.95
    assert abs(metrics.content(texture(5, spread=0.15), strong, MASK)) < 0.2
    assert metrics.content(1 - strong, strong, MASK) < -0.7


def test_content_looks_at_the_mask_only(naive):
    outside_changed = inside(naive, texture(6), disc(24 + 8))  # the window reaches 5 pixels
    assert metrics.content(outside_changed, naive, MASK) == pytest.approx(1)
    assert metrics.content(inside(texture(6), naive), naive, MASK) < 0.7


def test_content_against_a_naive_twin():
    """SSIM's structure term at one pixel, from the definitions of weighted covariance and variance."""
    first, second = texture(7), (0.5 * texture(7) + 0.5 * texture(8)).astype(np.float32)
    pixel = np.zeros((SIDE, SIDE), np.float32)
    pixel[40, 50] = 1
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    x, y = (cv2.cvtColor(i, cv2.COLOR_RGB2LAB)[35:46, 45:56, 0].astype(float) for i in (first, second))
    x, y = x - (window * x).sum(), y - (window * y).sum()
    covariance, variances = (window * x * y).sum(), (window * x * x).sum() * (window * y * y).sum()
    expected = (covariance + 9) / (np.sqrt(variances) + 9)
    assert metrics.content(first, second, pixel) == pytest.approx(expected, rel=1e-4)


# grain


def test_grain_of_one_texture_is_1_noise_raises_it_and_blur_lowers_it(painting):
    noise = np.random.default_rng(9).standard_normal(painting.shape).astype(np.float32)
    noisy = inside(np.clip(painting + 0.05 * noise, 0, 1), painting)
    blurred = inside(cv2.GaussianBlur(painting, (0, 0), 1.5), painting)
    assert grain_of(painting, painting) == pytest.approx(1, abs=0.1)
    assert grain_of(noisy, painting) > 1.5
    assert grain_of(blurred, painting) < 0.5


def test_grain_by_hand():
    # Stripes of one pixel have a Laplacian of 4 times their amplitude, checks of 8 times.
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    stripes, checks = (-1) ** columns, (-1) ** (rows + columns)
    result = np.where(disc(28) > 0.5, 3 * checks, stripes).astype(np.float32)
    assert metrics.grain(result, stripes, MASK, GROWN) == pytest.approx(6, rel=0.01)


def test_colour_noise_shows_in_the_grain_of_chroma(painting):
    lab = cv2.cvtColor(painting, cv2.COLOR_RGB2LAB)
    lab[..., 1:] += 8 * np.random.default_rng(10).standard_normal((SIDE, SIDE, 2)).astype(np.float32)
    result = inside(np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1), painting)
    assert metrics.grain(metrics.chroma(result), metrics.chroma(painting), MASK, GROWN) > 1.5
    assert grain_of(result, painting) == pytest.approx(grain_of(painting, painting), abs=0.15)


def test_a_hard_edge_of_the_mask_is_not_grain(painting):
    moved = inside(np.clip(painting + 0.3, 0, 1), painting)
    assert grain_of(moved, painting) == pytest.approx(1, abs=0.2)


def test_grain_of_a_flat_painting():
    flat = np.full((SIDE, SIDE), 50, np.float32)
    assert metrics.grain(flat, flat, MASK, GROWN) == 1
    assert metrics.grain(texture(11)[..., 0], flat, MASK, GROWN) == float("inf")


def test_grain_of_an_object_thinner_than_its_edge(painting):
    line = np.zeros((SIDE, SIDE), np.float32)
    line[48, 20:60] = 1
    light = metrics.lightness(painting)
    assert metrics.grain(light, light, line, GROWN) == pytest.approx(1, abs=0.3)


# seam


def test_a_hard_edge_raises_the_seam_and_feathering_lowers_it():
    painting = texture(12, spread=0.02)
    brighter = np.clip(painting + 0.3, 0, 1)
    soft = cv2.GaussianBlur(MASK, (0, 0), 4)[..., None]
    hard_seam = metrics.seam(inside(brighter, painting), painting, MASK)
    soft_seam = metrics.seam((soft * brighter + (1 - soft) * painting).astype(np.float32), painting, MASK)
    assert hard_seam > 3 > soft_seam > 1
    assert metrics.seam(painting, painting, MASK) == pytest.approx(1, abs=0.2)


def test_a_seam_of_colour_alone_counts():
    painting = texture(12, spread=0.02)
    lab = cv2.cvtColor(painting, cv2.COLOR_RGB2LAB)
    lab[..., 1] += 30
    colored = inside(np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1), painting)
    assert metrics.seam(colored, painting, MASK) > 3


def test_an_edge_elsewhere_is_not_a_seam(painting):
    elsewhere = inside(np.clip(painting + 0.3, 0, 1), painting, disc(10))
    assert metrics.seam(elsewhere, painting, MASK) == pytest.approx(metrics.seam(painting, painting, MASK))


def test_lines_across_the_edge_are_not_a_seam():
    """A gradient along the edge of a half plane is not one across it."""
    half = np.zeros((SIDE, SIDE), np.float32)
    half[:, : SIDE // 2] = 1
    rows = np.linspace(0.2, 0.8, SIDE, dtype=np.float32)
    along = np.repeat(np.repeat(rows[:, None, None], SIDE, axis=1), 3, axis=2)
    painting = np.swapaxes(along, 0, 1)
    assert metrics.seam(along, painting, half) < 0.01
    assert metrics.seam(painting, painting, half) == pytest.approx(1, abs=0.1)


def test_signed_distance_counts_from_the_edge():
    mask = np.zeros((5, 6), np.float32)
    mask[:, :3] = 1
    np.testing.assert_allclose(metrics.signed_distance(mask), np.tile([-3, -2, -1, 1, 2, 3], (5, 1)), atol=1e-5)


# reference


def test_perceptual_distance_by_hand():
    first = {"a": np.float32([[3, 0], [0, 2]]), "b": np.float32([[1, 1]])}
    second = {"a": np.float32([[5, 0], [7, 0]]), "b": np.float32([[0, 4]])}
    # a: the same direction, then two at right angles: (0 + 2) / 2. b: 45 degrees: 2 - 2 cos. Lengths do not count.
    assert metrics.perceptual_distance(first, second) == pytest.approx((1 + (2 - np.sqrt(2))) / 2, rel=1e-6)
    assert metrics.perceptual_distance(first, first) == 0


def test_perceptual_distance_of_dead_features_is_finite():
    dead = {"a": np.zeros((4, 3), np.float32)}
    assert metrics.perceptual_distance(dead, dead) == 0
    assert metrics.perceptual_distance(dead, {"a": np.ones((4, 3), np.float32)}) == pytest.approx(1)


# Colour


def test_lightness_and_chroma_of_known_colours():
    image = np.float32([[[0, 0, 0], [1, 1, 1], [1, 0, 0]]])
    np.testing.assert_allclose(metrics.lightness(image), [[0, 100, 53.24]], atol=0.1)
    np.testing.assert_allclose(metrics.chroma(image), [[[0, 0], [0, 0], [80.1, 67.2]]], atol=0.2)


# Bad input


@pytest.mark.parametrize("wrong", ["painting", "naive", "mask", "grown_mask", "reference", "result"])
def test_sizes_that_do_not_match(wrong, painting, naive):
    case = {
        "painting": painting,
        "naive": naive,
        "mask": MASK,
        "grown_mask": GROWN,
        "result": naive,
        "reference": naive,
    }
    case[wrong] = case[wrong][:, :-16]
    with pytest.raises(InputError, match=r"same size.*80 x 96"):
        result, references = case.pop("result"), {"first pass": case.pop("reference")}
        metrics.Judge(**case, references=references, extractor=fake_extractor)(result)


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("mask", np.zeros((SIDE, SIDE)), "selects something"),
        ("mask", np.ones((SIDE, SIDE)), "leaves some painting"),
        ("mask", 2 * MASK, r"in \[0, 1\]"),
        ("grown_mask", np.maximum(GROWN, 0.25), "0 somewhere"),
        ("result", np.full((SIDE, SIDE, 3), np.nan), "finite"),
        ("result", np.full((SIDE, SIDE, 3), 255.0), r"in \[0, 1\]"),
        ("result", np.zeros((SIDE, SIDE)), r"\(height, width, 3\)"),
    ],
)
def test_what_is_no_image_or_mask(argument, value, message, painting, naive):
    case = {"painting": painting, "naive": naive, "mask": MASK, "grown_mask": GROWN, "result": naive, argument: value}
    result = case.pop("result")
    with pytest.raises(InputError, match=message):
        metrics.Judge(**case, extractor=fake_extractor)(result)
