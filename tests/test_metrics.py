"""Each measure on images made so that the answer is known."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from reproduce import metrics
from reproduce.errors import InputError
from reproduce.images.arrays import from_lab, to_lab

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


def grey(lightness):
    """An image (H, W, 3) of that L* (H, W), without colour."""
    return from_lab(lightness, np.zeros((*np.shape(lightness), 2)))


def in_lab(lightness, red=0.0, yellow=0.0):
    return np.dstack(np.broadcast_arrays(lightness, red, yellow)).astype(np.float32)


def rgb(lab):
    return from_lab(lab[..., 0], lab[..., 1:])


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
    assert measures["one_sided"] == measures["stretch"] == 1


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


def test_what_is_the_painting_s_own_is_at_no_one_sided_distance_and_what_is_like_it_is_near(judge, painting):
    assert judge(painting)["one_sided"] < 0.01
    assert judge(inside(texture(1), painting))["one_sided"] < 0.5


def test_one_sided_does_not_ask_for_all_that_the_painting_has(judge, painting):
    quiet = inside(cv2.GaussianBlur(painting, (0, 0), 2), painting)
    measures, of_another_painting = judge(quiet), judge(inside(texture(1), painting))
    assert measures["one_sided"] < 0.1
    assert measures["style"] > 2 * of_another_painting["style"]


def test_one_sided_is_the_mean_of_the_ratios_of_all_layers_but_the_shallowest(painting, naive):
    def extractor(image):
        layers = fake_extractor(image)
        return layers | {"coarser": layers["coarse"][::2, ::2] ** 2}

    def distance(image, layer):
        features, whole = (extractor(i)[layer] for i in (image, painting))
        size = SIDE // len(features)
        area = MASK.reshape(len(features), size, len(features), size).mean(axis=(1, 3))
        return metrics.nearest_distance(features[area > 0.5], whole.reshape(-1, whole.shape[-1]))

    result = inside(texture(3, level=0.7), painting)
    ratios = [distance(result, layer) / distance(naive, layer) for layer in ("coarse", "coarser")]
    measures = metrics.Judge(painting, naive, MASK, GROWN, extractor)(result)
    assert measures["one_sided"] == pytest.approx(np.mean(ratios), rel=1e-4)


def test_tones_are_compared_with_the_pasted_object_s_and_their_range_with_the_painting_s(judge, painting, naive):
    result = inside(np.clip(1.2 * naive, 0, 1), painting)
    measures = judge(result)
    assert measures["stretch"] == metrics.stretch(result, naive, MASK) > 1.1
    assert measures["uneven"] == metrics.uneven(result, naive, MASK)
    assert measures["beyond"] == metrics.beyond(result, painting, MASK) > metrics.beyond(result, naive, MASK)


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


# one_sided


def test_nearest_distance_by_hand():
    features = np.float32([[2, 0, 0], [1, 1, 0], [0, 0, 5]])
    # Its own direction; 45 degrees from it; at right angles to all there is.
    assert metrics.nearest_distance(features, np.float32([[1, 0, 0]])) == pytest.approx((0 + (1 - 0.5**0.5) + 1) / 3)
    assert metrics.nearest_distance(features[2:], features[:2]) == pytest.approx(1)


def test_nearest_distance_against_a_naive_twin(random):
    features, painting = random.random((30, 5), np.float32), random.random((40, 5), np.float32)
    total = 0.0
    for one in features.astype(np.float64):
        total += 1 - max(one @ other / np.sqrt((one @ one) * (other @ other)) for other in painting.astype(np.float64))
    assert metrics.nearest_distance(features, painting) == pytest.approx(total / 30, rel=1e-4)


def test_nearest_distance_of_a_part_is_0_and_never_below(random):
    for count in range(1, 300):
        features = random.random((10, count), np.float32)
        assert 0 <= metrics.nearest_distance(3 * features[:4], features) < 1e-6


def test_more_of_a_painting_is_never_farther(random):
    features, painting = random.random((20, 6), np.float32), random.random((60, 6), np.float32)
    distances = [metrics.nearest_distance(features, painting[:count]) for count in (1, 5, 20, 60)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < distances[0] / 2


def test_places_are_taken_one_by_one_however_many_are_held_at_once(random):
    features, painting = random.random((700, 8), np.float32), random.random((50, 8), np.float32)
    single = [metrics.nearest_distance(one[None], painting) for one in features]
    assert metrics.nearest_distance(features, painting) == pytest.approx(np.mean(single), rel=1e-4)


def test_of_many_places_some_at_even_steps_are_looked_at(monkeypatch):
    monkeypatch.setattr(metrics, "NEAREST_PLACES", 4)
    features, painting = np.zeros((10, 2), np.float32), np.float32([[1, 0]])
    features[[0, 3, 6, 9], 0] = 1
    features[[1, 2, 4, 5, 7, 8], 1] = 1
    assert metrics.nearest_distance(features, painting) == 0
    assert metrics.nearest_distance(features[:4], painting) == pytest.approx(0.5)


def test_places_are_left_out_only_where_there_are_too_many():
    features, painting = np.tile(np.eye(2, dtype=np.float32), (metrics.NEAREST_PLACES, 1)), np.float32([[1, 0]])
    assert metrics.nearest_distance(features[: metrics.NEAREST_PLACES], painting) == pytest.approx(0.5)
    assert metrics.nearest_distance(features, painting) == 0  # every second one


# Tones


def test_tones_by_hand():
    # At 100 pixels the Gaussian's sigma is 1: neighbours weigh exp(-1/2) beside the pixel itself.
    values, mask = np.full((100, 60, 2), 7, np.float32), np.zeros((100, 60), np.float32)
    values[50, 30], values[50, 31] = (0, 4), (1, 4)
    mask[50, 30:32] = 1
    neighbour = np.exp(-0.5) / (1 + np.exp(-0.5))
    found = metrics.tones(values, mask)
    np.testing.assert_allclose(found[50, 30:32], [[neighbour, 4], [1 - neighbour, 4]], rtol=1e-4)


def test_tones_against_a_naive_twin(random):
    values, mask = random.random((40, 50, 2), np.float32), random.random((40, 50), np.float32)
    sigma = 50 / 100
    own = np.argwhere(mask > 0.5)
    for row, column in [place for place in own if place.min() > 5 and place.max() < 35][::50]:
        total, weights = np.zeros(2), 0.0
        for y, x in own:
            weight = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2))
            total, weights = total + weight * values[y, x], weights + weight
        np.testing.assert_allclose(metrics.tones(values, mask)[row, column], total / weights, rtol=1e-3)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_flat_object_has_its_own_tone_up_to_its_edge(channels):
    values = inside(np.full((SIDE, SIDE, 3), 60.0), np.full((SIDE, SIDE, 3), -1000.0))[..., :channels]
    found = metrics.tones(values, MASK)
    assert found.shape == values.shape
    np.testing.assert_allclose(found[MASK > 0.5], 60, rtol=1e-5)


def test_tones_keep_what_is_slow_and_lose_what_is_fast():
    rows, columns = np.mgrid[:400, :400].astype(np.float32)
    slow, checks = np.sin(columns / 60), (-1) ** (rows + columns)
    found = metrics.tones((slow + checks)[..., None], disc(150, (400, 400)))[..., 0]
    inner = disc(130, (400, 400)) > 0.5
    np.testing.assert_allclose(found[inner], slow[inner], atol=0.01)


@pytest.mark.parametrize("measure", [metrics.stretch, metrics.uneven, metrics.beyond])
def test_what_lies_outside_the_object_has_no_tones(measure, painting, naive):
    result, other = inside(texture(3, spread=0.2), painting), texture(6, level=0.8)
    compared = painting if measure is metrics.beyond else naive
    own = compared if measure is metrics.beyond else inside(naive, other)
    assert measure(inside(result, other), own, MASK) == measure(result, compared, MASK)


# stretch


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5, -0.5])
@pytest.mark.parametrize("shift", [0, 8])
def test_stretch_is_the_scale_of_lightness(scale, shift):
    waves = np.add.outer(np.sin(np.arange(SIDE) / 5), np.cos(np.arange(SIDE) / 7))
    naive, result = grey(50 + 10 * waves), grey(50 + shift + scale * 10 * waves)
    assert metrics.stretch(result, naive, MASK) == pytest.approx(scale, abs=0.005)


def test_stretch_is_the_slope_numpy_fits(painting, naive):
    result = (0.6 * naive + 0.4 * texture(3)).astype(np.float32)
    x, y = (metrics.tones(to_lab(image)[..., :1], MASK)[MASK > 0.5, 0].astype(float) for image in (naive, result))
    assert metrics.stretch(result, naive, MASK) == pytest.approx(np.polyfit(x, y, 1)[0], rel=1e-4)


def test_stretch_does_not_see_colours_and_grain():
    rows, columns = np.mgrid[:SIDE, :SIDE]
    light = 50 + 15 * np.sin(columns / 10)
    result = rgb(in_lab(light + 4 * (-1.0) ** (rows + columns), 8 * np.cos(rows / 10), 8))
    assert metrics.stretch(result, grey(light), MASK) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("level", [0.0, 0.3, 0.77, 1.0])
def test_what_has_no_spread_is_not_stretched(level, painting):
    flat = np.full((SIDE, SIDE, 3), level, np.float32)
    assert metrics.stretch(texture(3), inside(flat, painting), MASK) == 1
    assert metrics.stretch(inside(flat, painting), texture(3), MASK) == pytest.approx(0, abs=1e-3)


# uneven


def plates(side, shifts, channel=0):
    """Alike plates in a row, dark on the left and light on the right, each shifted in one channel; and their mask."""
    gap = side // 2
    plate = in_lab(np.repeat([[40.0, 60.0]], side // 2, axis=1).repeat(side, axis=0))
    lab = np.full((side + 2 * gap, len(shifts) * (side + gap) + gap, 3), 10, np.float32)
    mask = np.zeros(lab.shape[:2], np.float32)
    for number, shift in enumerate(shifts):
        place = np.s_[gap : gap + side, gap + number * (side + gap) : (number + 1) * (side + gap)]
        lab[place] = plate
        lab[(*place, channel)] += shift
        mask[place] = 1
    return rgb(lab), mask


@pytest.mark.parametrize("side", [16, 120])
@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize(
    ("shifts", "expected"),
    [
        ((7, 7), 0),
        ((6, -6), 6),
        ((9, 0, 0), ((6**2 + 3**2 + 3**2) / 3) ** 0.5),
    ],
)
def test_uneven_is_how_far_alike_places_lie_from_their_mean(side, channel, shifts, expected):
    naive, mask = plates(side, [0] * len(shifts))
    result, _ = plates(side, shifts, channel)
    assert metrics.uneven(result, naive, mask) == pytest.approx(expected, abs=0.2)


def test_a_tone_that_all_alike_places_share_is_even():
    naive = grey(np.tile(np.linspace(20, 80, SIDE), (SIDE, 1)))
    light = to_lab(naive)[..., 0]
    toned = rgb(in_lab(30 + 0.5 * light, 0.1 * light, 10 - 0.1 * light))
    across = rgb(in_lab(light, 0, 10 * np.sin(np.arange(SIDE) / 8)[:, None]))
    assert metrics.uneven(toned, naive, MASK) < 1.2 * metrics.uneven(naive, naive, MASK)
    assert metrics.uneven(across, naive, MASK) > 5


def test_a_flat_object_is_one_group_or_many_that_are_alike(painting):
    flat = inside(np.full((SIDE, SIDE, 3), 0.5, np.float32), painting)
    rows = np.where(np.arange(SIDE) % 24 < 12, 44.0, 56.0)
    striped = grey(np.tile(rows[:, None], (1, SIDE)))
    assert metrics.uneven(flat, flat, MASK) < 0.01
    assert metrics.uneven(striped, flat, MASK) == pytest.approx(6, rel=0.15)


# beyond


@pytest.mark.parametrize(
    ("lightness", "share"),
    [(100, 0.5), (70, 0.5), (64, 0.5), (62, 0), (45, 0), (28, 0), (26, 0.5), (20, 0.5), (0, 0.5)],
)
def test_beyond_is_the_share_clearly_outside_the_painting_s_lightness(lightness, share):
    painting = grey(np.tile(np.linspace(30, 60, SIDE), (SIDE, 1)))
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[20:60, 30:70] = 1
    light = np.full((SIDE, SIDE), 45.0)
    light[20:40] = lightness
    assert metrics.beyond(grey(light), painting, mask) == share


def test_both_ends_count_and_colours_do_not():
    painting = grey(np.tile(np.linspace(30, 60, SIDE), (SIDE, 1)))
    light = np.full((SIDE, SIDE), 45.0)
    light[40:50], light[50:] = 80, 10
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[30:60, 30:60] = 1
    assert metrics.beyond(grey(light), painting, mask) == pytest.approx(2 / 3)
    assert metrics.beyond(rgb(in_lab(np.full((SIDE, SIDE), 45.0), 40, 30)), painting, mask) == 0


def test_a_few_lights_of_the_painting_are_not_its_range():
    light = np.tile(np.linspace(30, 60, SIDE), (SIDE, 1))
    light[0, :20], light[1, :20] = 100, 0
    for tone in (90, 10):
        assert metrics.beyond(grey(np.full((SIDE, SIDE), tone)), grey(light), MASK) == 1
    light[:2] = 90
    assert metrics.beyond(grey(np.full((SIDE, SIDE), 90)), grey(light), MASK) == 0


# Each fault is seen by its own measure


WIDE = (256, 256)
WELL = {"grain": 1, "color_grain": 1, "stretch": 1, "uneven": 1.5, "beyond": 0}
LITTLE = {"grain": 0.1, "color_grain": 0.1, "stretch": 0.1, "uneven": 0.5, "beyond": 0.02}
FAULTS = {
    "bleached": {"stretch": (1.5, 3), "beyond": (0.1, 0.5)},
    "tinted": {"uneven": (5, 8)},
    "patchy": {"uneven": (5, 8)},
    "blurred": {"grain": (0, 0.4), "color_grain": (0, 0.4)},
    "noisy": {"grain": (3, 9)},
    "noisy in colour": {"color_grain": (3, 20)},
}


@pytest.fixture(scope="module")
def faults():
    """The measures of an object that sits well in a painting, and of its copies with one fault each."""

    def slow(seed, sigma):
        field = cv2.GaussianBlur(np.random.default_rng(seed).standard_normal(WIDE), (0, 0), sigma)
        return (field - field.mean()) / field.std()

    rows, columns = np.mgrid[: WIDE[0], : WIDE[1]]
    grain = in_lab(3 * slow(1, 1.0), 2 * slow(2, 1.0), 2 * slow(3, 1.0))
    painting = rgb(in_lab(50 + 8 * slow(5, 20), 4 * slow(6, 20), 8 + 6 * slow(7, 20)) + grain)
    form = 0.5 + 0.5 * np.sin(rows / 9) * np.sin(columns / 9)
    pasted = in_lab(36 + 26 * form, 5 - 6 * form, 4 + 10 * form)
    well = pasted + grain[::-1]
    noise = np.random.default_rng(8).standard_normal((*WIDE, 3))
    copies = {
        "well": well,
        "bleached": well + in_lab(32 * form),
        "tinted": well + in_lab(0 * form, 0, 14 / (1 + np.exp((WIDE[1] / 2 - columns) / 6))),
        "patchy": well + in_lab(7 * slow(9, 10)),
        "blurred": cv2.GaussianBlur(well, (0, 0), 1.5),
        "noisy": well + noise * (4, 0, 0),
        "noisy in colour": well + noise * (0, 6, 6),
    }
    mask, grown = disc(90, WIDE), disc(100, WIDE)
    naive = inside(rgb(pasted), painting, mask)
    judge = metrics.Judge(painting, naive, mask, grown, lambda image: fake_extractor(image[::4, ::4]))
    return {name: judge(inside(rgb(lab), painting, mask)) for name, lab in copies.items()}


def test_an_object_that_sits_well_has_no_fault(faults):
    assert {name: faults["well"][name] for name in WELL} == {
        name: pytest.approx(value, abs=LITTLE[name] / 2) for name, value in WELL.items()
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_shows_by_its_own_measure_and_little_by_the_others(fault, faults):
    for name, little in LITTLE.items():
        if name in FAULTS[fault]:
            low, high = FAULTS[fault][name]
            assert low < faults[fault][name] < high
        else:
            assert faults[fault][name] == pytest.approx(faults["well"][name], abs=little)


# Small objects, and the same numbers each time


SMALL = {
    "a pixel": np.s_[40, 50],
    "a pixel in the corner": np.s_[0, 0],
    "two pixels": np.s_[40, 50:52],
    "twenty pixels": np.s_[40:44, 50:55],
    "a line": np.s_[40, 10:80],
    "a line along the border": np.s_[:, 0],
}


def small_object(name):
    mask = np.zeros((SIDE, SIDE), np.float32)
    mask[SMALL[name]] = 1
    return mask


@pytest.mark.parametrize("name", SMALL)
def test_measures_of_small_objects_are_finite(name, painting):
    mask = small_object(name)
    judge = metrics.Judge(painting, inside(texture(5), painting, mask), mask, mask, fake_extractor)
    assert all(map(np.isfinite, judge(inside(texture(6), painting, mask)).values()))


def test_a_pixel_is_alike_to_itself_alone_and_has_no_spread(painting):
    mask = small_object("a pixel")
    assert metrics.stretch(texture(5), painting, mask) == 1
    assert metrics.uneven(texture(5), painting, mask) == pytest.approx(0, abs=1e-6)


def test_the_same_numbers_each_time_whatever_chance_was_before(judge, painting):
    result, found = inside(texture(3), painting), []
    for seed in (1, 2, 3):
        cv2.setRNGSeed(seed)
        np.random.seed(seed)  # noqa: NPY002
        found.append(judge(result))
    assert found[0] == found[1] == found[2]


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
