"""What the refined preset adds: colours, grain, and how they keep an object's structure."""

import cv2
import numpy as np
import pytest

from reproduce.images import polish
from reproduce.images.arrays import resize
from reproduce.images.files import read_image
from reproduce.images.polish import (
    DETAIL_SIDE,
    LARGEST_GAIN,
    borrow_detail,
    content_share,
    even_tones,
    guided_filter,
    match_grain,
    recolor,
    smooth_colors,
    stroke_density,
)


def lab(image):
    return cv2.cvtColor(np.ascontiguousarray(image, np.float32), cv2.COLOR_RGB2LAB)


def rgb(lightness, a=0.0, b=0.0):
    layers = np.broadcast_arrays(np.asarray(lightness, np.float32), np.float32(a), np.float32(b))
    return np.clip(cv2.cvtColor(np.dstack(layers).astype(np.float32), cv2.COLOR_LAB2RGB), 0, 1)


def guided_by_hand(image, guide, radius, flat, weights):
    """He et al. 2013 with a least-squares plane in each window, away from the border; of one channel, and a guide's."""
    height, width, depth = guide.shape
    slope, offset, out = np.zeros(guide.shape), np.zeros((height, width)), np.zeros((height, width))

    def window(i, j):
        return slice(i - radius, i + radius + 1), slice(j - radius, j + radius + 1)

    for i in range(radius, height - radius):
        for j in range(radius, width - radius):
            w, y = weights[window(i, j)].ravel(), image[window(i, j)].ravel()
            x = guide[window(i, j)].reshape(-1, depth)
            # Ridge regression as plain least squares: a row more for each slope.
            rows = np.vstack(
                [np.c_[x, np.ones(len(x))] * np.sqrt(w)[:, None], np.eye(depth, depth + 1) * flat * np.sqrt(w.sum())]
            )
            slope_and_offset = np.linalg.lstsq(rows, np.r_[y * np.sqrt(w), np.zeros(depth)], rcond=None)[0]
            slope[i, j], offset[i, j] = slope_and_offset[:-1], slope_and_offset[-1]
    for i in range(2 * radius, height - 2 * radius):
        for j in range(2 * radius, width - 2 * radius):
            w = weights[window(i, j)]
            mean_slope = (slope[window(i, j)] * w[..., None]).sum(axis=(0, 1)) / w.sum()
            out[i, j] = mean_slope @ guide[i, j] + (offset[window(i, j)] * w).sum() / w.sum()
    return out


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_guided_filter_is_a_plane_in_each_window(random, depth, weighted):
    image, guide, radius = random.random((16, 18)), random.random((16, 18, depth)), 2
    weights = random.random((16, 18)) + 0.1
    ours = guided_filter(image[..., None], guide, radius, 0.3, weights if weighted else None)[..., 0]
    by_hand = guided_by_hand(image, guide, radius, 0.3, weights if weighted else np.ones_like(weights))
    inner = slice(2 * radius, -2 * radius), slice(2 * radius, -2 * radius)
    np.testing.assert_allclose(ours[inner], by_hand[inner], atol=1e-9)


def test_guided_filter_of_radius_zero_changes_nothing(random):
    image = random.random((4, 5, 2))
    np.testing.assert_array_equal(guided_filter(image, image, 0, 1.0), image)


def disc(side=120):
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    return (np.hypot(rows, columns) < 0.4 * side).astype(np.float32)


def test_a_flat_object_painted_in_two_colours_becomes_one_and_keeps_its_strokes(random):
    mask, left = disc(), np.arange(120) < 60
    strokes = 3 * np.sin(np.arange(120) * 2.0)[:, None]
    painted = rgb(60 + strokes + 0 * mask, np.where(left, 25.0, 0.0), np.where(left, 0.0, 30.0))
    inside = mask > 0
    even = lab(even_tones(painted, rgb(np.full((120, 120), 90.0)), mask))
    assert np.abs(even[inside].mean(axis=0) - lab(painted)[inside].mean(axis=0)).max() < 1.5
    across = even[30:90, 50].mean(axis=0) - even[30:90, 70].mean(axis=0)
    assert np.linalg.norm(across) < 0.5 * np.hypot(25, 30)  # there they were wholly of one colour and of the other
    fine = even[..., 0] - cv2.GaussianBlur(even[..., 0], (0, 0), 3)
    assert np.abs(fine - strokes)[20:100, 50:70].mean() < 0.3


def test_places_that_were_unlike_stay_unlike():
    mask, checks = disc(), np.indices((120, 120)).sum(axis=0) // 30 % 2
    content = rgb(np.where(checks, 80.0, 30.0), 0.0, 0.0)
    painted = rgb(np.where(checks, 70.0, 20.0), np.where(checks, 20.0, -20.0), 10.0)
    change = np.abs(lab(even_tones(painted, content, mask)) - lab(painted))[mask > 0]
    assert change.mean() < 1.0


def test_what_is_as_it_was_stays_so(random):
    image = np.clip(0.5 + 4 * (cv2.GaussianBlur(random.random((90, 110, 3), np.float32), (0, 0), 4) - 0.5), 0, 1)
    mask = np.zeros((90, 110), np.float32)
    np.testing.assert_array_equal(even_tones(image, image[::-1].copy(), mask), image)
    mask[20:70, 20:80] = 1
    change = np.abs(even_tones(image, image, mask) - image)[mask > 0]
    assert change.mean() < 0.02 and change.max() < 0.15
    assert image[mask > 0].std() > 0.05


@pytest.mark.parametrize("side", [1, 2, 900])
def test_tones_of_tiny_and_of_large_objects(random, side):
    image = random.random((1000, 950, 3), np.float32)
    mask = np.zeros((1000, 950), np.float32)
    mask[10 : 10 + side, 20 : 20 + side] = 1
    even = even_tones(image, image[::-1].copy(), mask)
    assert even.dtype == np.float32 and np.isfinite(even).all() and even.min() >= 0 and even.max() <= 1
    # Nothing far from it changes, but for rounding.
    np.testing.assert_allclose(even[940:], image[940:], atol=5e-3) if side < 900 else None


def test_coloured_noise_goes_and_lightness_and_edges_stay(random):
    lightness = np.where(np.arange(64) < 32, 30.0, 70.0) * np.ones((64, 1))
    clean = rgb(lightness, np.where(lightness < 50, 10.0, -10.0), 5.0)
    a, b = lab(clean)[..., 1:].transpose(2, 0, 1) + random.normal(0, 6, (2, 64, 64))
    noisy = rgb(lightness, a, b)
    smooth = lab(smooth_colors(noisy, 4))
    np.testing.assert_allclose(smooth[..., 0], lab(noisy)[..., 0], atol=0.3)
    error = np.abs(smooth - lab(clean))[..., 1:]
    assert error.mean() < 0.3 * np.abs(lab(noisy) - lab(clean))[..., 1:].mean()
    assert error[:, 30:34].mean() < 2.5  # the colours differ by 20 across the edge


def test_grain_is_brought_up_to_the_paintings(random):
    noise = random.normal(0, 1, (96, 96))
    image, painting = rgb(50 + noise), rgb(50 + 1.5 * random.normal(0, 1, (96, 96)))
    left = np.arange(96) < 48
    inside, outside = np.broadcast_to(left, (96, 96)), np.broadcast_to(~left, (96, 96))

    def strength(picture, where):
        return np.abs(cv2.Laplacian(lab(picture)[..., 0], cv2.CV_32F, ksize=1))[where].mean()

    matched = match_grain(image, painting, inside, outside)
    before, wanted = strength(image, inside), strength(painting, outside)
    assert before < 0.75 * wanted
    assert strength(matched, inside) == pytest.approx(wanted, rel=0.02)
    np.testing.assert_allclose(lab(matched)[..., 1:], lab(image)[..., 1:], atol=0.5)


def test_grain_is_never_taken_away_nor_raised_without_limit(random):
    noise = random.normal(0, 1, (32, 32))
    everywhere = np.ones((32, 32), bool)
    strong, weak, none = rgb(50 + 3 * noise), rgb(50 + 0.1 * noise), rgb(np.full((32, 32), 50.0))
    np.testing.assert_allclose(match_grain(strong, weak, everywhere, everywhere), strong, atol=5e-3)
    np.testing.assert_allclose(match_grain(none, strong, everywhere, everywhere), none, atol=5e-3)
    raised = lab(match_grain(weak, strong, everywhere, everywhere))[..., 0] - 50
    assert np.abs(raised).max() <= LARGEST_GAIN * 1.05 * np.abs(lab(weak)[..., 0] - 50).max()


@pytest.mark.parametrize("factor", [2, 4])
def test_recolor_takes_lightness_from_the_object_and_colours_from_the_stage_before(factor):
    rows, columns = np.mgrid[:48, :64]
    content = rgb(50 + 10 * np.sin(rows / 2) + columns / 8, 20.0, -15.0)
    reached = resize(rgb(np.full((48, 64), 40.0), -8.0, 12.0), (48 // factor, 64 // factor))
    target, start = (lab(image) for image in recolor(reached, content, radius=2))
    np.testing.assert_allclose(target[..., 0], lab(content)[..., 0], atol=0.2)
    for image in (target, start):
        np.testing.assert_allclose(image[..., 1], -8, atol=0.5)
        np.testing.assert_allclose(image[..., 2], 12, atol=0.5)
    assert abs(start[8:-8, 8:-8, 0].mean() - 40) < 1  # as light as what was reached


def test_a_stage_that_has_reached_the_content_itself_begins_with_it(random):
    content = cv2.GaussianBlur(random.random((32, 48, 3), np.float32), (0, 0), 3)
    _, start = recolor(resize(content, (16, 24)), content, radius=0)
    np.testing.assert_allclose(lab(start)[..., 0], lab(content)[..., 0], atol=0.5)


@pytest.mark.parametrize("inside, outside", [(True, False), (False, True)])
def test_without_anything_to_compare_grain_stays(random, inside, outside):
    image = random.random((8, 9, 3), np.float32)
    flags = (np.full((8, 9), side) for side in (inside, outside))
    np.testing.assert_array_equal(match_grain(image, image[::-1].copy(), *flags), image)


def portrait(random):
    """A softly lit head and shoulders before a dark ground, as the Renaissance painted: smooth, with few edges."""
    rows, columns = np.mgrid[:240, :200]
    head = (rows - 90) ** 2 / 60**2 + (columns - 100) ** 2 / 42**2
    shoulders = (rows - 260) ** 2 / 110**2 + (columns - 100) ** 2 / 90**2
    lightness = 18 + 8 * np.exp(-((rows - 60) ** 2 + (columns - 40) ** 2) / 90**2)
    lightness = np.where(shoulders < 1, 30 + 10 * (1 - shoulders), lightness)
    lightness = np.where(head < 1, 50 + 25 * (1 - head) - (columns - 100) / 4, lightness)
    return rgb(lightness + random.normal(0, 0.2, lightness.shape), 8.0, 15.0)


def impressionist(random):
    """A bright landscape of short dabs of broken colour all over."""
    image = np.full((240, 200), 70, np.float32)
    for row, column, tilt, tone in zip(*random.random((4, 6000))):
        center = int(column * 200), int(row * 240)
        color = 60 + 15 * (row < 0.4) + 12 * tone
        cv2.ellipse(image, center, (5, 2), 180 * tilt, 0, 360, float(color), -1)
    return rgb(image, 0.0, 10.0)


def expressionist(random):
    """A few flat areas with bold outlines, each filled with long parallel swings of the brush."""
    rows, columns = np.mgrid[:240, :200].astype(np.float32)
    bend = rows + 14 * np.sin(columns / 25) + 6 * np.sin(columns / 9)
    areas = np.digitize(bend, (80, 150))
    strokes = 6 * np.sin(bend * 0.9 + 0.2 * random.normal(0, 1, areas.shape))
    outlines = np.abs(bend[..., None] - (80, 150)).min(axis=-1) < 3
    return rgb(np.where(outlines, 15, np.choose(areas, (65, 45, 30)) + strokes), 25.0, 30.0)


def test_the_more_densely_a_painting_is_painted_the_less_content_is_kept(random):
    smooth, dabs, strokes = (content_share(paint(random)) for paint in (portrait, impressionist, expressionist))
    assert smooth > 3 * max(dabs, strokes)
    assert max(dabs, strokes) < 1 < smooth


def test_real_paintings_are_ordered_from_smooth_to_expressive(materials):
    """A smooth portrait of a woman with a child, an Impressionist's bridge, Munch's Scream, van Gogh's Starry Night."""
    shares = [content_share(read_image(materials / f"dph/{case}_target.jpg")) for case in (34, 16, 11, 9)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 2 * shares[1] > 3 * shares[3]


def test_stroke_density_knows_noise_from_edges_at_any_contrast(random):
    noise = random.normal(0, 1, (300, 300))
    assert stroke_density(rgb(50 + 2 * noise)) == pytest.approx(1, abs=0.03)
    assert stroke_density(rgb(50 + 8 * noise)) == pytest.approx(1, abs=0.03)
    edge = rgb(np.where(np.arange(300) < 150, 30.0, 70.0) * np.ones((300, 1)))
    assert stroke_density(edge) < 0.01
    assert stroke_density(np.full((300, 300, 3), 0.5, np.float32)) < 0.01
    assert content_share(edge) == content_share(np.full((300, 300, 3), 0.5, np.float32))  # bounded


# Detail from the painting

ROUNDING = 4e-3  # what an image loses on its way through Lab


def round_object(shape, radius=40):
    """The pixels within a radius of the middle."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(rows - shape[0] // 2, columns - shape[1] // 2) <= radius


def fine(image, sigma=1.5):
    """Lightness finer than a standard deviation in pixels."""
    lightness = lab(image)[..., 0]
    return lightness - cv2.GaussianBlur(lightness, (0, 0), sigma)


@pytest.mark.parametrize("paint", [portrait, impressionist, expressionist])
def test_what_is_the_paintings_own_stays(random, paint):
    """But at the border, where the object's patches are half beyond it, and the painting's are not."""
    painting = paint(random)
    found = borrow_detail(painting, painting, round_object(painting.shape[:2]))
    np.testing.assert_allclose(found, painting, atol=ROUNDING)
    found = borrow_detail(painting, painting, np.ones(painting.shape[:2], bool))
    inner = slice(DETAIL_SIDE, -DETAIL_SIDE)
    np.testing.assert_allclose(found[inner, inner], painting[inner, inner], atol=ROUNDING)
    assert np.abs(found - painting).mean() < ROUNDING


def texture(random, rows, columns):
    """The same square again and again."""
    square = cv2.GaussianBlur(np.tile(random.normal(0, 12, (24, 24)), (3, 3)), (0, 0), 1)[24:48, 24:48]
    return rgb(50 + np.tile(square, (rows, columns)), 10.0, 5.0)


def test_what_the_painting_has_elsewhere_stays(random, monkeypatch):
    """Even if whatever is lost were lost for good: it is found again."""
    painting = texture(random, 5, 6)
    image, inside = np.roll(painting, (5, 7), (0, 1)), round_object(painting.shape[:2])
    assert np.abs(image - painting)[inside].mean() > 0.02
    monkeypatch.setattr(polish, "LOST_SHARE", 1e6)
    np.testing.assert_allclose(borrow_detail(image, painting, inside), image, atol=ROUNDING)


def noisy(random, painting, inside, strength):
    """The painting with a smooth grey object in it, and with the same object as a camera sees it."""
    lightness, columns = lab(painting)[..., 0], np.arange(painting.shape[1])
    clean = np.where(inside, 55 + 8 * np.sin(columns / 25), lightness)
    noise = np.where(inside, random.normal(0, strength, inside.shape), 0)
    return rgb(clean, 5.0, 10.0), rgb(clean + noise, 5.0, 10.0)


def test_noise_of_a_camera_goes(random):
    """In a painting that is smooth but for its outlines, which are what detail it has."""
    painting = portrait(random)
    inside, within = (round_object(painting.shape[:2], radius) for radius in (50, 40))
    clean, image = noisy(random, painting, inside, 0.7)
    found = borrow_detail(image, painting, inside)
    assert fine(found)[within].std() < 0.5 * fine(image)[within].std()
    errors = [np.abs(fine(each) - fine(clean))[within].mean() for each in (found, image)]
    assert errors[0] < 0.5 * errors[1]


def test_a_smooth_object_in_a_painting_of_strokes_has_their_detail(random):
    """Instead of the noise: more like the painting's own than like the camera's."""
    painting = expressionist(random)
    inside, within = (round_object(painting.shape[:2], radius) for radius in (50, 40))
    image = noisy(random, painting, inside, 0.5)[1]
    found = borrow_detail(image, painting, inside)
    of_noise = [np.corrcoef(fine(each)[within], fine(image)[within])[0, 1] for each in (found, image)]
    assert of_noise[0] < 0.8 * of_noise[1]


@pytest.mark.parametrize("paint", [portrait, impressionist, expressionist])
@pytest.mark.parametrize("contrast", [-40, 25])
def test_a_strong_mark_that_the_painting_has_not_is_kept(random, paint, contrast):
    """Such as an eye in a small face, or a light in it."""
    painting = paint(random)
    shape = painting.shape[:2]
    mark, around = round_object(shape, 3), round_object(shape, 12) & ~round_object(shape, 8)
    image = rgb(np.where(mark, 55.0 + contrast, 55.0) + random.normal(0, 0.3, shape))
    lightness = lab(borrow_detail(image, painting, round_object(shape)))[..., 0]
    share = (lightness[mark].mean() - lightness[around].mean()) / contrast
    assert 0.7 < share < 1.3


def test_colours_and_what_is_coarse_are_the_objects_own(random):
    painting = impressionist(random)
    rows, columns = np.mgrid[:240, :200]
    image = rgb(50 + rows / 12 + random.normal(0, 1.5, rows.shape), columns / 10 - 8, 12 - rows / 12)
    before, found = lab(image), lab(borrow_detail(image, painting, round_object(rows.shape, 60)))
    assert np.abs(found - before)[..., 0].max() > 2
    np.testing.assert_allclose(found[..., 1:], before[..., 1:], atol=0.5)
    coarse = [cv2.GaussianBlur(each[..., 0], (0, 0), 10) for each in (found, before)]
    assert np.abs(coarse[0] - coarse[1]).max() < 1


def test_what_is_far_from_the_object_stays(random):
    """As far as no patch of the object's reaches."""
    image, painting = random.random((2, 64, 80, 3), np.float32)
    inside = np.zeros((64, 80), bool)
    inside[20:40, 30:50] = True
    far = cv2.dilate(inside.astype(np.uint8), np.ones((2 * DETAIL_SIDE + 1,) * 2, np.uint8)) == 0
    found = borrow_detail(image, painting, inside)
    np.testing.assert_allclose(found[far], image[far], atol=ROUNDING)
    assert np.abs(found - image)[inside].mean() > ROUNDING


def test_what_lies_far_from_an_object_changes_nothing_in_it(random):
    painting, image = impressionist(random), portrait(random)
    inside = round_object(painting.shape[:2])
    far = ~round_object(painting.shape[:2], 40 + 40)
    other = np.where(far[..., None], random.random(image.shape, np.float32), image)
    found = borrow_detail(image, painting, inside)
    np.testing.assert_allclose(borrow_detail(other, painting, inside)[inside], found[inside], atol=1e-4)


def test_borrowing_is_no_matter_of_chance_and_leaves_its_inputs(random):
    image, painting = random.random((2, 40, 50, 3), np.float32)
    inside, copies = round_object((40, 50), 15), (image.copy(), painting.copy())
    first, again = (borrow_detail(image, painting, inside) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.float32 and first.min() >= 0 and first.max() <= 1
    for array, copy in zip((image, painting), copies):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (40, 3), (DETAIL_SIDE - 1, DETAIL_SIDE - 1)])
def test_of_a_painting_smaller_than_a_patch_nothing_is_taken(random, shape):
    image, painting = random.random((2, *shape, 3), np.float32)
    np.testing.assert_array_equal(borrow_detail(image, painting, np.ones(shape, bool)), image)


@pytest.mark.parametrize("shape", [(DETAIL_SIDE, DETAIL_SIDE), (DETAIL_SIDE, 40), (DETAIL_SIDE + 1, DETAIL_SIDE + 2)])
def test_the_smallest_paintings_have_a_patch(random, shape):
    image, painting = random.random((2, *shape, 3), np.float32)
    found = borrow_detail(image, painting, np.ones(shape, bool))
    assert found.shape == image.shape and np.isfinite(found).all() and np.abs(found - image).max() > ROUNDING


def test_without_an_object_there_is_no_detail_to_borrow(random):
    image, painting = random.random((2, 40, 50, 3), np.float32)
    np.testing.assert_array_equal(borrow_detail(image, painting, np.zeros((40, 50), bool)), image)


@pytest.mark.parametrize("places", [1, 50, 2000])
def test_of_a_large_painting_some_places_are_looked_at(random, monkeypatch, places):
    """All over it, at about the distance that it takes."""
    painting = impressionist(random)
    asked, nearest = [], polish._nearest

    def remember(vectors, known):
        asked.append(len(known))
        return nearest(vectors, known)

    monkeypatch.setattr(polish, "_nearest", remember)
    monkeypatch.setattr(polish, "DETAIL_PLACES", places)
    found = borrow_detail(portrait(random), painting, round_object(painting.shape[:2]))
    assert 0.3 * places <= asked[0] <= 1.1 * places + 1
    assert found.shape == painting.shape and np.isfinite(found).all()


def test_blank_images_have_no_detail_to_give():
    blank = np.full((40, 50, 3), 0.5, np.float32)
    inside = round_object((40, 50), 15)
    np.testing.assert_allclose(borrow_detail(blank, blank, inside), blank, atol=ROUNDING)


def nearest_by_hand(vectors, known):
    """Of each vector the first known one of the least sum of squared differences."""
    found = []
    for vector in vectors:
        distances = [sum((float(a) - float(b)) ** 2 for a, b in zip(vector, other)) for other in known]
        found.append(distances.index(min(distances)))
    return found


@pytest.mark.parametrize(("at_once", "known_at_once"), [(1, 1), (4, 3), (100, 2), (2, 100), (100, 100)])
def test_the_nearest_vectors_are_those_found_by_hand(random, monkeypatch, at_once, known_at_once):
    monkeypatch.setattr(polish, "AT_ONCE", at_once)
    monkeypatch.setattr(polish, "KNOWN_AT_ONCE", known_at_once)
    vectors, known = (random.normal(0, 3, (n, 6)).astype(np.float32) for n in (9, 5))
    np.testing.assert_array_equal(polish._nearest(vectors, known), nearest_by_hand(vectors, known))
    # Small whole numbers, whose distances are exact, and of which many are equal.
    vectors, known = (random.integers(0, 3, (n, 3)).astype(np.float32) for n in (30, 20))
    np.testing.assert_array_equal(polish._nearest(vectors, known), nearest_by_hand(vectors, known))
