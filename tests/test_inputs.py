"""The door for images: every kind that is taken, every kind that is refused, and nothing is changed."""

from __future__ import annotations

import hashlib
import warnings
from types import MappingProxyType

import hypothesis.strategies as st
import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import (
    CCDData,
    InverseVariance,
    NDData,
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)
from astropy.utils.masked import Masked
from astropy.wcs import WCS
from astropy.wcs.wcsapi import HighLevelWCSWrapper, SlicedLowLevelWCS
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from astroreg.exceptions import AstroregWarning
from astroreg.inputs import Frame, as_frame, is_celestial, pixel_scale, prepare_pair

SHAPE = (6, 7)


@pytest.fixture
def plane():
    return np.random.default_rng(1).normal(10, 1, SHAPE)


def celestial(naxis=2):
    wcs = WCS(naxis=naxis)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN", "FREQ", "STOKES"][:naxis]
    wcs.wcs.crval = [150.0, 2.0, 1e9, 1.0][:naxis]
    wcs.wcs.crpix = [4.0, 3.0, 1.0, 1.0][:naxis]
    wcs.wcs.cdelt = [-1e-4, 1e-4, 1e6, 1.0][:naxis]
    wcs.wcs.cunit = ["deg", "deg", "Hz", ""][:naxis]
    return wcs


def checksum(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


# ---- dtypes and layouts ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["u1", "i2", "<i4", ">i4", "i8", "u8", "<f2", "<f8", ">f8", "g"])
def test_numbers_become_native_float64(dtype):
    array = np.arange(42).reshape(SHAPE).astype(dtype)
    frame = as_frame(array, argument="image")
    assert frame.data.dtype == np.dtype("=f8")
    np.testing.assert_array_equal(frame.data, np.arange(42.0).reshape(SHAPE))
    assert frame.mask is None
    assert frame.variance is None


@pytest.mark.parametrize("dtype", ["<f4", ">f4"])
def test_float32_stays(dtype, plane):
    frame = as_frame(plane.astype(dtype), argument="image")
    assert frame.data.dtype == np.dtype("=f4")
    np.testing.assert_array_equal(frame.data, plane.astype("f4"))


@pytest.mark.parametrize("factor", [1e-19, 1e20])
def test_float32_whose_squares_overflow_goes_to_float64(factor, plane):
    array = (plane * factor).astype("f4")
    frame = as_frame(array, argument="image")
    assert frame.data.dtype == np.float64
    np.testing.assert_array_equal(frame.data, array.astype("f8"))


def test_small_errors_on_ordinary_float32_data_keep_their_variance(plane):
    sigma = np.full(SHAPE, 1e-25)
    frame = as_frame(NDData(plane.astype("f4"), uncertainty=StdDevUncertainty(sigma)), argument="image")
    # a float32 holds nothing below 1e-45
    np.testing.assert_allclose(frame.variance, 1e-50, rtol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda a: a,
        lambda a: np.asfortranarray(a),
        lambda a: a.astype(">f4"),
        lambda a: a.astype("i2"),
        lambda a: np.ma.masked_less(a, 9.5),
        lambda a: a * u.Jy,
        lambda a: NDData(a, uncertainty=StdDevUncertainty(abs(a)), mask=a < 9.5),
        lambda a: NDData(a, uncertainty=VarianceUncertainty(np.where(a < 9, np.inf, a))),
    ],
)
def test_inputs_are_never_modified(make, plane):
    plane[2, 3] = 9
    plane[0, 0] = 8.5
    given = make(plane)
    arrays = [np.asarray(given.data if isinstance(given, NDData) else given)]
    if isinstance(given, NDData):
        arrays += [np.asarray(a) for a in (given.uncertainty.array, given.mask) if a is not None]
    before = [checksum(a) for a in arrays]
    for array in arrays:
        array.flags.writeable = False
    frame = as_frame(given, argument="image")
    frame.filled(0)
    frame.in_unit(frame.unit * 2)
    assert [checksum(a) for a in arrays] == before


def test_memory_mapped_data_are_not_changed(tmp_path, plane):
    path = tmp_path / "plane.dat"
    plane.astype(">f4").tofile(path)
    before = checksum(np.fromfile(path, "u1"))
    mapped = np.memmap(path, ">f4", "r", shape=SHAPE)
    frame = as_frame(mapped, argument="image")
    np.testing.assert_array_equal(frame.data, plane.astype("f4"))
    assert checksum(np.fromfile(path, "u1")) == before


def test_native_arrays_are_not_copied(plane):
    assert np.shares_memory(as_frame(plane, argument="image").data, plane)


def test_a_frame_passes_as_it_is(plane):
    frame = as_frame(plane, argument="image")
    assert as_frame(frame, argument="image") is frame


# ---- kinds ----------------------------------------------------------------------------------


def test_list_of_lists():
    assert as_frame([[1, 2], [3, 4]], argument="image").data.dtype == np.float64


def test_quantity(plane):
    frame = as_frame(plane * u.MJy / u.sr, argument="image")
    assert frame.unit == u.MJy / u.sr
    assert type(frame.data) is np.ndarray


def test_numpy_masked_array(plane):
    frame = as_frame(np.ma.masked_less(plane, 10), argument="image")
    np.testing.assert_array_equal(frame.mask, plane < 10)


def test_astropy_masked_quantity(plane):
    frame = as_frame(Masked(plane * u.Jy, mask=plane < 10), argument="image")
    np.testing.assert_array_equal(frame.mask, plane < 10)
    assert frame.unit == u.Jy


def test_masked_array_without_a_mask(plane):
    assert as_frame(np.ma.array(plane), argument="image").mask is None


def test_nonfinite_data_are_masked(plane):
    plane[1, 2], plane[3, 4] = np.nan, -np.inf
    frame = as_frame(plane, argument="image")
    assert list(zip(*np.nonzero(frame.mask), strict=True)) == [(1, 2), (3, 4)]
    np.testing.assert_array_equal(frame.valid, ~frame.mask)


def test_filled(plane):
    plane[1, 2] = np.nan
    sigma = np.ones(SHAPE)
    sigma[1, 2] = np.nan
    frame = as_frame(NDData(plane, uncertainty=StdDevUncertainty(sigma)), argument="image").filled(7)
    assert frame.data[1, 2] == 7
    assert frame.variance[1, 2] == 0
    assert np.isfinite(frame.data).all()
    assert frame.mask[1, 2]


def test_ccddata_keeps_wcs_meta_unit_and_mask(plane):
    mask = plane > 10
    wcs = celestial()
    ccd = CCDData(plane, unit="adu", mask=mask, wcs=wcs, meta=fits.Header({"OBJECT": "M 51"}))
    frame = as_frame(ccd, argument="image")
    assert frame.unit == u.adu
    assert frame.wcs is wcs
    assert frame.header["OBJECT"] == "M 51"
    np.testing.assert_array_equal(frame.mask, mask)


def test_integer_flags_as_mask(plane):
    flags = np.zeros(SHAPE, np.uint16)
    flags[0, 1] = 4096
    frame = as_frame(NDData(plane, mask=flags), argument="image")
    assert frame.mask.sum() == 1
    assert frame.mask[0, 1]


def test_scalar_false_mask_masks_nothing(plane):
    assert as_frame(NDData(plane, mask=False), argument="image").mask is None


def test_duck_typed_map(plane):
    class Map:
        data = plane
        wcs = celestial()
        meta = MappingProxyType({"bunit": "DN", "ctype1": "HPLN-TAN"})
        uncertainty = None
        mask = None
        unit = u.DN

    frame = as_frame(Map(), argument="image")
    assert frame.unit == u.DN
    assert frame.wcs is Map.wcs
    assert frame.header["CTYPE1"] == "HPLN-TAN"


def test_pair_of_array_and_header(plane):
    frame = as_frame((plane, celestial().to_header()), argument="image")
    assert frame.wcs.has_celestial
    frame = as_frame((plane * u.K, celestial()), argument="image")
    assert frame.wcs.has_celestial
    assert frame.unit == u.K


@pytest.mark.parametrize("kind", [fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU])
def test_hdu(kind, plane):
    header = celestial().to_header()
    header["BUNIT"] = "MJy/sr"
    frame = as_frame(kind(plane.astype(">f4"), header=header), argument="image")
    assert frame.unit == u.MJy / u.sr
    assert frame.wcs.has_celestial
    assert frame.data.dtype == np.dtype("=f4")


def test_unknown_unit_in_a_header_counts_as_none(plane):
    header = fits.Header({"BUNIT": "furlongs per fortnight"})
    with pytest.warns(AstroregWarning, match="furlongs"):
        frame = as_frame(fits.PrimaryHDU(plane, header=header), argument="image")
    assert frame.unit == u.dimensionless_unscaled


@pytest.mark.parametrize("suffix", [".fits", ".fits.gz"])
@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_path(suffix, kind, plane, tmp_path):
    path = tmp_path / f"a plane{suffix}"
    header = celestial().to_header()
    header["BUNIT"] = "Jy/beam"
    error = fits.ImageHDU(np.full(SHAPE, 2.0), name="ERR")
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(plane, header, name="SCI"), error]).writeto(path)
    frame = as_frame(kind(path), argument="image")
    assert frame.label.startswith(str(path))
    assert frame.unit == u.Jy / u.beam
    assert frame.wcs.has_celestial
    np.testing.assert_array_equal(frame.data, plane)
    np.testing.assert_array_equal(frame.variance, 4)
    np.testing.assert_array_equal(as_frame(path, argument="image", hdu=2).data, 2)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.fits"):
        as_frame(tmp_path / "none.fits", argument="image")


def hdus(plane):
    second = fits.ImageHDU(plane + 1, name="SCI", ver=2)
    return fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(plane, name="SCI", ver=1), second])


@pytest.mark.parametrize(("hdu", "added"), [(None, 0), (1, 0), (2, 1), ("SCI", 0), (("SCI", 2), 1)])
def test_choice_of_hdu(hdu, added, plane):
    frame = as_frame(hdus(plane), argument="image", hdu=hdu)
    np.testing.assert_array_equal(frame.data, plane + added)


@pytest.mark.parametrize("hdu", [7, "ERR", ("SCI", 3)])
def test_missing_hdu(hdu, plane):
    with pytest.raises(ValueError, match=r"`image` has no HDU .*it has 0, SCI,1, SCI,2"):
        as_frame(hdus(plane), argument="image", hdu=hdu)


def test_hdu_list_without_image():
    with pytest.raises(ValueError, match="`image` holds no image with two axes"):
        as_frame(fits.HDUList([fits.PrimaryHDU()]), argument="image")


def test_hdu_without_data():
    with pytest.raises(ValueError, match="`image` holds no image with two axes"):
        as_frame(fits.PrimaryHDU(), argument="image")


def test_table_hdu():
    table = fits.BinTableHDU.from_columns([fits.Column("a", "D", array=[1.0])])
    with pytest.raises(ValueError, match="`image` is not an image but a BinTableHDU"):
        as_frame(table, argument="image")


def test_hdu_choice_for_an_array(plane):
    with pytest.raises(ValueError, match="`image` is no file"):
        as_frame(plane, argument="image", hdu=1)


# ---- degenerate axes and WCS ----------------------------------------------------------------


@pytest.mark.parametrize("extra", [1, 2])
def test_degenerate_axes_are_dropped_with_their_wcs(extra, plane):
    data = plane[(None,) * extra]
    sigma = NDData(data, uncertainty=StdDevUncertainty(data), mask=data > 10, wcs=celestial(2 + extra))
    frame = as_frame(sigma, argument="image")
    assert frame.data.shape == frame.variance.shape == frame.mask.shape == SHAPE
    assert frame.wcs.pixel_n_dim == 2
    np.testing.assert_allclose(frame.wcs.wcs_pix2world(3, 2, 0), [150, 2])


def test_trailing_degenerate_axis(plane):
    np.testing.assert_array_equal(as_frame(plane[..., None], argument="image").data, plane)


def test_degenerate_axis_of_a_sliced_wcs(plane):
    sliced = HighLevelWCSWrapper(SlicedLowLevelWCS(celestial(4), [0, slice(None), slice(None), slice(None)]))
    frame = as_frame(NDData(plane[None], wcs=sliced), argument="image")
    assert frame.wcs.pixel_n_dim == 2
    assert frame.wcs.pixel_to_world(3, 2).ra.deg == pytest.approx(150)


def test_plane_with_the_wcs_of_its_cube(plane):
    frame = as_frame(NDData(plane, wcs=celestial(3)), argument="image")
    assert frame.wcs.naxis == 2


def test_wcs_of_another_dimension(plane):
    wcs = WCS(naxis=3)
    with pytest.raises(ValueError, match="WCS of `image` has 3 pixel axes, its data 2"):
        as_frame(NDData(plane, wcs=wcs), argument="image")


def test_wcs_is_built_from_the_meta_where_it_is_missing(plane):
    ccd = CCDData(plane, unit="adu", meta=celestial().to_header())
    assert ccd.wcs is None
    frame = as_frame(ccd, argument="image")
    assert frame.wcs.has_celestial


def test_wcs_of_something_else_in_the_meta_counts_as_none(plane):
    header = fits.Header({"CTYPE1": "FREQ", "CTYPE2": "STOKES", "CTYPE3": "TIME", "WCSAXES": 3})
    assert as_frame(CCDData(plane, unit="adu", meta=header), argument="image").wcs is None


def test_keywords_that_contradict_the_wcs_are_told(plane):
    # A slice of a hand-made image: the WCS is cut with the pixels, the meta stays that of the whole.
    whole = CCDData(np.pad(plane, 3), unit="adu", wcs=celestial(), meta=celestial().to_header())
    as_frame(whole, argument="image")
    with pytest.warns(
        AstroregWarning, match=r"meta of `image` differ from its wcs by up to 3\.6 pixel"
    ) as caught:
        frame = as_frame(whole[3:, 2:], argument="image")
    assert len(caught) == 1
    np.testing.assert_allclose(frame.wcs.wcs.crpix, [2, 0])


@pytest.mark.parametrize(("step", "told"), [(0.009, False), (0.011, True)])
def test_how_far_keywords_may_contradict_the_wcs(step, told, plane):
    header = celestial().to_header()
    header["CRPIX1"] += step
    image = CCDData(plane, unit="adu", wcs=celestial(), meta=header)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        as_frame(image, argument="image")
    assert len(caught) == told


def test_keywords_of_another_part_of_the_sky(plane):
    header = celestial().to_header()
    header["CRVAL1"] = 330.0
    with pytest.warns(AstroregWarning, match="differ from its wcs by up to inf pixel"):
        as_frame(CCDData(plane, unit="adu", wcs=celestial(), meta=header), argument="image")


@pytest.mark.parametrize("turn", [0, 1])
def test_keywords_in_another_frame_are_compared_on_the_sky(turn, plane):
    wcs = celestial()
    here = wcs.pixel_to_world(3, 2)
    pole = SkyCoord(0, 90, unit="deg", frame="galactic")
    # Galactic North lies at this position angle; `turn` degrees more make it another WCS.
    sine, cosine = np.sin(angle := here.position_angle(pole).rad + np.radians(turn)), np.cos(angle)
    told = celestial()
    told.wcs.ctype, told.wcs.crval = ["GLON-TAN", "GLAT-TAN"], [here.galactic.l.deg, here.galactic.b.deg]
    told.wcs.radesys = ""
    told.wcs.pc = [[cosine, sine], [-sine, cosine]]  # CDELT1 < 0
    image = CCDData(plane, unit="adu", wcs=wcs, meta=told.to_header())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        as_frame(image, argument="image")
    assert len(caught) == turn


def test_quantity_that_carries_a_wcs(plane):
    class Projection(u.Quantity):
        wcs = celestial()
        header = fits.Header({"OBJECT": "M 51"})

    frame = as_frame(Projection(plane, u.K), argument="image")
    assert frame.unit == u.K
    assert frame.wcs is Projection.wcs
    assert frame.header["OBJECT"] == "M 51"


def test_generalized_wcs(plane):
    frames = pytest.importorskip("gwcs.coordinate_frames")
    models = pytest.importorskip("astropy.modeling.models")
    from astropy.coordinates import ICRS
    from gwcs import WCS as GWCS

    to_sky = (
        models.Shift(-3) & models.Shift(-2)
        | models.Scale(-1e-4) & models.Scale(1e-4)
        | models.Pix2Sky_TAN()
        | models.RotateNative2Celestial(150, 2, 180)
    )
    detector = frames.Frame2D(name="detector", unit=(u.pix, u.pix))
    sky = frames.CelestialFrame(reference_frame=ICRS(), unit=(u.deg, u.deg))
    wcs = GWCS([(detector, to_sky), (sky, None)])
    for image in (NDData(plane, wcs=wcs), (plane, wcs)):
        frame = as_frame(image, argument="image")
        assert is_celestial(frame.wcs)
        # the finite difference over a pixel of 1e-4 degree
        assert pixel_scale(frame.wcs, frame.shape).to_value(u.deg) == pytest.approx(1e-4, rel=1e-9)


def test_unreadable_wcs_in_the_meta_counts_as_none(plane):
    header = celestial().to_header()
    header["CTYPE1"] = "RA---XYZ"
    assert as_frame(CCDData(plane, unit="adu", meta=header), argument="image").wcs is None


def test_something_that_is_no_wcs(plane):
    class Holder:
        data = plane
        wcs = "a string"

    with pytest.raises(TypeError, match="the WCS of `image` is a str"):
        as_frame(Holder(), argument="image")


# ---- uncertainties --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "values"),
    [(StdDevUncertainty, 2.0), (VarianceUncertainty, 4.0), (InverseVariance, 0.25)],
)
@pytest.mark.parametrize("holder", [NDData, CCDData])
def test_uncertainties_of_any_kind(kind, values, holder, plane):
    image = holder(plane, unit="Jy", uncertainty=kind(np.full(SHAPE, values)))
    np.testing.assert_allclose(as_frame(image, argument="image").variance, 4, rtol=1e-14)


@pytest.mark.parametrize(
    ("kind", "unit", "values"),
    [
        (StdDevUncertainty, u.mJy, 2000.0),
        (VarianceUncertainty, u.mJy**2, 4e6),
        (InverseVariance, u.mJy**-2, 0.25e-6),
    ],
)
def test_uncertainty_with_a_unit_of_its_own(kind, unit, values, plane):
    image = NDData(plane, unit=u.Jy, uncertainty=kind(np.full(SHAPE, values), unit=unit))
    np.testing.assert_allclose(as_frame(image, argument="image").variance, 4, rtol=1e-14)


def test_integer_uncertainty_does_not_overflow(plane):
    image = NDData(plane, uncertainty=StdDevUncertainty(np.full(SHAPE, 200, np.uint8)))
    np.testing.assert_array_equal(as_frame(image, argument="image").variance, 40000)


def test_one_value_for_all_pixels(plane):
    image = NDData(plane, uncertainty=StdDevUncertainty(np.array([3.0])))
    np.testing.assert_array_equal(as_frame(image, argument="image").variance, 9)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_variance_that_is_not_finite_masks_the_pixel(bad, plane):
    sigma = np.ones(SHAPE)
    sigma[2, 2] = bad
    frame = as_frame(NDData(plane, uncertainty=StdDevUncertainty(sigma)), argument="image")
    assert frame.mask[2, 2]
    assert frame.mask.sum() == 1


def test_no_information_is_masked(plane):
    weight = np.ones(SHAPE)
    weight[2, 2] = 0
    frame = as_frame(NDData(plane, uncertainty=InverseVariance(weight)), argument="image")
    assert frame.mask[2, 2]
    assert frame.mask.sum() == 1


def test_zero_everywhere_is_noiseless(plane):
    frame = as_frame(NDData(plane, uncertainty=StdDevUncertainty(np.zeros(SHAPE))), argument="image")
    assert frame.noiseless
    assert frame.mask is None
    assert not as_frame(plane, argument="image").noiseless


def test_zero_among_positive_is_masked_with_a_word(plane):
    sigma = np.ones(SHAPE)
    sigma[0, :2] = 0
    with pytest.warns(AstroregWarning, match="of `image` is zero at 2 pixels and positive at others"):
        frame = as_frame(NDData(plane, uncertainty=StdDevUncertainty(sigma)), argument="image")
    assert frame.mask.sum() == 2


def test_zero_or_negative_under_the_mask_does_not_matter(plane):
    mask = np.zeros(SHAPE, bool)
    mask[0, :2] = True
    sigma = np.where(mask, [-1, 0, 0, 0, 0, 0, 0], 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = as_frame(NDData(plane, uncertainty=StdDevUncertainty(sigma), mask=mask), argument="image")
    np.testing.assert_array_equal(frame.mask, mask)
    assert (frame.filled().variance >= 0).all()


@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
def test_negative_uncertainty(kind, plane):
    values = np.ones(SHAPE)
    values[1, 1] = -1
    with pytest.raises(ValueError, match="the uncertainty of `image` has negative values; give"):
        as_frame(NDData(plane, uncertainty=kind(values)), argument="image")


# ---- what is refused ------------------------------------------------------------------------

REFUSED = {
    "1-D": (np.ones(5), ValueError, r"`image` has 1 dimension\(s\) \(shape \(5,\)\); give a 2-D image"),
    "3-D": (np.ones((2, 5, 5)), ValueError, r"`image` has 3 dimensions .* a plane of the cube"),
    "0-D": (np.float64(3), ValueError, r"`image` has 0 dimension"),
    "one row of a cube": (np.ones((1, 5)).squeeze(), ValueError, "`image` has 1 dimension"),
    "empty": (np.ones((0, 5)), ValueError, r"`image` is empty \(shape \(0, 5\)\)"),
    "empty list": ([], ValueError, "`image` is empty"),
    "ragged list": ([[1, 2], [3]], ValueError, "`image` is no rectangular array"),
    "complex": (np.ones(SHAPE, complex), TypeError, "`image` has dtype complex128; give real .* modulus"),
    "bool": (np.ones(SHAPE, bool), TypeError, "`image` has dtype bool; give real numbers"),
    "object": (np.full(SHAPE, None), TypeError, "`image` has dtype object"),
    "text": (np.full(SHAPE, "a"), TypeError, "`image` has dtype <U1"),
    "dates": (np.zeros(SHAPE, "M8[s]"), TypeError, "`image` has dtype datetime64"),
    "records": (np.zeros(SHAPE, [("a", float)]), TypeError, "`image` has dtype"),
    "None": (None, TypeError, "`image` is a NoneType, which holds no image; give NDData"),
    "number": (3, TypeError, "`image` is a int"),
    "dict": ({"data": 1}, TypeError, "`image` is a dict"),
    "bytes": (b"a.fits", TypeError, "`image` is a bytes"),
    "all NaN": (np.full(SHAPE, np.nan), ValueError, "`image` has no good pixel"),
    "all inf": (np.full(SHAPE, np.inf), ValueError, "`image` has no good pixel"),
    "all masked": (np.ma.masked_all(SHAPE), ValueError, "`image` has no good pixel"),
    "all flagged": (NDData(np.ones(SHAPE), mask=np.ones(SHAPE, int)), ValueError, "no good pixel"),
    "scalar True mask": (NDData(np.ones(SHAPE), mask=True), ValueError, "`image` has no good pixel"),
    "huge": (np.full(SHAPE, 1e300), ValueError, r"`image` has values of 1e\+300, whose squares leave"),
    "tiny": (np.full(SHAPE, 1e-300), ValueError, "`image` has values of 1e-300"),
    "magnitudes": (np.ones(SHAPE) * u.ABmag, ValueError, "`image` is in .*, a logarithmic unit"),
    "mask of another shape": (
        NDData(np.ones(SHAPE), mask=np.zeros((7, 6), bool)),
        ValueError,
        r"the mask of `image` has shape \(7, 6\), its data \(6, 7\)",
    ),
    "mask of floats": (
        NDData(np.ones(SHAPE), mask=np.zeros(SHAPE)),
        TypeError,
        "the mask of `image` has dtype float",
    ),
    "mask of text": (
        NDData(np.ones(SHAPE), mask=np.full(SHAPE, "x")),
        TypeError,
        "the mask of `image` has dtype",
    ),
    "unknown uncertainty": (
        NDData(np.ones(SHAPE), uncertainty=UnknownUncertainty(np.ones(SHAPE))),
        ValueError,
        r"uncertainty of `image` is a UnknownUncertainty.*StdDevUncertainty, VarianceUncertainty or",
    ),
    "uncertainty of another shape": (
        NDData(np.ones(SHAPE), uncertainty=StdDevUncertainty(np.ones((7, 6)))),
        ValueError,
        r"the uncertainty of `image` has shape \(7, 6\), its data \(6, 7\)",
    ),
    "complex uncertainty": (
        NDData(np.ones(SHAPE), uncertainty=StdDevUncertainty(np.ones(SHAPE, complex))),
        TypeError,
        "the uncertainty of `image` has dtype complex128",
    ),
    "uncertainty not finite": (
        NDData(np.ones(SHAPE), uncertainty=StdDevUncertainty(np.full(SHAPE, np.nan))),
        ValueError,
        "`image` has no good pixel: all are masked or not finite",
    ),
    "huge uncertainty": (
        NDData(np.ones(SHAPE), uncertainty=StdDevUncertainty(np.full(SHAPE, 1e120))),
        ValueError,
        r"`image` has values of 1e\+120",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_impossible_images(name):
    given_object, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        as_frame(given_object, argument="image")


def test_uncertainty_as_a_plain_array_of_a_foreign_object(plane):
    class Holder:
        data = plane
        uncertainty = np.ones(SHAPE)

    with pytest.raises(ValueError, match="uncertainty of `image` is a ndarray, which does not say what"):
        as_frame(Holder(), argument="image")


def test_uncertainty_whose_unit_does_not_convert(plane):
    class Holder:
        data = plane
        unit = u.Jy
        uncertainty = StdDevUncertainty(np.ones(SHAPE), unit=u.K)

    with pytest.raises(ValueError, match=r"has a variance in K2, which does not convert .* Jy2"):
        as_frame(Holder(), argument="image")


def test_one_huge_pixel_may_be_masked(plane):
    plane[0, 0] = 1e300
    with pytest.raises(ValueError, match="mask those pixels"):
        as_frame(plane, argument="image")
    frame = as_frame(np.ma.masked_greater(plane, 1e99), argument="image")
    assert frame.mask.sum() == 1


# ---- pairs ----------------------------------------------------------------------------------


def test_reference_is_converted_with_its_variance(plane):
    reference = NDData(plane, unit=u.Jy, uncertainty=StdDevUncertainty(np.full(SHAPE, 2.0)))
    image = NDData(plane, unit=u.mJy)
    first, second = prepare_pair(reference, image, fit_scale=False)
    assert first.unit == second.unit == u.mJy
    np.testing.assert_allclose(first.data, plane * 1e3)
    np.testing.assert_allclose(first.variance, 4e6)
    np.testing.assert_array_equal(second.data, plane)


def test_float32_stays_float32_in_another_unit(plane):
    first, _ = prepare_pair(plane.astype("f4") * u.Jy, plane.astype("f4") * u.mJy)
    assert first.data.dtype == np.float32


def test_conversion_out_of_the_range_of_float32(plane):
    first, _ = prepare_pair(plane.astype("f4") * u.W, plane.astype("f4") * u.yW)
    assert first.data.dtype == np.float64
    np.testing.assert_allclose(first.data, plane.astype("f4").astype(float) * 1e24, rtol=1e-12)


def test_inconvertible_units_need_a_fitted_scale(plane):
    first, second = prepare_pair(plane * u.Jy, plane * u.adu)
    assert (first.unit, second.unit) == (u.Jy, u.adu)
    with pytest.raises(ValueError, match=r"`reference` is in Jy, which does not convert to adu.*`fit_scale`"):
        prepare_pair(plane * u.Jy, plane * u.adu, fit_scale=False)
    with pytest.raises(ValueError, match="to no unit"):
        prepare_pair(plane * u.Jy, plane, fit_scale=False)


@pytest.mark.parametrize(("position", "name"), [(0, "reference"), (1, "image")])
def test_the_guilty_argument_is_named(position, name, plane):
    pair = [plane, plane]
    pair[position] = np.ones(3)
    with pytest.raises(ValueError, match=f"`{name}` has 1 dimension"):
        prepare_pair(*pair)
    pair[position] = np.ones((1, 100))
    with pytest.raises(
        ValueError, match=f"`{name}` is 100 pixel wide and 1 high; a shift along both axes needs"
    ):
        prepare_pair(*pair)
    pair[position] = np.ones((1, 1))
    with pytest.raises(ValueError, match=f"`{name}` is 1 pixel wide and 1 high"):
        prepare_pair(*pair)


def test_hdus_of_a_pair(plane):
    first, second = prepare_pair(hdus(plane), hdus(plane), reference_hdu=1, image_hdu=2)
    np.testing.assert_allclose(second.data - first.data, 1)


# ---- properties -----------------------------------------------------------------------------

PLANES = hnp.arrays(
    st.sampled_from(["<f4", ">f4", "<f8", "<i2", ">i4", "u1"]),
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(PLANES, st.data())
def test_any_plane_gives_a_sound_frame_or_a_clear_refusal(array, data):
    mask = data.draw(hnp.arrays(bool, array.shape))
    before = checksum(array), checksum(mask)
    usable = np.abs(array[~mask & np.isfinite(array)].astype(float))
    if not usable.size or (usable.any() and not 1e-70 <= usable.max() <= 1e70):
        with pytest.raises(ValueError, match=r"`image` has (no good pixel|values of)"):
            as_frame(NDData(array, mask=mask), argument="image")
    else:
        frame = as_frame(NDData(array, mask=mask), argument="image")
        assert frame.data.dtype in (np.dtype("=f4"), np.dtype("=f8"))
        assert frame.data.shape == array.shape
        assert np.isfinite(frame.data[frame.valid]).all()
        np.testing.assert_array_equal(frame.valid, ~mask & np.isfinite(array))
        np.testing.assert_array_equal(frame.data[frame.valid], array[frame.valid])
    assert (checksum(array), checksum(mask)) == before


@settings(max_examples=60, deadline=None, derandomize=True)
@given(hnp.arrays(float, (5, 5), elements=st.floats(1e-6, 1e6)), st.floats(1e-3, 1e3))
def test_units_and_kinds_of_uncertainty_say_the_same(sigma, factor):
    data = np.ones((5, 5))
    unit = u.def_unit("scaled_jansky", factor * u.Jy)
    images = [
        NDData(data, unit=u.Jy, uncertainty=StdDevUncertainty(sigma)),
        NDData(data, unit=u.Jy, uncertainty=VarianceUncertainty(sigma**2)),
        NDData(data, unit=u.Jy, uncertainty=InverseVariance(sigma**-2)),
        NDData(data, unit=u.Jy, uncertainty=StdDevUncertainty(sigma / factor, unit=unit)),
    ]
    for image in images:
        # four roundings of a double at most
        np.testing.assert_allclose(as_frame(image, argument="image").variance, sigma**2, rtol=1e-14)


def test_frame_is_frozen(plane):
    frame = as_frame(plane, argument="image")
    with pytest.raises(AttributeError, match="cannot assign"):
        frame.data = plane
    assert isinstance(frame, Frame)
