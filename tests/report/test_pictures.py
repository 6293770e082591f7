"""What the pictures show, and of which part of the images."""

from __future__ import annotations

import io
from dataclasses import replace

import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy import units as u

from astroreg.align import align
from astroreg.inputs import as_frame, prepare_pair
from astroreg.plotting import search
from astroreg.plotting.images import residual_map
from astroreg.report import middle, pictures
from astroreg.report.gallery import residual_section


@pytest.fixture
def frames(made):
    return prepare_pair(*made.scene())


def pixels(png):
    return matplotlib.image.imread(io.BytesIO(png), format="png")


def test_before_and_after_lie_upon_each_other(frames, made):
    before, after = (pixels(png) for png in pictures.before_and_after(*frames, made.result()))
    # 4.6 inches of 50 dots, 40 rows to 50 columns; the edge of a pixel is rounded in either way
    assert before.shape == after.shape
    np.testing.assert_allclose(before.shape, (184, 230, 4), atol=1)
    assert not np.array_equal(before, after), "the contours have moved"


def test_after_is_before_for_no_shift(frames, made):
    before, after = pictures.before_and_after(*frames, made.result(shift=[0, 0]))
    assert before == after


def test_the_users_style_is_left_alone_and_not_used(frames, made):
    plain = pictures.surface(made.result())
    with plt.style.context("dark_background"):
        settings = dict(plt.rcParams)
        assert pictures.surface(made.result()) == plain
        assert dict(plt.rcParams) == settings
    assert plt.get_fignums() == [], "no figure is left in pyplot"


def test_residuals_have_one_range(frames, made, monkeypatch):
    ranges = []

    original = pictures.plot_residual

    def watched(*arguments, **options):
        artists = original(*arguments, **options)
        ranges.append(artists[0])
        return artists

    monkeypatch.setattr(pictures, "plot_residual", watched)
    pictures.residuals(*frames, made.result())
    before, after = (artist.get_clim() for artist in ranges)
    assert before == after
    assert before[0] == -before[1]


@pytest.mark.parametrize("on_sky", [True, False])
def test_the_middle_shows_the_same_residual(made, monkeypatch, on_sky):
    monkeypatch.setattr(middle, "LARGEST", 30)
    reference, image = made.scene()
    image.data += np.random.default_rng(4).normal(size=made.shape)
    found = made.result() if on_sky else made.result(wcs=None)
    if not on_sky:
        reference.wcs = image.wcs = None
    reference, image = prepare_pair(reference, image)
    whole, _ = residual_map(reference, image, found)
    part_image, part_found = middle.middle_of(image, found)
    part, _ = residual_map(reference, part_image, part_found)
    assert part.shape == (30, 30)
    # rows 5 to 35 of 40, columns 10 to 40 of 50; two ways to the same place agree to 1e-9 pixel
    np.testing.assert_allclose(part, whole[5:35, 10:40], atol=1e-6)


def test_the_middle_of_an_alignment(made, monkeypatch):
    reference, image = made.scene()
    for seed, one in enumerate((reference, image)):
        one.data += np.random.default_rng(seed).normal(0, 0.1, made.shape)
    found = align(reference, image)
    frame = replace(as_frame(image, argument="image"), wcs=found.wcs)
    whole, _ = residual_map(found.reference, frame, found)
    monkeypatch.setattr(middle, "LARGEST", 30)
    part, _ = residual_map(found.reference, *middle.middle_of(frame, found))
    np.testing.assert_allclose(part, whole[5:35, 10:40], atol=1e-5)


def test_small_images_are_shown_whole(frames, made):
    found = made.result()
    assert middle.middle_of(frames[1], found) == (frames[1], found)


def test_the_page_says_that_it_is_the_middle(frames, made, monkeypatch):
    assert "the middle is shown" not in residual_section(made.result(), *frames)
    monkeypatch.setattr("astroreg.report.gallery.LARGEST", 30)
    assert "the middle is shown, 30 pixels a side" in residual_section(made.result(), *frames)


def test_peak_of_the_correlation_is_the_shift(frames, made, monkeypatch):
    drawn = {}
    original = search.plot_correlation

    def watched(surface, **options):
        drawn.update(options, surface=surface)
        return original(surface, **options)

    monkeypatch.setattr(search, "plot_correlation", watched)
    assert pictures.correlation(*frames, made.result()).startswith(b"\x89PNG")
    row, column = np.unravel_index(np.nanargmax(drawn["surface"]), drawn["surface"].shape)
    assert (drawn["x"][column], drawn["y"][row]) == tuple(made.shift)
    np.testing.assert_array_equal(drawn["peak"].to_value(u.pixel), made.shift)


def test_compass_follows_the_sky(frames):
    directions = pictures._directions(frames[1])
    # CD1_1 < 0 and CD2_2 > 0: north up, east to the left; a degree of sky bends by less than 1e-3
    np.testing.assert_allclose(directions["N"], [0, 1], atol=1e-3)
    np.testing.assert_allclose(directions["E"], [-1, 0], atol=1e-3)


def test_no_compass_without_a_sky(frames):
    assert pictures._directions(replace(frames[1], wcs=None)) == {}
