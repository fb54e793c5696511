"""The embedded scenes: what other code relies on, and that the painted looks painted and the photographed does not."""

import math

import cv2
import numpy as np
import pytest

from experiments import scenes
from experiments.scenes import motifs, phone
from experiments.scenes.board import GLYPH_MARGIN, SANS, Board
from experiments.scenes.painting import (
    Brush,
    Technique,
    along_contours,
    craquelure,
    fractal_noise,
    paint,
    relief_light,
    sample,
    stroke_paths,
)
from experiments.scenes.rendering import (
    FAR,
    Camera,
    Solid,
    bounded,
    capsule,
    march,
    normals,
    photograph,
    plain,
    revolution,
    rounded_box,
    smooth_union,
    sphere,
    torus,
)
from reproduce import InputError


@pytest.fixture(scope="module", params=scenes.PASTED_SCENES)
def pasted(request):
    return scenes.pasted_scene(request.param)


@pytest.fixture(scope="module")
def screen():
    return scenes.screen_scene()


def assert_image(image):
    assert image.dtype == np.float32
    assert image.ndim == 3 and image.shape[2] == 3 and min(image.shape[:2]) >= 256
    assert image.min() >= 0 and image.max() <= 1
    assert image.std() > 0.05


def laplacian_spread(image, mask):
    return cv2.Laplacian(image.mean(axis=-1), cv2.CV_32F)[mask].std()


# Pasted scenes


def test_there_are_several_cases_over_different_paintings():
    assert len(scenes.PASTED_SCENES) >= 4
    paintings = [scenes.painting(name) for name in scenes.PAINTINGS]
    assert len(paintings) >= 2
    histograms = [np.histogramdd(image.reshape(-1, 3), 4, [(0, 1)] * 3)[0].ravel() / (480 * 640) for image in paintings]
    for i, first in enumerate(histograms):
        for second in histograms[:i]:
            assert np.abs(first - second).sum() / 2 > 0.3  # total variation distance of their colours


def test_pasted_scene_has_the_documented_types(pasted):
    assert_image(pasted.background)
    assert_image(pasted.composite)
    assert pasted.composite.shape == pasted.background.shape
    assert pasted.mask.dtype == np.float32 and pasted.mask.shape == pasted.background.shape[:2]
    assert pasted.mask.min() == 0 and pasted.mask.max() == 1


def test_composite_is_the_background_where_the_mask_is_zero(pasted):
    outside = pasted.mask == 0
    np.testing.assert_array_equal(pasted.composite[outside], pasted.background[outside])


def test_composite_is_the_object_where_the_mask_is_one(pasted):
    change = np.abs(pasted.composite - pasted.background).max(axis=-1)
    assert (change[pasted.mask == 1] > 0.02).mean() > 0.95


def test_the_object_fills_the_expected_share_away_from_the_border(pasted):
    assert 0.08 <= pasted.mask.mean() <= 0.15
    border = np.concatenate([pasted.mask[[0, -1]].ravel(), pasted.mask[:, [0, -1]].ravel()])
    assert not border.any()


def test_the_mask_is_one_piece_with_an_antialiased_edge(pasted):
    pieces, _ = cv2.connectedComponents((pasted.mask > 0).astype(np.uint8))
    assert pieces == 2  # the outside and the object
    assert 0 < ((pasted.mask > 0) & (pasted.mask < 1)).mean() < 0.03


def test_the_painting_is_rough_and_the_object_smooth(pasted):
    # The quieter windows: an object's outlines and patterns are sharp, its surface is not.
    inside = cv2.erode(pasted.mask, np.ones((9, 9))) == 1

    def roughness(image):
        detail = np.abs(cv2.Laplacian(image.mean(axis=-1), cv2.CV_32F))
        return np.quantile(cv2.blur(detail, (5, 5))[inside], 0.25)

    assert roughness(pasted.background) > 1.5 * roughness(pasted.composite)


def test_pasted_scene_is_drawn_the_same_every_time():
    first = scenes.pasted_scene("balloon")
    scenes.painting.cache_clear()
    second = scenes.pasted_scene("balloon")
    assert first.background is not second.background
    np.testing.assert_array_equal(first.background, second.background)
    np.testing.assert_array_equal(first.composite, second.composite)
    np.testing.assert_array_equal(first.mask, second.mask)


def test_a_shared_painting_cannot_be_overwritten(pasted):
    with pytest.raises(ValueError, match="read-only"):
        pasted.background[0, 0] = 0


def test_unknown_scene():
    with pytest.raises(InputError, match=r"Expected one of the scenes balloon.*Received: submarine"):
        scenes.pasted_scene("submarine")


# Photographs of objects rich in detail


@pytest.fixture(scope="module", params=scenes.DETAIL_SCENES)
def detailed(request):
    return scenes.detail_scene(request.param)


def test_detail_scene_has_the_documented_types(detailed):
    assert_image(detailed.photograph)
    assert_image(detailed.style)
    assert detailed.mask.dtype == np.float32 and detailed.mask.shape == detailed.photograph.shape[:2]
    assert detailed.mask.min() == 0 and detailed.mask.max() == 1


def test_the_detailed_object_is_one_moderately_large_piece(detailed):
    assert 0.15 <= detailed.mask.mean() <= 0.32
    pieces, _ = cv2.connectedComponents((detailed.mask > 0.5).astype(np.uint8))
    assert pieces == 2  # the outside and the object
    assert 0 < ((detailed.mask > 0) & (detailed.mask < 1)).mean() < 0.03


def test_the_object_has_more_details_than_what_is_behind_it(detailed):
    ground = (cv2.dilate(detailed.mask, np.ones((9, 9))) == 0) & (np.arange(480)[:, None] < 300)  # but for the grass
    inside = cv2.erode(detailed.mask, np.ones((9, 9))) == 1
    assert laplacian_spread(detailed.photograph, inside) > 1.2 * laplacian_spread(detailed.photograph, ground)


@pytest.mark.parametrize(
    ("name", "texts"), [("sign", [*"BOATSFORHIREDAILY9TO18"]), ("clock", [*map(str, range(1, 13))])]
)
def test_what_is_written_lies_on_the_object(name, texts):
    scene = scenes.detail_scene(name)
    assert [glyph.text for glyph in scene.glyphs] == texts
    light = scene.photograph.mean(axis=-1)
    for glyph in scene.glyphs:
        assert scene.mask[glyph.box.slices].min() == 1
        assert 20 <= glyph.box.shape[0] - 2 * GLYPH_MARGIN <= 50
        edge = light[glyph.box.slices].copy()
        edge[1:-1, 1:-1] = np.nan
        assert np.ptp(light[glyph.box.slices]) > 2 * np.nanstd(edge)  # the ink ends within the box


def test_what_is_written_is_where_the_camera_sees_it():
    """A letter as wide and high as it says, one unit being 40 pixels; its hole stays open."""
    board = Board((-2, -1, 2, 1), (1, 1, 1))
    board.write("O", (0.5, 0.25), 1.0, SANS, 0x000000)
    ((text, (left, bottom, right, top)),) = board.glyphs
    assert text == "O" and left + right == pytest.approx(1, abs=1e-6) and top - bottom == pytest.approx(1, abs=0.05)
    ink = board.color[..., 0] < 0.5
    rows, columns = np.nonzero(ink)
    assert board.x[0, columns.min()] == pytest.approx(left, abs=0.01)
    assert board.y[rows.max(), 0] == pytest.approx(bottom, abs=0.01)
    assert not ink[(rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2]
    (glyph,) = board.seen(Camera((0, 0, 10), (0, 0, 0), 2.0, (200, 300)), 0.0)
    expected = np.array([99.5 - 40 * top, 149.5 + 40 * left, 99.5 - 40 * bottom, 149.5 + 40 * right])
    np.testing.assert_allclose(glyph.box, expected + GLYPH_MARGIN * np.array([-1, -1, 1, 1]), atol=2)


def test_detail_scene_is_drawn_the_same_every_time():
    first, second = (scenes.detail_scene("clock") for _ in range(2))
    np.testing.assert_array_equal(first.photograph, second.photograph)
    np.testing.assert_array_equal(first.mask, second.mask)
    assert first.glyphs == second.glyphs


def test_unknown_detail_scene():
    with pytest.raises(InputError, match=r"Expected one of the scenes sign.*Received: submarine"):
        scenes.detail_scene("submarine")


# The screen


def test_screen_scene_has_the_documented_types(screen):
    for image in (screen.photograph, screen.style, screen.background_style):
        assert_image(image)
    assert screen.corners.shape == (4, 2)
    assert not np.array_equal(screen.style, screen.background_style)


def test_corners_are_convex_clockwise_from_the_top_left_and_inside_the_image(screen):
    height, width = screen.photograph.shape[:2]
    assert (screen.corners > 0).all() and (screen.corners < (width - 1, height - 1)).all()
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = screen.corners
    assert max(ax, dx) < min(bx, cx) and ay < dy and by < cy
    edges = np.roll(screen.corners, -1, axis=0) - screen.corners
    turns = edges[:, 0] * np.roll(edges[:, 1], -1) - edges[:, 1] * np.roll(edges[:, 0], -1)
    assert (turns > 0).all()
    assert cv2.contourArea(screen.corners.astype(np.float32)) > 0.15 * height * width


def test_the_straightened_screen_is_the_picture_that_was_drawn(screen):
    photographed, picture = phone.telephone(np.random.default_rng(3))
    np.testing.assert_array_equal(photographed, screen.photograph)
    h, w = picture.shape[:2]
    upright = np.float32([(-0.5, -0.5), (w - 0.5, -0.5), (w - 0.5, h - 0.5), (-0.5, h - 0.5)])
    homography = cv2.getPerspectiveTransform(upright, screen.corners.astype(np.float32))
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    straightened = cv2.warpPerspective(screen.photograph, homography, (w, h), flags=flags)
    error = np.abs(straightened - picture)[4:-4, 4:-4]
    assert error.mean() < 0.02
    # One pixel of shift is seen: the tolerance tells right corners from slightly wrong ones.
    assert np.abs(np.roll(straightened, 3, axis=1) - picture)[4:-4, 4:-4].mean() > 1.3 * error.mean()


def test_the_frame_around_the_screen_is_dark(screen):
    center = screen.corners.mean(axis=0)
    outside = np.rint(center + 1.04 * (screen.corners - center)).astype(int)
    assert all(screen.photograph[y, x].mean() < 0.35 for x, y in outside)


def test_stylize_pair():
    content, style = scenes.stylize_pair()
    assert_image(content)
    assert_image(style)
    everywhere = np.ones(content.shape[:2], bool)
    assert laplacian_spread(style, everywhere) > laplacian_spread(content, everywhere)


# Painting


@pytest.mark.parametrize(("shape", "cell"), [((40, 60), 10), ((4, 600), 90), ((50, 50), (30, 5))])
def test_fractal_noise_is_standardised_and_smooth(shape, cell):
    noise = fractal_noise(shape, cell, np.random.default_rng(0), octaves=2)
    assert noise.shape == shape and noise.dtype == np.float32
    assert noise.mean() == pytest.approx(0, abs=1e-4) and noise.std() == pytest.approx(1, abs=1e-4)
    assert np.abs(np.diff(noise, axis=1)).mean() < 0.5


def test_sample_takes_the_nearest_pixel_and_clips():
    image = np.arange(12).reshape(3, 4)
    points = np.array([(1.4, 0.6), (-5, 0), (9, 9)])
    np.testing.assert_array_equal(sample(image, points), [5, 0, 11])


def test_stroke_paths_follow_the_direction():
    down = np.full((50, 50), np.pi / 2)
    paths = stroke_paths(np.array([[10.0, 5.0]]), down, np.array([16.0]))
    np.testing.assert_allclose(paths[0, 0], (10, 5))
    np.testing.assert_allclose(paths[0, -1], (10, 21), atol=1e-9)


def test_along_contours_turns_strokes_along_an_edge_and_leaves_flat_places():
    layout = np.zeros((60, 60, 3), np.float32)
    layout[:, 30:] = 1  # an upright edge
    direction = along_contours(layout, np.full((60, 60), 0.3))
    assert abs(math.sin(direction[30, 30])) == pytest.approx(1, abs=0.01)
    assert math.tan(direction[30, 3]) == pytest.approx(math.tan(0.3), abs=0.01)


def test_relief_is_bright_on_the_side_of_the_light():
    ridge = np.zeros((30, 30), np.float32)
    ridge[10:20, 10:20] = 1
    light = relief_light(ridge, 0.2)
    assert light[10, 10] > 0.05 and light[19, 19] < -0.05 and light[0, 0] == 0
    assert np.abs(light).max() <= 0.2


def test_painted_colours_are_the_layouts_on_average_with_visible_strokes():
    layout = np.full((120, 160, 3), (0.6, 0.4, 0.3), np.float32)
    brushes = (Brush(8, 24, 3), Brush(4, 12, 2))
    picture = paint(layout, np.zeros((120, 160)), Technique(brushes), np.random.default_rng(0))
    assert picture.dtype == np.float32 and picture.shape == layout.shape
    np.testing.assert_allclose(picture.mean(axis=(0, 1)), (0.6, 0.4, 0.3), atol=0.02)
    along, across = (np.abs(np.diff(cv2.GaussianBlur(picture, (0, 0), 1.5), axis=axis)).mean() for axis in (1, 0))
    assert 0.002 < along < 0.8 * across  # strokes lie along x


def test_detail_brush_leaves_what_is_right_already():
    layout = np.full((60, 60, 3), 0.5, np.float32)
    plain_ground = Technique((Brush(4, 12, 3, detail=0.1),), weave=0)
    assert np.ptp(paint(layout, np.zeros((60, 60)), plain_ground, np.random.default_rng(0))) < 0.01


def test_craquelure_is_a_thin_net():
    cracks = craquelure((200, 200), 17, np.random.default_rng(0))
    assert cracks.min() == 0 and 0.3 < cracks.max() <= 1
    assert 0.01 < (cracks > 0.2).mean() < 0.25


@pytest.mark.parametrize("motif", [motifs.river, motifs.starry_night, motifs.still_life])
def test_motifs_have_the_documented_types(motif):
    layout, direction = motif(np.random.default_rng(2))
    assert layout.dtype == direction.dtype == np.float32
    assert layout.shape == (*motifs.SIZE, 3) and direction.shape == motifs.SIZE
    assert layout.min() >= 0 and layout.max() <= 1 and np.isfinite(direction).all()


def test_ramp_and_rgb():
    np.testing.assert_allclose(motifs.rgb(0xFF8000), (1, 128 / 255, 0), atol=1e-6)
    values = np.array([[-1.0, 0.0, 0.5, 2.0]])
    np.testing.assert_allclose(motifs.ramp(values, [(0, 0x000000), (1, 0xFFFFFF)])[0, :, 0], [0, 0, 0.5, 1])


# Rendering


CAMERA = Camera((1.0, 3.0, 5.0), (0.2, 0.1, -0.3), 1.7, (48, 64))


def test_project_is_the_inverse_of_rays():
    pixels = np.array([0, 63, 64 * 47, 64 * 24 + 32])
    points = np.array(CAMERA.eye) + 3.0 * CAMERA.rays(pixels)
    expected = [(0, 0), (63, 0), (0, 47), (32, 24)]
    np.testing.assert_allclose(CAMERA.project(points), expected, atol=1e-3)


def test_the_target_is_seen_in_the_middle_and_up_is_up():
    np.testing.assert_allclose(CAMERA.project([CAMERA.target]), [(31.5, 23.5)], atol=1e-9)
    assert CAMERA.project([np.add(CAMERA.target, (0, 0.1, 0))])[0, 1] < 23.5
    assert CAMERA.project([np.add(CAMERA.target, (0.1, 0, 0))])[0, 0] > 31.5


@pytest.mark.parametrize(
    ("field", "point", "expected"),
    [
        (sphere((1, 0, 0), 0.5), (3, 0, 0), 1.5),
        (capsule((0, 0, 0), (0, 2, 0), 0.25), (1, 1, 0), 0.75),
        (capsule((0, 0, 0), (0, 2, 0), 0.25), (0, 5, 0), 2.75),
        (rounded_box((0, 0, 0), (1, 2, 3), 0.1), (4, 0, 0), 3.0),
        (rounded_box((0, 0, 0), (1, 1, 1), 0.1), (0, 0, 0), -1.0),
        (torus((0, 0, 0), 2, 0.5), (2, 1, 0), 0.5),
        (torus((0, 0, 0), 2, 0.5, axis=2), (0, 2, 1), 0.5),
        (revolution([(-1, 0.5), (1, 0.5)]), (2.5, 0, 0), 2.0),
        (revolution([(-1, 0.5), (1, 0.5)], (0, 4, 0)), (0, 7, 0), 2.0),
        (bounded(sphere((0, 0, 0), 1), (0, 0, 0), 1.5), (9, 0, 0), 7.5),
        (bounded(sphere((0, 0, 0), 1), (0, 0, 0), 1.5), (2, 0, 0), 1.0),
        (smooth_union(sphere((0, 0, 0), 1), sphere((9, 0, 0), 1), 0.1), (3, 0, 0), 2.0),
    ],
)
def test_distances(field, point, expected):
    assert field(np.float32([point]))[0] == pytest.approx(expected, abs=1e-5)


def test_march_stops_at_the_surface_or_nowhere():
    rays = np.float32([(0, 0, -1), (0, 1, 0)])
    travelled = march(sphere((0, 0, 0), 1), np.float32([0, 0, 5]), rays)
    np.testing.assert_allclose(travelled, [4, FAR], atol=2e-3)


def test_normals_of_a_sphere_point_outwards():
    points = np.float32([(1, 0, 0), (0, -1, 0), (0.6, 0, 0.8)])
    np.testing.assert_allclose(normals(sphere((0, 0, 0), 1), points), points, atol=1e-2)


def test_photographed_ball_covers_its_disc_and_is_lit_from_the_upper_left():
    camera = Camera((0, 0, 10), (0, 0, 0), 3.0, (80, 80))
    ball = Solid(sphere((0, 0, 0), 1), plain(0.5, 0.5, 0.5), roughness=1.0)
    picture, alpha = photograph([ball], camera)
    # The outline of a ball of radius 1 seen from distance 10 is a circle of tangent 1 / sqrt(99).
    radius = 3.0 * 80 / math.sqrt(99)
    assert alpha.sum() == pytest.approx(math.pi * radius**2, rel=0.01)
    assert not picture[alpha == 0].any()
    assert picture[28, 28].mean() > 1.5 * picture[52, 52].mean()
