"""`ShiftResult`: its numbers, its words, its table, and what it does to images and headers."""

from __future__ import annotations

import copy
import hashlib
import itertools
import pickle
from collections.abc import MutableMapping
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData, NDData, StdDevUncertainty
from astropy.table import QTable, vstack
from astropy.wcs import WCS, Sip
from astropy.wcs.wcsapi import HighLevelWCSWrapper, SlicedLowLevelWCS
from hypothesis import example, given, settings
from scipy.special import gammainc

from astroreg.exceptions import AlreadyCorrectedError, CorrectionError
from astroreg.files import restore_file
from astroreg.flags import ShiftFlag
from astroreg.results import ConfidenceEllipse, DeltaChi2Map, RivalPeak, ShiftResult, format_measurement
from astroreg.sky import restore_header

SHAPE = (40, 60)
SHIFT = (3.37012, -1.2)
COVARIANCE = ((1e-4, 5e-5), (5e-5, 4e-4))


def tangent():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [150.0, 60.0]
    wcs.wcs.crpix = [30.5, 20.5]
    wcs.wcs.cdelt = [-1e-4, 1e-4]
    wcs.wcs.radesys = "ICRS"
    return wcs


def result(**changes):
    values = {
        "shift": SHIFT,
        "covariance": COVARIANCE,
        "method": "chi2_shift",
        "uncertainty": "attached",
        "scale": 2 * u.Jy / u.adu,
        "scale_error": 10 * u.mJy / u.adu,
        "background": 3 * u.Jy,
        "background_error": 0.1 * u.Jy,
        "chi2": 90.0,
        "dof": 100.0,
        "correlation": 0.9,
        "overlap": 0.95,
        "n_pixels": 10000,
        "false_alarm_probability": 1e-12,
        "wcs": tangent(),
        "image_shape": SHAPE,
        "reference_label": "reference.fits",
        "image_label": "image.fits",
    }
    return ShiftResult(**values | changes)


def undetermined(**changes):
    nothing = {"shift": [np.nan] * 2, "covariance": np.full((2, 2), np.nan), "flags": ShiftFlag.NO_SIGNAL}
    return result(**nothing | changes)


# ---- numbers --------------------------------------------------------------------------------


def test_numbers_and_units():
    one = result()
    assert one.shift.unit == u.pixel
    np.testing.assert_allclose(one.shift_error.to_value(u.pixel), [0.01, 0.02], rtol=1e-15)
    np.testing.assert_array_equal(one.array_shift, SHIFT[::-1])
    assert one.covariance.unit == u.pixel**2
    assert one.reduced_chi2 == 0.9
    assert one.ok


def test_shift_with_a_unit_is_not_converted_twice():
    one = result(shift=[1, 2] * u.pixel, covariance=np.eye(2) * u.pixel**2)
    np.testing.assert_array_equal(one.shift.value, [1, 2])


def test_a_result_stays_what_it_is():
    shift = np.array(SHIFT)
    one = result(shift=shift)
    shift[0] = 99
    assert one.shift[0].value == SHIFT[0]
    with pytest.raises(AttributeError, match="cannot assign"):
        one.shift = shift
    with pytest.raises(ValueError, match="read-only"):
        one.shift[0] = 1 * u.pixel
    one.array_shift[0] = 7
    assert one.array_shift[0] == SHIFT[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shift": [1, 2, 3]}, r"`shift` must have shape \(2,\), got \(3,\)"),
        ({"covariance": [1, 2]}, r"`covariance` must have shape \(2, 2\), got \(2,\)"),
        ({"image_shape": None}, "`image_shape` is missing; a `wcs` needs it"),
    ],
)
def test_impossible_results(changes, message):
    with pytest.raises(ValueError, match=message):
        result(**changes)


def test_unknown_is_nan_and_not_ok():
    one = undetermined(chi2=np.nan, dof=0)
    assert not one.determined
    assert not one.ok
    assert np.isnan(one.shift_error.value).all()
    assert np.isnan(one.reduced_chi2)
    assert one.sky_correction is None


@pytest.mark.parametrize("flag", list(ShiftFlag))
def test_ok_is_what_the_flags_allow(flag):
    assert result(flags=flag).ok is (flag not in ShiftFlag.UNTRUSTED)


def test_results_can_be_sent_to_another_process():
    one = pickle.loads(pickle.dumps(result(rival=RivalPeak([1, 2], 3.0))))
    assert str(one) == str(result(rival=RivalPeak([1, 2], 3.0)))


def test_replace_computes_the_sky_anew():
    one = result()
    assert one.sky_correction is one.sky_correction
    other = replace(one, shift=-one.shift)
    assert other.sky_correction.lon.value == pytest.approx(-one.sky_correction.lon.value, rel=1e-4)


# ---- ellipse --------------------------------------------------------------------------------


def test_ellipse_of_a_known_covariance():
    ellipse = result(covariance=[[4, 0], [0, 1]]).confidence_ellipse(0.6827)
    # Delta chi2 of 68.27 % with two parameters is 2.2958 (2.30 in the tables)
    assert ellipse.delta_chi2 == pytest.approx(2.2958, abs=1e-4)
    assert ellipse.semi_major.to_value(u.pixel) == pytest.approx(2 * ellipse.delta_chi2**0.5)
    assert ellipse.semi_minor.to_value(u.pixel) == pytest.approx(ellipse.delta_chi2**0.5)
    assert ellipse.angle.to_value(u.deg) == pytest.approx(0)


@pytest.mark.parametrize("level", [0.1, 0.6827, 0.9545, 0.9973])
def test_level_is_the_chi_squared_probability_of_two_parameters(level):
    # the probability of chi2 < q with 2 degrees of freedom is the incomplete gamma function P(1, q / 2)
    assert gammainc(1, result().confidence_ellipse(level).delta_chi2 / 2) == pytest.approx(level, rel=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@example(angle=90.0, ratio=0.5)
@given(angle=st.floats(-89.9, 90), ratio=st.floats(0.01, 0.9))
def test_ellipse_turns_with_the_covariance(angle, ratio):
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[c, -s], [s, c]])
    ellipse = result(covariance=turn @ np.diag([1, ratio**2]) @ turn.T).confidence_ellipse()
    off = (ellipse.angle.to_value(u.deg) - angle + 90) % 180 - 90
    assert -90 < ellipse.angle.value <= 90
    # an eigenvector is good to epsilon over the gap of the eigenvalues, here at least 0.19
    assert off == pytest.approx(0, abs=1e-10)
    assert (ellipse.semi_minor / ellipse.semi_major).to_value("") == pytest.approx(ratio, rel=1e-9)


def test_ellipse_of_an_unknown_covariance():
    ellipse = undetermined().confidence_ellipse()
    assert isinstance(ellipse, ConfidenceEllipse)
    assert np.isnan([ellipse.semi_major.value, ellipse.semi_minor.value, ellipse.angle.value]).all()


@pytest.mark.parametrize("level", [0, 1, -1, 68.27, np.nan])
def test_impossible_level(level):
    with pytest.raises(ValueError, match="`level` must be > 0 and < 1, got"):
        result().confidence_ellipse(level)


# ---- small records --------------------------------------------------------------------------


def test_delta_chi2_map_has_axes_in_pixel():
    one = DeltaChi2Map(np.zeros((3, 4)), x=np.arange(4), y=np.arange(3))
    assert one.x.unit == one.y.unit == u.pixel
    with pytest.raises(ValueError, match=r"`map` has shape \(4, 3\), its axes need \(3, 4\)"):
        DeltaChi2Map(np.zeros((4, 3)), x=np.arange(4), y=np.arange(3))


def test_rival():
    one = RivalPeak([1, 2], 3.0)
    assert one.shift.unit == u.pixel
    assert "rival: dx = 1.00, dy = 2.00 pixel, Delta chi2 = 3.0" in str(result(rival=one))
    assert "rival" not in str(result(rival=one, shift=[np.nan, np.nan]))


@pytest.mark.parametrize(("flags", "told"), [(0, False), (ShiftFlag.RIVAL_PEAK, True)])
def test_a_rival_far_worse_is_told_only_if_flagged(flags, told):
    assert ("rival: dx = 1.00" in str(result(rival=RivalPeak([1, 2], 54513.0), flags=flags))) is told


@pytest.mark.parametrize(("chance", "text"), [(0.0123, "0.01"), (2e-151, "below 1e-9"), (0, "below 1e-9")])
def test_false_alarm_probability(chance, text):
    assert f"false-alarm probability: {text}" in str(result(false_alarm_probability=chance))


# ---- words ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (3.36999, 0.0109, "3.370 +- 0.011"),
        (-1.20456, 0.0996, "-1.20 +- 0.10"),
        (-0.0001, 0.01, "0.000 +- 0.010"),
        (12345.6, 780.0, "12350 +- 780"),
        (12345.6, 78.0, "12346 +- 78"),
        (1e-19, 3e-21, "(1.000000e-19 +- 3.0e-21)"),
        (5e15, 3e12, "(5.000000e+15 +- 3.0e+12)"),
        (2.5, 0.0, "2.5 +- 0"),
        (2.5, np.nan, "2.5 +- unknown"),
        (2.5, np.inf, "2.5 +- unknown"),
        (np.nan, 0.1, "not determined"),
        (np.inf, 0.1, "not determined"),
    ],
)
def test_rounding(value, error, text):
    assert format_measurement(value, error) == text
    if np.isfinite(value):
        assert format_measurement(value, error, "pixel") == text + " pixel"


@settings(max_examples=200, deadline=None, derandomize=True)
@given(value=st.floats(-1e5, 1e5), error=st.floats(1e-7, 1e4))
@example(value=0.25, error=0.99609375)
def test_rounding_keeps_the_value_within_a_twentieth_of_its_error(value, error):
    text = format_measurement(value, error)
    shown = [float(part) for part in text.strip("()").split(" +- ")]
    # The last digit shown is that of an error of two digits, at least 9.95 of them: its half is error / 19.9.
    assert abs(shown[0] - value) <= 1.001 * error / 19.9
    assert shown[1] == pytest.approx(error, rel=1.001 / 19.9)


def test_text_says_the_answer_first():
    lines = str(result(flags=ShiftFlag.LOW_SNR)).splitlines()
    assert (
        lines[0] == "dx = 3.370 +- 0.010 pixel, dy = -1.200 +- 0.020 pixel (chi2_shift, attached uncertainty)"
    )
    assert lines[1].startswith(
        "sky correction: lon 1.2132 +- 0.0036 arcsec, lat 0.4320 +- 0.0072 arcsec (icrs"
    )
    assert "scale: 2.000 +- 0.010 Jy / adu" in lines
    assert "reduced chi2: 0.900 (100 degrees of freedom)" in lines
    assert lines[-1] == f"flag LOW_SNR: {ShiftFlag.LOW_SNR.sentence}"


def test_text_without_an_answer():
    lines = str(undetermined()).splitlines()
    assert lines[0].startswith("shift not determined")
    assert lines[-1].startswith("flag NO_SIGNAL: No structure")
    assert "nan" not in str(undetermined(scale=u.Quantity(np.nan), chi2=np.nan)).lower()


def test_repr_is_one_line():
    assert repr(result()).startswith("<ShiftResult dx = 3.370 +- 0.010 pixel")
    assert "\n" not in repr(result())


@pytest.mark.parametrize("maker", [result, undetermined])
def test_html_is_escaped(maker):
    text = maker(reference_label="<script>alert(1)</script>", image_label='a"&b')._repr_html_()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "a&quot;&amp;b" in text


def test_html_says_the_answer_and_the_flags():
    text = result(flags=ShiftFlag.RIVAL_PEAK)._repr_html_()
    assert "3.370 ± 0.010 pixel" in text
    assert f"<li>RIVAL_PEAK: {ShiftFlag.RIVAL_PEAK.sentence}</li>" in text


def test_history_is_printable_ascii():
    lines = result(reference_label="naïve\nfile", flags=ShiftFlag.LOW_SNR).history()
    assert lines[0] == "astroreg: measured dx = 3.370 +- 0.010 pixel, dy = -1.200 +- 0.020 pixel"
    assert "astroreg: relative to na?ve?file" in lines
    assert lines[-1] == "astroreg: flags LOW_SNR"
    assert all(line.isascii() and line.isprintable() for line in lines)


# ---- table ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "maker",
    [
        result,
        undetermined,
        lambda: result(wcs=None),
        lambda: result(rival=RivalPeak([1, 2], 3.0), flags=1024),
    ],
)
def test_table_survives_ecsv(maker, tmp_path):
    table = maker().to_table()
    table.write(tmp_path / "one.ecsv")
    again = QTable.read(tmp_path / "one.ecsv")
    assert again.colnames == table.colnames
    for name in table.colnames:
        assert getattr(again[name], "unit", None) == getattr(table[name], "unit", None), name
        value, expected = again[name][0], table[name][0]
        if isinstance(expected, str):
            # ECSV has no empty string: it comes back masked
            assert expected == ("" if np.ma.is_masked(value) else value)
        else:
            np.testing.assert_array_equal(u.Quantity(value).value, u.Quantity(expected).value, err_msg=name)


def test_table_holds_what_the_result_says():
    row = result(flags=ShiftFlag.BAD_CHI2 | ShiftFlag.NOISE_ESTIMATED).to_table()[0]
    assert row["dx"] == SHIFT[0] * u.pixel
    assert row["dy_error"].to_value(u.pixel) == pytest.approx(0.02)
    assert row["dxdy_covariance"] == 5e-5 * u.pixel**2
    assert row["lon"].to_value(u.arcsec) == pytest.approx(1.2132, abs=1e-4)
    assert row["flag_names"] == "BAD_CHI2 NOISE_ESTIMATED"
    assert row["flags"] == 320
    assert row["ok"]


def test_tables_of_different_results_stack():
    assert len(vstack([result().to_table(), undetermined().to_table()])) == 2


# ---- the sky --------------------------------------------------------------------------------


def test_corrected_wcs_moves_the_content_back():
    """The content of pixel p stands where the old WCS has pixel p - shift (at the pivot)."""
    one = result()
    pivot = np.array([(SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2])
    truth = tangent().pixel_to_world(*(pivot - SHIFT))
    now = one.corrected_wcs().pixel_to_world(*pivot)
    assert now.separation(truth).arcsec < 1e-8
    assert tangent().pixel_to_world(*pivot).separation(truth).arcsec > 1
    np.testing.assert_array_equal(one.wcs.wcs.crval, [150, 60])


def test_no_correction_without_a_wcs_or_a_shift():
    assert result(wcs=None).sky_correction is None
    assert result(wcs=WCS(naxis=2)).sky_correction is None
    with pytest.raises(ValueError, match="no correction to apply: the image has no celestial WCS"):
        result(wcs=None).corrected_wcs()
    with pytest.raises(ValueError, match=r"no shift was determined \(NO_SIGNAL: No structure"):
        undetermined().update_header(fits.Header())


def test_sky_correction_without_a_covariance():
    one = result(covariance=np.full((2, 2), np.nan))
    assert one.sky_correction.covariance is None
    assert "lon 1.213 +- unknown arcsec" in str(one)


def image_of(kind, **changes):
    data = np.random.default_rng(3).normal(size=SHAPE).astype("f4")
    values = {
        "unit": u.Jy,
        "uncertainty": StdDevUncertainty(np.full(SHAPE, 2.0), unit=u.Jy),
        "mask": data > 2,
        "wcs": tangent(),
        "meta": fits.Header({"OBJECT": "M 51"}),
    }
    return kind(data, **values | changes)


@pytest.mark.parametrize("kind", [NDData, CCDData])
def test_correct_keeps_everything_else(kind):
    image = image_of(kind)
    before = copy.deepcopy(image)
    corrected = result().correct(image)
    assert type(corrected) is kind
    np.testing.assert_array_equal(corrected.data, image.data)
    assert corrected.data.dtype == image.data.dtype
    assert corrected.unit == image.unit
    np.testing.assert_array_equal(corrected.mask, image.mask)
    np.testing.assert_array_equal(corrected.uncertainty.array, image.uncertainty.array)
    assert corrected.uncertainty.parent_nddata is corrected
    assert corrected.meta["OBJECT"] == "M 51"
    pixel = (3, 4)
    assert corrected.wcs.pixel_to_world(*pixel) == result().corrected_wcs().pixel_to_world(*pixel)
    # the input is as it was
    np.testing.assert_array_equal(image.wcs.wcs.crval, [150, 60])
    assert list(image.meta) == list(before.meta)
    assert image.uncertainty.parent_nddata is image


def test_correct_adds_no_wcs_keywords_but_says_what_it_did():
    meta = result().correct(image_of(CCDData)).meta
    assert WCS(meta, key="Z").pixel_to_world(3, 4) == tangent().pixel_to_world(3, 4)
    assert "CRVAL1" not in meta
    assert any("measured dx = 3.370" in line for line in meta["HISTORY"])


def test_correct_corrects_keywords_of_a_hand_made_image():
    image = image_of(CCDData, meta=tangent().to_header())
    corrected = result().correct(image)
    pixel = (3, 4)
    from_meta = WCS(corrected.meta).pixel_to_world(*pixel)
    # 14 digits of 150 degrees are good to 1e-8 arcsec
    assert from_meta.separation(corrected.wcs.pixel_to_world(*pixel)).arcsec < 1e-7
    assert from_meta.separation(tangent().pixel_to_world(*pixel)).arcsec > 1
    assert image.meta["CRVAL1"] == 150


def test_correct_with_a_plain_meta():
    image = image_of(NDData, meta={"note": [1, 2]})
    corrected = result().correct(image)
    assert corrected.meta["note"] == [1, 2] and image.meta == {"note": [1, 2]}


@pytest.mark.parametrize(
    "image",
    [
        image_of(CCDData),
        image_of(CCDData, meta=tangent().to_header()),
        image_of(NDData, meta={"note": 1}),
    ],
    ids=["without keywords", "with keywords", "plain meta"],
)
def test_the_same_correction_twice_is_refused(image):
    once = result().correct(image)
    with pytest.raises(AlreadyCorrectedError, match="applied before"):
        result().correct(once)
    other = result(shift=(1.0, 2.0)).correct(once)
    assert other.wcs.pixel_to_world(3, 4) != once.wcs.pixel_to_world(3, 4)
    with pytest.raises(AlreadyCorrectedError, match="applied before"):
        result().correct(other)


@pytest.mark.parametrize("times", [1, 2])
def test_a_plain_meta_knows_the_nominal_wcs_once_it_is_written(times, tmp_path):
    """A CCDData made by hand has a dict, whose entries become cards."""
    image = image_of(CCDData, meta={"OBJECT": "M 42", "EXPTIME": 2.5}, mask=None, uncertainty=None)
    corrected = image
    for number in range(times):
        corrected = result(shift=(1.0, 2.0 + number)).correct(corrected)
    assert image.meta == {"OBJECT": "M 42", "EXPTIME": 2.5}
    assert type(corrected.meta) is dict
    assert corrected.meta.items() > image.meta.items()
    with pytest.raises(AlreadyCorrectedError, match="applied before"):
        result(shift=(1.0, 2.0)).correct(corrected)
    paths = [tmp_path / f"{number}.fits" for number in range(times + 1)]
    corrected.write(paths[0])
    for written, restored in itertools.pairwise(paths):
        restore_file(written, restored)
    header = fits.getheader(paths[-1])
    assert not [name for name in header if name.startswith("ASTREG")]
    assert (header["OBJECT"], header["EXPTIME"]) == ("M 42", 2.5)
    places = [wcs.pixel_to_world([0, 40], [0, 50]) for wcs in (WCS(header), image.wcs)]
    # Numbers in a header have 14 digits.
    assert places[0].separation(places[1]).max() < 1e-7 * u.arcsec


@pytest.mark.parametrize("kind", ["pointing", "detector"])
@pytest.mark.parametrize("sip", [False, True])
def test_a_correction_in_memory_is_undone_in_the_file(kind, sip, tmp_path):
    wcs = tangent()
    if sip:
        a = np.zeros((3, 3))
        a[2, 0] = 1e-4
        wcs.sip, wcs.wcs.ctype = Sip(a, a.T, None, None, wcs.wcs.crpix), ["RA---TAN-SIP", "DEC--TAN-SIP"]
    nominal, corrected, restored = (
        tmp_path / f"{name}.fits" for name in ("nominal", "corrected", "restored")
    )
    # mask and uncertainty would go to HDUs of their own
    image_of(CCDData, wcs=wcs, mask=None, uncertainty=None).write(nominal)
    image = CCDData.read(nominal)
    result().correct(image, kind=kind, systematic=0.1 * u.arcsec).write(corrected)
    again = CCDData.read(corrected)
    with pytest.raises(AlreadyCorrectedError, match="applied before"):
        result().correct(again, kind=kind)
    header = fits.getheader(corrected)
    np.testing.assert_allclose(header["CRDER1"] * 3600, result().sky_correction.error[0].value, rtol=1e-9)
    np.testing.assert_allclose(header["CSYER2"] * 3600, 0.1, rtol=1e-9)
    restore_file(corrected, restored)
    x, y = np.meshgrid([0, 30, 59], [0, 39])
    places = [WCS(fits.getheader(path)).pixel_to_world(x, y) for path in (nominal, corrected, restored)]
    # what CCDData writes has 14 digits: 150 degrees to 1e-8 arcsec
    assert places[0].separation(places[2]).arcsec.max() < 2e-8
    assert places[0].separation(places[1]).arcsec.min() > 1


def test_a_correction_of_another_wcs_cannot_be_undone_in_the_meta():
    wcs = HighLevelWCSWrapper(SlicedLowLevelWCS(tangent(), (slice(None), slice(None))))
    meta = result(wcs=wcs).correct(image_of(NDData, wcs=wcs)).meta
    assert len(meta["ASTREG*"]) == 1 and "CRVAL1Z" not in meta
    with pytest.raises(CorrectionError, match="holds no WCS to restore"):
        restore_header(meta)


def test_region_of_an_image_in_memory_turns_with_the_sky():
    region = "POLYGON ICRS 150.0 60.0 150.01 60.0 150.01 60.01"
    meta = result().correct(image_of(CCDData, meta=fits.Header({"S_REGION": region}))).meta
    first = SkyCoord(*map(float, meta["S_REGION"].split()[2:4]), unit="deg")
    expected = result().sky_correction.apply(SkyCoord(150, 60, unit="deg"))
    assert first.separation(expected).arcsec < 1e-5


def test_correct_without_a_wcs():
    with pytest.raises(CorrectionError, match="`image` has no WCS to correct"):
        result().correct(image_of(NDData, wcs=None))


class SolarMap:
    """What matters here of a sunpy map: its WCS is made of its meta and cannot be set."""

    def __init__(self, data, header, *, uncertainty=None, mask=None):
        self.data, self.meta, self.uncertainty, self.mask = data, header, uncertainty, mask

    @property
    def wcs(self):
        return WCS(fits.Header({k: v for k, v in self.meta.items() if k != "history"}))


@pytest.mark.parametrize("history", [{}, {"history": "made\nby hand"}])
def test_correct_a_map_whose_wcs_is_made_of_its_meta(history):
    meta = {key.lower(): value for key, value in tangent().to_header().items()} | history
    image = SolarMap(np.ones(SHAPE), meta, mask=np.zeros(SHAPE, bool))
    assert isinstance(image.meta, MutableMapping)
    corrected = result().correct(image)
    pixel = (3, 4)
    expected = result().corrected_wcs().pixel_to_world(*pixel)
    assert corrected.wcs.pixel_to_world(*pixel).separation(expected).arcsec < 1e-7
    assert corrected.meta["history"].startswith(history.get("history", ""))
    assert "measured dx = 3.370" in corrected.meta["history"]
    assert corrected.mask is image.mask
    assert image.meta == {key.lower(): value for key, value in tangent().to_header().items()} | history


def test_update_header_and_back():
    header = tangent().to_header()
    header["OBJECT"] = "M 51"
    before = header.tostring()
    updated = result().update_header(header)
    assert header.tostring() == before
    assert updated["CRVAL1"] != 150
    assert "CSYER1" not in updated
    told = result().update_header(header, systematic=[0.1, 0.2] * u.arcsec)
    np.testing.assert_allclose([told["CSYER1"] * 3600, told["CSYER2"] * 3600], [0.1, 0.2])
    text = " ".join(updated["HISTORY"])
    assert "astroreg: measured dx = 3.370 +- 0.010 pixel, dy = -1.200" in text
    assert "relative to reference.fits" in text
    assert restore_header(updated)["CRVAL1"] == 150


def test_history_holds_the_checksum_of_the_reference(tmp_path):
    path = tmp_path / "reference.fits"
    fits.PrimaryHDU(np.ones((2, 2))).writeto(path)
    expected = hashlib.sha256(path.read_bytes()).hexdigest()[:24]
    for label in (str(path), f"{path}[SCI,1]"):
        assert (
            f"astroreg: SHA-256 of the reference begins {expected}" in result(reference_label=label).history()
        )
    assert not any("SHA-256" in line for line in result(reference_label="gone.fits").history())
