"""Sub-pixel shifts and zooms: against exactly moved skies, zero-padded transforms and the sky itself."""

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, InverseVariance, NDData, StdDevUncertainty, VarianceUncertainty
from astropy.wcs import WCS, Sip
from astropy.wcs.wcsapi import HighLevelWCSWrapper, SlicedLowLevelWCS
from scipy import signal

from astroreg.simulation import extended_sky, tan_wcs
from astroreg.simulation.sky import PowerLawField
from astroreg.transform import shift_image, zoom_image
from astroreg.transform.bandlimited import axis_matrix, continued, shift_variance_periodic


def field(shape, *, periodic, fwhm=2.5, seed=1):
    return PowerLawField(shape, index=3.0, fwhm=fwhm, periodic=periodic, rng=np.random.default_rng(seed))


def ccd(shape=(40, 50), *, wcs=None, seed=2):
    rng = np.random.default_rng(seed)
    return CCDData(
        extended_sky(shape, rng=rng),
        unit="Jy",
        uncertainty=StdDevUncertainty(rng.uniform(0.5, 2.0, shape)),
        mask=np.zeros(shape, bool),
        wcs=tan_wcs(shape, rotation=20 * u.deg) if wcs is None else wcs,
        meta={"OBJECT": "Orion"},
    )


# ---- shift_image ----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(64, 64), (63, 65), (64, 81), (33, 20)])
@pytest.mark.parametrize("shift", [(0.4, -0.3), (3.37, -5.81), (-40.5, 17.25)])
def test_a_periodic_sky_is_moved_exactly(shape, shift):
    sky = field(shape, periodic=True)
    moved = shift_image(sky.window(), shift, boundary="wrap")
    # Both are sums of the same sines, in double precision.
    np.testing.assert_allclose(moved, sky.window(shift), atol=1e-11)


def test_white_noise_comes_back_from_a_shift_and_its_opposite():
    noise = np.random.default_rng(0).standard_normal((31, 45))  # odd: no Nyquist term is lost
    there = shift_image(noise, (0.3, 7.6), boundary="wrap")
    np.testing.assert_allclose(shift_image(there, (-0.3, -7.6), boundary="wrap"), noise, atol=1e-12)


@pytest.mark.parametrize("shift", [(0.4, -0.3), (3.37, -5.81), (-0.5, 0.5)])
def test_a_window_is_moved_without_wrapping_around(shift):
    sky = field((96, 128), periodic=False)
    moved, truth = shift_image(sky.window(), shift), sky.window(shift)
    known = np.isfinite(moved)
    # What came in from outside, at least |shift| rounded outwards, is unknown.
    lost = [int(np.ceil(abs(s))) for s in shift]
    assert known.sum() == (128 - lost[0]) * (96 - lost[1])
    inner = (slice(16, -16), slice(16, -16))
    # The continuation beyond the edges is wrong by a few tenths there, and its influence falls as
    # 1 / distance of what it adds near the Nyquist frequency: 1e-2 beside the edge, 1e-4 at 16 pixels.
    assert np.abs(moved - truth)[known].max() < 2e-2
    assert np.abs(moved - truth)[inner].max() < 2e-4


def test_a_whole_shift_copies_values():
    image = ccd()
    moved = shift_image(image, (3, -2))
    assert np.array_equal(moved.data[:-2, 3:], image.data[2:, :-3])
    assert np.array_equal(moved.uncertainty.array[:-2, 3:], image.uncertainty.array[2:, :-3])
    assert moved.mask[-2:].all()
    assert moved.mask[:, :3].all()
    assert not moved.mask[:-2, 3:].any()


def test_the_signs_and_the_order_of_the_axes():
    image = np.zeros((9, 11))
    image[4, 5] = -1.0
    moved = shift_image(image, u.Quantity([2, -1], u.pixel), boundary="wrap")
    assert moved[3, 7] == -1.0
    assert moved.sum() == -1.0


@pytest.mark.parametrize("shift", [(500, 0), (0.0, -41), (40.5, 60.5)])
def test_a_shift_out_of_the_frame_leaves_nothing(shift):
    moved = shift_image(ccd((40, 50)), shift)
    assert moved.mask.all()
    assert np.isnan(moved.data).all()


def test_zero_changes_nothing():
    image = ccd()
    moved = shift_image(image, (0, 0))
    assert np.array_equal(moved.data, image.data)
    assert np.array_equal(moved.uncertainty.array, image.uncertainty.array)
    assert not moved.mask.any()


def test_a_bad_pixel_spreads_no_further_than_its_neighbours():
    sky = field((64, 64), periodic=False)
    image = NDData(sky.window(), mask=np.zeros((64, 64), bool))
    image.mask[30, 20] = image.mask[40:52, 30:45] = True
    image.data[image.mask] = 1e6
    image.data[10, 10] = np.nan
    moved = shift_image(image, (0.4, -0.3))
    # Bad pixel (x, y) = (20, 30) comes to stand at (20.4, 29.7): four pixels share it.
    assert moved.mask[29:31, 20:22].all()
    assert moved.mask[9:11, 10:12].all()
    assert moved.mask[2:-2, 2:-2].sum() == 4 + 4 + 13 * 16
    error = np.abs(moved.data - sky.window((0.4, -0.3)))[8:-8, 8:-8]
    # A bridge over one pixel is wrong by about 0.03 of the rms at this beam, over many by more; the
    # kernel gives a quarter of that to the next pixel but one. The wild value itself was 1e6.
    assert np.nanmax(error) < 0.05


def test_the_sky_stays_put():
    image = ccd()
    moved = shift_image(image, (3.4, -7.2))
    x, y = np.array([0.0, 20.0, 49.0]), np.array([5.0, 39.0, 0.0])
    separation = image.wcs.pixel_to_world(x, y).separation(moved.wcs.pixel_to_world(x + 3.4, y - 7.2))
    assert separation.max() < 1e-8 * u.arcsec
    assert image.wcs.wcs.crpix[0] == 25.5  # the input is left alone


def sip_wcs(shape):
    wcs = tan_wcs(shape)
    a, b = np.zeros((3, 3)), np.zeros((3, 3))
    a[2, 0], a[1, 1], b[0, 2] = 1e-4, -2e-4, 3e-4
    wcs.sip = Sip(a, b, None, None, wcs.wcs.crpix)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    wcs.wcs.set()
    return wcs


def other_wcs(shape):
    # An APE-14 WCS that is no FITS WCS: a slice of one.
    return HighLevelWCSWrapper(SlicedLowLevelWCS(tan_wcs(shape), [slice(None), slice(None)]))


@pytest.mark.parametrize("make", [tan_wcs, sip_wcs, other_wcs])
def test_any_wcs_follows(make):
    image = NDData(extended_sky((40, 50), rng=1), wcs=make((40, 50)))
    x, y = np.array([3.0, 20.0, 49.0]), np.array([5.0, 39.0, 0.0])
    truth = image.wcs.pixel_to_world(x, y)
    moved = shift_image(image, (1.5, -2.25))
    assert truth.separation(moved.wcs.pixel_to_world(x + 1.5, y - 2.25)).max() < 1e-8 * u.arcsec
    zoomed = zoom_image(image, factor=2.5, center=(20, 10), shape=(31, 41))
    # Output pixel (20, 15) is its middle.
    at = 20 + 2.5 * (x - 20), 15 + 2.5 * (y - 10)
    assert truth.separation(zoomed.wcs.pixel_to_world(*at)).max() < 1e-8 * u.arcsec
    back = zoomed.wcs.world_to_pixel(truth)
    # Without inverse coefficients SIP is inverted by iteration, to 1e-4 pixel.
    np.testing.assert_allclose(back, at, atol=1e-3)


def test_the_variance_is_that_of_many_shifted_noises():
    rng = np.random.default_rng(5)
    sigma = rng.uniform(0.5, 2.0, (12, 13))
    image = NDData(np.zeros((12, 13)), uncertainty=StdDevUncertainty(sigma))
    quoted = shift_image(image, (0.4, 2.7), boundary="wrap").uncertainty.array
    noise = sigma * rng.standard_normal((4000, 12, 13))
    shifted = np.array([shift_image(n, (0.4, 2.7), boundary="wrap") for n in noise])
    # The standard deviation of 4000 draws is good to 1 / sqrt(8000) = 1.1 %; 156 pixels: 4.5 sigma.
    np.testing.assert_allclose(quoted, shifted.std(axis=0), rtol=0.05)


@pytest.mark.parametrize("n", [8, 9])
def test_squared_weights_match_the_matrix(n):
    variance = np.random.default_rng(1).random((n, n + 2))
    rows, columns = axis_matrix(np.arange(n) - 0.3, n), axis_matrix(np.arange(n + 2) + 1.4, n + 2)
    expected = rows**2 @ variance @ (columns**2).T
    np.testing.assert_allclose(shift_variance_periodic(variance, (-1.4, 0.3)), expected, atol=1e-13)


@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
def test_the_kind_of_uncertainty_is_kept(kind):
    image = ccd()
    same = shift_image(image, (0.4, -0.3)).uncertainty.array
    image.uncertainty = image.uncertainty.represent_as(kind)
    moved = shift_image(image, (0.4, -0.3))
    assert type(moved.uncertainty) is kind
    np.testing.assert_allclose(moved.uncertainty.represent_as(StdDevUncertainty).array, same, rtol=1e-12)


def test_the_kind_of_object_is_kept():
    image = ccd()
    moved = shift_image(image, (0.4, -0.3))
    assert type(moved) is CCDData
    assert moved.unit == u.Jy
    assert moved.meta["OBJECT"] == "Orion"
    assert moved.wcs.array_shape == (40, 50)
    data = image.data
    assert type(shift_image(data, (1, 2))) is np.ndarray
    assert shift_image(data.astype("f4"), (0.5, 2)).dtype == np.float32
    assert shift_image(data.astype(">f8"), (0.5, 2)).dtype == np.float64
    assert shift_image(data * u.K, (1, 2)).unit == u.K
    masked = shift_image(np.ma.MaskedArray(data, mask=data > 2), (1.5, 2))
    assert masked.mask[:2].all()
    assert shift_image(NDData(data), (1, 2)).unit is None


class Map(NDData):
    """Like a map of the Sun: made of data and a header."""

    def __init__(self, data, header, **options):
        super().__init__(data, meta=header, **options)


def test_a_class_that_needs_more_comes_back_as_nddata():
    wcs = tan_wcs((8, 8))
    moved = shift_image(Map(np.ones((8, 8)), {"OBJECT": "Sun"}, wcs=wcs, unit="ct"), (1, 0))
    assert type(moved) is NDData
    assert moved.meta["OBJECT"] == "Sun"
    assert moved.wcs.wcs.crpix[0] == wcs.wcs.crpix[0] + 1


def test_an_hdu_comes_back_as_ccddata_that_writes_the_new_wcs():
    image = ccd()
    header = fits.Header({"OBJECT": "Orion", "BUNIT": "Jy"})
    header.update(image.wcs.to_header())
    moved = shift_image(fits.PrimaryHDU(image.data, header), (1.5, -2.0))
    written = moved.to_hdu()[0].header
    assert written["OBJECT"] == "Orion"
    truth = image.wcs.pixel_to_world(10, 10)
    assert truth.separation(WCS(written).pixel_to_world(11.5, 8.0)) < 1e-6 * u.arcsec


def test_inputs_are_not_modified():
    image = ccd()
    image.mask[3, 4] = True
    before = [a.copy() for a in (image.data, image.mask, image.uncertainty.array, image.wcs.wcs.crpix)]
    shift_image(image, (0.4, 1.3))
    zoom_image(image, factor=2)
    after = (image.data, image.mask, image.uncertainty.array, image.wcs.wcs.crpix)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("shift", "error", "match"),
    [((1, 2, 3), ValueError, "`shift` must be two"), ((np.nan, 0), ValueError, "finite"),
     ([1, 2] * u.arcsec, ValueError, "`shift` cannot be used .* in pixels")],
)  # fmt: skip
def test_an_impossible_shift(shift, error, match):
    with pytest.raises(error, match=match):
        shift_image(np.ones((8, 8)), shift)


def test_an_unknown_boundary():
    with pytest.raises(ValueError, match="`boundary`"):
        shift_image(np.ones((8, 8)), (1, 0), boundary="mirror")


# ---- zoom_image -----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(24, 24), (25, 31), (24, 31)])
@pytest.mark.parametrize("factor", [2, 5])
def test_a_zoom_is_zero_padding_of_the_transform(shape, factor):
    image = np.random.default_rng(3).standard_normal(shape)
    oracle = image
    for axis, n in enumerate(shape):
        oracle = signal.resample(oracle, factor * n, axis=axis)
    # Zero-padding puts its first sample on the first pixel; the zoom its middle on `center`.
    center = [(n * factor - 1) / 2 / factor for n in shape[::-1]]
    whole = tuple(n * factor for n in shape)
    zoomed = zoom_image(image, factor=factor, center=center, shape=whole, boundary="wrap")
    np.testing.assert_allclose(zoomed, oracle, atol=1e-12)


def test_a_zoom_of_a_window_by_any_factor():
    sky = field((80, 100), periodic=False)
    zoomed = zoom_image(sky.window(), factor=3.7, center=(60.3, 40.2), shape=(38, 75))
    # Output (j, i) looks at x = 60.3 + (i - 37) / 3.7, y = 40.2 + (j - 18.5) / 3.7.
    for j, i in ((0, 0), (18, 37), (37, 74)):
        x, y = 60.3 + (i - 37) / 3.7, 40.2 + (j - 18.5) / 3.7
        truth = sky.window((-(x - 50), -(y - 40)))[40, 50]
        # The region is continued 16 pixels beyond itself: see the shift of a window above.
        assert abs(zoomed[j, i] - truth) < 2e-4


def test_a_zoom_by_one_is_the_image():
    image = ccd()
    same = zoom_image(image, factor=1)
    np.testing.assert_allclose(same.data, image.data, atol=1e-12)
    np.testing.assert_allclose(same.uncertainty.array, image.uncertainty.array, rtol=1e-9)
    assert not same.mask.any()


def test_a_zoom_around_a_coordinate():
    image = ccd((41, 51))
    where = image.wcs.pixel_to_world(20.0, 12.0)
    zoomed = zoom_image(image, factor=4, center=where, shape=(9, 9))
    assert zoomed.wcs.pixel_to_world(4, 4).separation(where) < 1e-8 * u.arcsec
    # The middle falls on a pixel, whose value it has (the region is continued: 1e-4).
    assert abs(zoomed.data[4, 4] - image.data[12, 20]) < 1e-9
    assert zoomed.shape == zoomed.mask.shape == zoomed.uncertainty.array.shape == (9, 9)


def test_a_zoom_masks_what_it_cannot_know():
    image = ccd((40, 50))
    image.mask[20, 25] = True
    zoomed = zoom_image(image, factor=3, center=(25, 20), shape=(13, 13))
    bad = np.zeros((13, 13), bool)
    bad[4:9, 4:9] = True  # less than three output pixels, which is one input pixel, from the middle
    assert np.array_equal(zoomed.mask, bad)
    whole = zoom_image(image, factor=2)
    assert whole.shape == (80, 100)
    # The outermost output pixels have their centres a quarter of a pixel beyond the last input centres.
    assert whole.mask[0].all()
    assert not whole.mask[1, 1:-1].any()
    assert zoom_image(image, factor=2, center=(500, -300), shape=(7, 7)).mask.all()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [({"factor": 0.5}, "`factor` must be >= 1"), ({"factor": -1}, "`factor`"),
     ({"factor": 2, "shape": (0, 4)}, "`shape`"), ({"factor": 2, "center": (1, np.inf)}, "`center`")],
)  # fmt: skip
def test_an_impossible_zoom(arguments, match):
    with pytest.raises(ValueError, match=match):
        zoom_image(np.ones((8, 8)), **arguments)


def test_a_coordinate_needs_a_wcs():
    with pytest.raises(ValueError, match="`center` is a SkyCoord"):
        zoom_image(np.ones((8, 8)), factor=2, center=tan_wcs((8, 8)).pixel_to_world(4, 4))


# ---- the continuation -----------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "pad"), [((4, 7), 3), ((40, 50), 16)])
def test_a_continued_array_holds_the_array_and_its_ends_meet(shape, pad):
    data = np.random.default_rng(1).random(shape)
    padded, (y, x) = continued(data, 16)
    assert (y, x) == (pad, min(16, shape[1] - 1))
    np.testing.assert_allclose(padded[y : y + shape[0], x : x + shape[1]], data, atol=1e-15)
    # Reflected twice about edges of 0 to 1, values lie in -4 to 5; the last taper is this.
    last = 0.5 + 0.5 * np.cos(np.pi * pad / (pad + 1))
    assert np.abs(padded[[0, -1]] - data.mean()).max() < 4.6 * last
