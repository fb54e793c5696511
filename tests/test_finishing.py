"""What is done with an image once it is painted: colours smoothed, grain matched, strength. Networks are small."""

import cv2
import numpy as np
import pytest

from reproduce import VGG19, change, harmonize, stylize
from reproduce.applications.common import weaken
from reproduce.images.arrays import from_lab, to_lab
from reproduce.images.polish import borrow_detail, even_tones, match_grain, smooth_colors
from reproduce.presets import PAPER, PAPER_BASE

NETWORK = VGG19(width=0.05)
LAYERS = {"style_layers": ("block2_conv1",), "content_layers": ("block2_conv1",)}
AS_PASTED = change(PAPER, **LAYERS, iterations=0, scale=1.0)  # nothing is painted: the object comes back as it was
SHORT = change(PAPER_BASE, **LAYERS, iterations=2)
SHAPE = (64, 96)


def grey(lightness):
    """An RGB image of a lightness (H, W) in 0 to 100."""
    lightness = np.broadcast_to(np.float32(lightness), SHAPE)
    return from_lab(lightness, np.zeros((*SHAPE, 2), np.float32))


def strength(image, where):
    """Of the finest detail: the mean magnitude of the lightness's Laplacian."""
    return np.abs(cv2.Laplacian(to_lab(image)[..., 0], cv2.CV_32F, ksize=1))[where].mean()


def object_mask():
    mask = np.zeros(SHAPE, np.float32)
    mask[16:48, 24:72] = 1
    return mask


# Colours


@pytest.mark.parametrize("application", ["stylize", "harmonize"])
def test_colours_are_smoothed_when_that_is_asked_for(application, random):
    content, painting = (0.4 + 0.2 * random.random((*SHAPE, 3), np.float32) for _ in range(2))

    def painted(radius):
        if application == "stylize":
            settings = change(PAPER_BASE, **LAYERS, iterations=0, scale=1.0, start="content", smooth_colors=radius)
            return stylize(content, painting, settings, network=NETWORK).image
        settings = change(AS_PASTED, smooth_colors=radius, feather=0.0)
        return harmonize(painting, content, object_mask(), settings, network=NETWORK).image

    rough, smooth = painted(0), painted(3)
    # Out of reach of the painting around the object, which is smoothed together with it.
    inside = (slice(23, 41), slice(31, 65)) if application == "harmonize" else ...
    assert np.abs(rough - smooth)[inside].max() > 0.05
    np.testing.assert_allclose(smooth[inside], smooth_colors(rough, 3)[inside], atol=1e-5)


def test_strength_comes_after_the_smoothing(random):
    """The content's own colours are mixed in as they are."""
    content, painting = (random.random((*SHAPE, 3), np.float32) for _ in range(2))
    whole = stylize(content, painting, change(SHORT, smooth_colors=3), network=NETWORK).image
    half = stylize(content, painting, change(SHORT, smooth_colors=3, strength=0.5), network=NETWORK).image
    np.testing.assert_allclose(half, weaken(whole, content, 0.5), atol=1e-6)


# Detail of the painting's


@pytest.mark.parametrize("grow", [0, 5])
def test_harmonize_borrows_the_object_s_detail_from_the_painting(random, grow):
    """After colours are smoothed and before grain is matched; the painting stays as it is."""
    painting, noise = (cv2.GaussianBlur(random.normal(0, 60, SHAPE), (0, 0), sigma) for sigma in (2, 0.7))
    painting, mask = grey(50 + painting), object_mask()
    composite = np.where(mask[..., None] > 0, grey(55 + noise / 12), painting)
    settings = change(AS_PASTED, feather=0.0, grow=grow, smooth_colors=2)
    plain, borrowed, both = (
        harmonize(painting, composite, mask, change(settings, **changes), network=NETWORK).image
        for changes in ({}, {"borrow_detail": True}, {"borrow_detail": True, "match_grain": True})
    )
    np.testing.assert_array_equal(borrowed[mask == 0], painting[mask == 0])
    inside = slice(23, 41), slice(31, 65)  # out of reach of what the margin has to do with
    expected = borrow_detail(plain, painting, mask > 0)
    assert np.abs(expected - plain)[inside].max() > 0.01
    np.testing.assert_allclose(borrowed[inside], expected[inside], atol=5e-3)
    assert strength(both, mask > 0) >= 0.99 * strength(borrowed, mask > 0)


# Tones


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_harmonize_evens_tones_where_the_pasted_object_is_even(random, share):
    """Started from the painting and not optimised, the object has the painting's tones; pasted, it was of one."""
    painting = np.clip(0.5 + 6 * (cv2.GaussianBlur(random.random((*SHAPE, 3), np.float32), (0, 0), 6) - 0.5), 0, 1)
    mask = object_mask()
    composite = np.where(mask[..., None] > 0, np.float32([0.7, 0.6, 0.5]), painting)
    settings = change(AS_PASTED, feather=0.0, start="style")
    plain, even = (
        harmonize(painting, composite, mask, change(settings, even_tones=each), network=NETWORK).image
        for each in (0.0, share)
    )
    np.testing.assert_array_equal(even[mask == 0], painting[mask == 0])
    np.testing.assert_allclose(even[mask > 0], even_tones(plain, composite, mask, share)[mask > 0], atol=5e-3)
    assert even[mask > 0].std(axis=0).mean() < (1 - 0.5 * share) * plain[mask > 0].std(axis=0).mean()


# Grain


def test_grain_is_compared_with_the_painting_outside_only(random):
    """What the object hides of the painting, and what lies at its edge, says nothing."""
    noise = random.normal(0, 1, SHAPE)
    image, left = grey(50 + 0.7 * noise), np.broadcast_to(np.arange(SHAPE[1]) < 40, SHAPE)
    right = np.broadcast_to(np.arange(SHAPE[1]) >= 48, SHAPE)
    near = np.arange(SHAPE[1]) >= 46  # what a Laplacian on the right sees
    painting = grey(50 + np.where(near, noise, 3 * random.normal(0, 1, SHAPE)))
    matched = match_grain(image, painting, left, right)
    assert strength(matched, left) == pytest.approx(strength(painting, right), rel=0.02)
    np.testing.assert_array_equal(match_grain(image, grey(50 + np.where(near, noise, 0.0)), left, right), matched)


def grainy(random, hidden, around):
    """A painting with grain of one strength where the object will be, and of another around it."""
    return grey(50 + np.where(object_mask() > 0, hidden, around) * random.normal(0, 1, SHAPE))


def without_and_with_grain(painting, composite, mask):
    """What harmonize gives without and with `match_grain`, of an object without margin."""
    settings = change(AS_PASTED, feather=0.0, grow=0)
    return [
        harmonize(painting, composite, mask, change(settings, match_grain=wanted), network=NETWORK).image
        for wanted in (False, True)
    ]


def test_harmonize_raises_an_object_s_grain_to_the_painting_s_around_it(random):
    painting, mask = grainy(random, 0.0, 1.5), object_mask()
    composite = np.where(mask[..., None] > 0, grey(50 + random.normal(0, 1, SHAPE)), painting)
    plain, matched = without_and_with_grain(painting, composite, mask)
    deep_inside, around = np.zeros(SHAPE, bool), mask == 0
    deep_inside[18:46, 26:70] = True
    wanted = strength(painting, around)
    assert strength(plain, deep_inside) < 0.8 * wanted
    assert strength(matched, deep_inside) == pytest.approx(wanted, rel=0.1)
    np.testing.assert_array_equal(matched[around], painting[around])


def test_harmonize_does_not_take_what_the_object_hides_for_the_painting_s_grain(random):
    painting, mask = grainy(random, 6.0, 0.0), object_mask()
    composite = np.where(mask[..., None] > 0, grey(50 + random.normal(0, 0.5, SHAPE)), painting)
    plain, matched = without_and_with_grain(painting, composite, mask)
    deep_inside = slice(18, 46), slice(26, 70)
    # A smooth painting with an outline around the object's place, which is all that is found outside.
    assert strength(matched, deep_inside) < 1.35 * strength(plain, deep_inside)


def test_harmonize_measures_the_grain_of_the_object_alone(random):
    """Not that of the painting around it as well, with which a weak object would look strong enough."""
    painting, mask = grainy(random, 0.0, 1.0), np.zeros(SHAPE, np.float32)
    mask[28:36, 40:56] = 1
    composite = np.where(mask[..., None] > 0, grey(50 + random.normal(0, 0.6, SHAPE)), painting)
    settings = change(AS_PASTED, feather=0.0, grow=0, match_grain=True)
    matched = harmonize(painting, composite, mask, settings, network=NETWORK).image
    inside = slice(30, 34), slice(42, 54)
    assert strength(matched, inside) > 1.3 * strength(composite, inside)
