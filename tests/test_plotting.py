"""The plots: what is drawn, where, and that nothing else is touched."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.visualization.wcsaxes import WCSAxes
from astropy.wcs import WCS, Sip

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.patches import Ellipse

from astroreg.align import Alignment
from astroreg.inputs import prepare_pair
from astroreg.plotting import (
    plot_before_after,
    plot_correlation,
    plot_delta_chi2,
    plot_residual,
    plot_search,
    plot_shift_field,
    plot_shifts,
)
from astroreg.plotting.contours import for_contours
from astroreg.plotting.images import residual_map
from astroreg.plotting.style import COLOURS
from astroreg.results import DeltaChi2Map, RivalPeak, ShiftResult

SHAPE = (40, 50)
SHIFT = np.array([3.0, -2.0])


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def tangent(scale=1e-4, turn=0.0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [150.0, 30.0]
    wcs.wcs.crpix = [25.5, 20.5]
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    wcs.wcs.cd = scale * np.array([[-c, s], [s, c]])
    return wcs


def blob(x, y):
    """A smooth sky, linear nowhere: interpolating it linearly leaves a small known error."""
    return np.exp(-(((x - 25) / 12) ** 2) - ((y - 20) / 9) ** 2) + 0.01 * x


def scene(**kinds):
    """The image is 2 x the reference + 5, moved by SHIFT."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    reference = CCDData(blob(x, y), unit="adu", **kinds)
    return reference, CCDData(2 * blob(x - SHIFT[0], y - SHIFT[1]) + 5, unit="Jy", **kinds)


def result(**changes):
    values = {
        "shift": SHIFT,
        "covariance": [[0.04, 0.01], [0.01, 0.09]],
        "scale": 2 * u.Jy / u.adu,
        "background": 5 * u.Jy,
    }
    return ShiftResult(**values | changes)


def chi2_map(one):
    x = SHIFT[0] + np.linspace(-1.5, 1.5, 61)
    y = SHIFT[1] + np.linspace(-1.5, 1.5, 51)
    inverse = np.linalg.inv(one.covariance.value)
    offset = np.stack(np.meshgrid(x - SHIFT[0], y - SHIFT[1]), axis=-1)
    return DeltaChi2Map(np.einsum("...i,ij,...j", offset, inverse, offset), x, y)


def draw(ax):
    ax.figure.canvas.draw()


# ---- Delta chi-squared ----------------------------------------------------------------------


def test_delta_chi2_regions_agree_with_the_ellipse():
    one = result()
    one = result(delta_chi2=chi2_map(one))
    _, ax = plt.subplots()
    mesh, contours, ellipse, _ = plot_delta_chi2(one, ax=ax)
    assert mesh.axes is ax
    # bounds of 1, 2, 3 sigma for two parameters
    np.testing.assert_allclose(contours.levels, [2.30, 6.18, 11.83], atol=0.01)
    inner = contours.get_paths()[0].vertices - SHIFT
    c, s = np.cos(np.radians(ellipse.angle)), np.sin(np.radians(ellipse.angle))
    along = inner @ np.array([[c, -s], [s, c]])
    # the map is a parabola, contoured linearly between points 0.05 and 0.06 apart: Delta chi2 is off by
    # at most h^2 / 8 times its second derivative, 0.06**2 / 8 * 2 / 0.0366 = 0.025, 0.6 % of the radius
    radius = np.hypot(along[:, 0] / (ellipse.width / 2), along[:, 1] / (ellipse.height / 2))
    np.testing.assert_allclose(radius, 1, atol=0.015)
    draw(ax)


def test_result_plot_without_a_map_draws_the_ellipses():
    artists = result().plot()
    assert sum(isinstance(artist, Ellipse) for artist in artists) == 3
    draw(artists[0].axes)


def test_delta_chi2_without_a_covariance():
    one = result(covariance=np.full((2, 2), np.nan))
    assert not any(isinstance(artist, Ellipse) for artist in plot_delta_chi2(one))


def test_flat_delta_chi2_map_has_no_contours():
    flat = DeltaChi2Map(np.zeros((3, 4)), np.arange(4), np.arange(3))
    _, ax = plt.subplots()
    artists = plot_delta_chi2(result(delta_chi2=flat), ax=ax)
    assert len(artists) == 3


@pytest.mark.parametrize("function", [plot_delta_chi2, ShiftResult.plot])
def test_nothing_to_plot(function):
    nothing = ShiftResult(shift=[np.nan] * 2, covariance=np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match="nothing to plot: no shift was determined"):
        function(nothing)


# ---- correlation ----------------------------------------------------------------------------


def test_correlation_marks_stand_where_they_should():
    surface = np.zeros((3, 4))
    surface[0, 0] = np.nan
    _, ax = plt.subplots()
    mesh, peak, rival = plot_correlation(
        surface,
        x=np.arange(4) - 2,
        y=[5, 6, 7] * u.pixel,
        peak=[1, 6] * u.pixel,
        rivals=[(0, 5), (-1, 7)],
        ax=ax,
    )
    assert mesh.get_array().shape == (3, 4)
    np.testing.assert_array_equal(peak.get_xydata(), [[1, 6]])
    np.testing.assert_array_equal(rival.get_xydata(), [[0, 5], [-1, 7]])
    draw(ax)


def test_correlation_alone():
    assert len(plot_correlation(np.eye(3), x=np.arange(3), y=np.arange(3))) == 1


def test_correlation_with_axes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"`surface` has shape \(3, 4\), its axes need \(4, 3\) \(y, x\)"):
        plot_correlation(np.zeros((3, 4)), x=np.arange(3), y=np.arange(4))


def test_search_of_a_pair_has_its_peak_at_the_shift():
    # Three knots: a single one would also match where it is cut off by the edge.
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    knots = ((12, 10), (30, 27), (40, 12))

    def sky(dx, dy):
        return sum(np.exp(-((x - a - dx) ** 2 + (y - b - dy) ** 2) / 18) for a, b in knots)

    one = result(rival=RivalPeak(shift=[-5, 6] * u.pixel, delta_chi2=9))
    mesh, peak, rival = plot_search(sky(0, 0), sky(*SHIFT), one)
    corners = mesh.get_coordinates()
    surface = np.ma.filled(mesh.get_array(), np.nan).reshape(np.array(corners.shape[:2]) - 1)
    row, column = np.unravel_index(np.nanargmax(surface), surface.shape)
    assert tuple(corners[row : row + 2, column : column + 2].mean(axis=(0, 1))) == tuple(SHIFT)
    np.testing.assert_array_equal(peak.get_xydata(), [SHIFT])
    np.testing.assert_array_equal(rival.get_xydata(), [[-5, 6]])
    nothing = replace(one, shift=[np.nan] * 2, covariance=np.full((2, 2), np.nan))
    assert len(plot_search(sky(0, 0), sky(*SHIFT), nothing)) == 1


# ---- many shifts ----------------------------------------------------------------------------


def test_shifts_of_methods():
    nothing = ShiftResult(shift=[np.nan] * 2, covariance=np.full((2, 2), np.nan))
    _, ax = plt.subplots()
    artists = plot_shifts(
        {"one": result(), "none": nothing, "two": result(shift=[0, 0])}, truth=[3, -2], ax=ax
    )
    assert len(artists) == 2 * 2 + 1
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert sorted(names) == ["one", "truth", "two"]
    np.testing.assert_array_equal(artists[-1].get_xydata(), [[3, -2]])
    draw(ax)


def test_no_shift_at_all():
    nothing = ShiftResult(shift=[np.nan] * 2, covariance=np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match="there is nothing to plot: no shift was determined"):
        plot_shifts([nothing, nothing])


def test_shifts_of_a_stack_have_no_legend():
    artists = plot_shifts([result(), result(covariance=np.full((2, 2), np.nan))])
    assert len(artists) == 3
    assert artists[1].axes.get_legend() is None


def test_shift_field():
    shifts = np.array([[1.0, 0.0], [0.0, 2.0], [np.nan, np.nan], [1.0, 1.0]])
    _, ax = plt.subplots()
    arrows, key, circles = plot_shift_field([0, 1, 0, 1], [0, 0, 1, 1], shifts, flagged=[0, 0, 0, 1], ax=ax)
    np.testing.assert_array_equal(arrows.U, [1, 0, 1])
    np.testing.assert_array_equal(arrows.V, [0, 2, 1])
    assert key.text.get_text() == "1 pixel"
    np.testing.assert_array_equal(circles.get_xydata(), [[0, 1], [1, 1]])
    draw(ax)


def test_shift_field_of_unequal_lengths():
    with pytest.raises(ValueError, match="`x`, `y` and `shifts` have 2, 2 and 1 places"):
        plot_shift_field([0, 1], [0, 1], [[1, 1]])


# ---- images ---------------------------------------------------------------------------------


def vertices(contours):
    return np.concatenate([path.vertices for path in contours.get_paths() if len(path.vertices)])


def test_contours_move_with_the_shift_where_there_is_no_wcs():
    reference, image = scene()
    before, contours_before, after, contours_after = plot_before_after(reference, image, result())
    assert before.axes is not after.axes
    assert (before.axes.get_title(), after.axes.get_title()) == ("before", "after")
    moved = vertices(contours_after) - vertices(contours_before)
    np.testing.assert_allclose(moved, np.broadcast_to(SHIFT, moved.shape), atol=1e-12)
    draw(before.axes)


def test_contours_move_with_the_wcs_where_there_is_one():
    """Before, the two nominal WCS put the reference where it is; after, the content agrees."""
    reference, image = scene(wcs=tangent())
    one = result(wcs=image.wcs, image_shape=SHAPE)
    before, contours_before, _, contours_after = plot_before_after(reference, image, one)
    assert isinstance(before.axes, WCSAxes)
    moved = vertices(contours_after) - vertices(contours_before)
    # a rotation of the sky by 1.3 arcsec is a shift of pixels to 1e-5 over 50 pixels of 0.36 arcsec
    np.testing.assert_allclose(moved, np.broadcast_to(SHIFT, moved.shape), atol=1e-4)
    draw(before.axes)


def test_reference_on_another_grid():
    reference, image = scene(wcs=tangent())
    other = CCDData(reference.data, unit="adu", wcs=tangent(scale=2e-4, turn=40))
    one = result(wcs=image.wcs, image_shape=SHAPE)
    artists = plot_before_after(other, image, one)
    x, y = artists[0].axes.wcs.world_to_pixel(other.wcs.pixel_to_world(25, 20))
    inner = artists[1].get_paths()[-1].vertices
    # the innermost contour of the blob surrounds its place on the sky
    assert inner[:, 0].min() < x < inner[:, 0].max()
    assert inner[:, 1].min() < y < inner[:, 1].max()


def test_before_after_on_given_axes():
    reference, image = scene()
    _, axes = plt.subplots(1, 2)
    artists = plot_before_after(reference, image, result(), ax=axes)
    assert {artist.axes for artist in artists} == set(axes)
    with pytest.raises(ValueError, match="`ax` must be two axes, before and after, got 1"):
        plot_before_after(reference, image, result(), ax=axes[0])


def large_image(image):
    return replace(image, data=np.zeros((200, 250)), variance=None, mask=None)


def test_smoothing_for_contours_moves_nothing():
    reference, image = prepare_pair(*scene(wcs=tangent()))
    spike = np.zeros(reference.shape)
    spike[20, 30] = 1.0
    seen = for_contours(replace(reference, data=spike), large_image(image)).data
    assert seen.max() < 0.1
    y, x = np.indices(seen.shape)
    np.testing.assert_allclose(
        [np.average(x, weights=seen), np.average(y, weights=seen)], [30, 20], atol=1e-6
    )


def test_bad_pixels_do_not_enter_the_contours():
    reference, image = prepare_pair(*scene(wcs=tangent()))
    mask = np.zeros(reference.shape, bool)
    mask[10:20, 10:20] = True
    spoiled = replace(reference, data=np.where(mask, np.nan, 3.0), mask=mask)
    np.testing.assert_allclose(for_contours(spoiled, large_image(image)).data[~mask], 3.0)


def test_small_images_without_noise_are_contoured_as_they_are():
    frames = prepare_pair(*scene(wcs=tangent()))
    assert for_contours(*frames) is frames[0]


def test_noise_is_smoothed_until_the_contours_follow_the_emission():
    reference, image = prepare_pair(*scene())
    noisy = replace(reference, data=reference.data + np.random.default_rng(1).normal(0, 0.3, SHAPE))
    seen = for_contours(noisy, image)
    # Between median and 97th percentile the blob rises by some 0.7; at most 0.03 * 50 = 1.5 pixels leave
    # 0.3 / (2 sqrt(pi) 1.5) = 0.06 of the noise, besides what the smoothing takes off the blob.
    inner = np.s_[5:-5, 5:-5]
    assert np.std((seen.data - reference.data)[inner]) < 0.1
    (_, plain, _, _) = plot_before_after(reference, image, result())
    (_, drawn, _, _) = plot_before_after(noisy, image, result())
    # Noise makes islands; without them there are as many pieces as levels, and not many more.
    pieces = [sum(len(path.to_polygons()) for path in one.get_paths()) for one in (plain, drawn)]
    assert pieces[1] <= 3 * pieces[0]


def test_an_alignment_is_drawn_as_it_was_corrected():
    # The two kinds of correction differ where there is a distortion: 2 per cent at the edge.
    wcs = tangent()
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    a = np.zeros((3, 3))
    a[2, 0] = 4e-3
    wcs.sip = Sip(a, a.T, None, None, wcs.wcs.crpix)
    reference, image = prepare_pair(*scene(wcs=wcs))
    options = {"shift": SHIFT, "covariance": np.eye(2), "wcs": wcs, "image_shape": SHAPE}
    one = Alignment(**options, pivot_pixel=(24.5, 19.5), kind="detector")
    residual, _ = residual_map(reference, image, one)
    # Pixels are moved whole, so that the residual is that of numbers; a rotation of the sky leaves more.
    inner = np.s_[4:-4, 4:-4]
    assert np.nanmax(np.abs(residual[inner])) < 1e-6
    pointing, _ = residual_map(reference, image, replace(one, kind="pointing"))
    assert np.nanmax(np.abs(pointing[inner])) > 1e-3


def test_constant_reference_has_no_contours():
    _, image = scene()
    assert len(plot_before_after(np.ones(SHAPE), image, result())) == 2


def test_residual_of_a_perfect_pair():
    reference, image = scene()
    residual, label = residual_map(*prepare_pair(reference, image), result())
    assert label == "residual (Jy)"
    # a whole-pixel shift needs no interpolation; what the reference does not cover is not known
    assert np.isnan(residual[:, :3]).all()
    assert np.isnan(residual[-2:]).all()
    np.testing.assert_allclose(residual[:-2, 3:], 0, atol=1e-12)


def test_residual_fits_scale_and_background_if_there_are_none():
    reference, image = scene()
    nothing = u.Quantity(np.nan)
    residual, _ = residual_map(*prepare_pair(reference, image), result(scale=nothing, background=nothing))
    np.testing.assert_allclose(residual[:-2, 3:], 0, atol=1e-10)


def test_residual_in_sigmas():
    reference, image = scene()
    reference.uncertainty = StdDevUncertainty(np.full(SHAPE, 0.3))
    image.uncertainty = StdDevUncertainty(np.full(SHAPE, 0.8))
    image.data[10, 10] += 3
    residual, label = residual_map(*prepare_pair(reference, image), result())
    assert label == "residual (sigma)"
    # sigma = hypot(0.8, scale * 0.3) = 1
    assert residual[10, 10] == pytest.approx(3)


def test_residual_leaves_out_bad_pixels():
    reference, image = scene()
    reference.mask = np.zeros(SHAPE, bool)
    reference.mask[5, 6] = True
    image.mask = np.zeros(SHAPE, bool)
    image.mask[20, 20] = True
    residual, _ = residual_map(*prepare_pair(reference, image), result())
    assert np.isnan(residual[20, 20])
    assert np.isnan(residual[5 - 2, 6 + 3])
    assert np.isfinite(residual[:-2, 3:]).sum() == residual[:-2, 3:].size - 2


def test_residual_on_another_grid():
    _, image = scene(wcs=tangent())
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    turned = tangent(turn=90)
    at = tangent().world_to_pixel(turned.pixel_to_world(x, y))
    reference = CCDData(blob(*at), unit="adu", wcs=turned)
    one = result(wcs=image.wcs, image_shape=SHAPE)
    residual, _ = residual_map(*prepare_pair(reference, image), one)
    # linear interpolation of the blob: h^2 / 8 times its second derivatives, 2/9^2 + 2/12^2, times the scale
    assert np.nanmax(np.abs(residual)) < 2 * (2 / 81 + 2 / 144) / 8 * 1.05
    assert np.isfinite(residual).sum() > 1000


def test_residual_plot_is_symmetric_about_zero():
    reference, image = scene()
    image.data[10:20, 10:20] += 3
    (shown,) = plot_residual(reference, image, result())
    low, high = shown.get_clim()
    assert low == -high < 0
    draw(shown.axes)


def test_residual_without_overlap():
    reference, image = scene()
    with pytest.raises(ValueError, match="no good pixel in common at the measured shift"):
        plot_residual(reference, image, result(shift=[1000, 0]))


@pytest.mark.parametrize("function", [plot_before_after, plot_residual])
def test_images_without_a_shift(function):
    nothing = ShiftResult(shift=[np.nan] * 2, covariance=np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match="nothing to plot"):
        function(*scene(), nothing)


def test_images_are_not_changed():
    reference, image = scene(wcs=tangent())
    copies = reference.data.copy(), image.data.copy()
    one = result(wcs=image.wcs, image_shape=SHAPE)
    plot_before_after(reference, image, one)
    plot_residual(reference, image, one)
    np.testing.assert_array_equal(reference.data, copies[0])
    np.testing.assert_array_equal(image.data, copies[1])


# ---- matplotlib -----------------------------------------------------------------------------


def test_colours_differ():
    """Okabe and Ito's seven: no two of the same lightness and hue class."""
    assert len(set(COLOURS)) == len(COLOURS) == 7


def test_without_matplotlib():
    program = textwrap.dedent("""
        import sys
        sys.modules["matplotlib"] = None
        from astroreg.results import ShiftResult
        import astroreg.plotting
        try:
            ShiftResult(shift=[1, 2], covariance=[[1, 0], [0, 1]]).plot()
        except ImportError as error:
            print(error)
    """)
    root = Path(__file__).resolve().parents[1]
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True, timeout=120
    )
    assert run.stdout.strip() == "plots need matplotlib; install it with: pip install 'astroreg[plot]'"
