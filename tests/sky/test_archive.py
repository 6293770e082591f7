"""The undo: to the byte, one correction at a time, and never the same correction twice."""

import io

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import PRJ_CODES

from astroreg.exceptions import AlreadyCorrectedError, CorrectionError
from astroreg.sky import SkyCorrection, correct_header, restore_header

COVARIANCE = np.diag([4.0, 9.0]) * 1e-4 * u.arcsec**2
CODES = [str(code) for code in PRJ_CODES]


def images(header):
    return [card.image for card in header.cards if card.keyword not in ("HISTORY", "")]


def separation(tools, first, second):
    """Largest distance in arcsec between two WCS of the same image."""
    x, y = tools.grid()
    return np.max(SkyCoord(first.pixel_to_world(x, y)).separation(second.pixel_to_world(x, y)).arcsec)


@pytest.mark.parametrize("code", CODES)
def test_undo_of_every_projection(tools, code):
    number = CODES.index(code)
    form = ("cd", "pc", "crota", "cdelt")[number % 4]
    header = tools.header(code, form, (0.0, 60.0, 89.9)[number % 3], unit=("deg", "arcsec")[number % 2])
    correction = tools.correction(tools.read(header), 30.0, covariance=COVARIANCE)
    corrected = correct_header(header, correction, systematic=0.1 * u.arcsec)
    assert images(corrected) != images(header)
    assert images(restore_header(corrected)) == images(header)


@pytest.mark.parametrize("code", ["TAN", "SFL", "GLS", "NCP", "TPV"])
@pytest.mark.parametrize("form", ["cd", "pc", "crota", "cdelt"])
def test_the_letter_holds_the_nominal_wcs(tools, code, form):
    extra = {"PV1_1": 1.0, "PV2_1": 1.01, "PV2_5": 0.7} if code == "TPV" else {}
    header = tools.header(code, form, **extra)
    corrected = correct_header(header, tools.correction(tools.read(header), 30.0))
    assert corrected["WCSNAMEZ"] == "NOMINAL"
    # NCP is a slant SIN, whose inverse near the pole wcslib has to 1e-5 pixel only
    assert separation(tools, tools.read(corrected, "Z"), tools.read(header)) < (
        1e-5 if code == "NCP" else 1e-9
    )


def test_archived_cards_are_verbatim(tools):
    header = tools.header(WCSNAME="NOMINAL SOLUTION")
    corrected = correct_header(header, tools.correction(tools.read(header), 30.0))
    for name in ("CRVAL1", "CD2_1", "CRPIX1", "CTYPE2", "WCSNAME", "RADESYS"):
        assert corrected.cards[name + "Z"].image[8:] == header.cards[name].image[8:]


def test_two_corrections_are_undone_one_by_one(tools):
    header = tools.header("TAN", "crota")
    nominal = tools.read(header)
    once = correct_header(header, tools.correction(nominal, 30.0, covariance=COVARIANCE))
    second = tools.correction(tools.read(once), 10.0, angle=20.0, covariance=COVARIANCE)
    twice = correct_header(once, second)
    assert "CRVAL1Y" in twice
    assert twice["WCSNAME"] == "ASTROREG-2"
    total = tools.correction(nominal, 30.0).compose(second)
    assert tools.offset_pixels(nominal, tools.read(twice), total) < 1e-6
    back = restore_header(twice)
    assert images(back) == images(once)
    assert images(restore_header(back)) == images(header)


def test_undo_through_a_file(tools):
    header = tools.header("TAN", "crota", S_REGION="POLYGON ICRS " + 8 * "150.0 60.0 149.9 60.1 ")
    header["CRVAL1"] = (150.0, "it's a comment with 'quotes' & an ampersand &")
    header = fits.Header.fromstring(header.tostring())
    corrected = correct_header(header, tools.correction(tools.read(header), 30.0, covariance=COVARIANCE))
    buffer = io.BytesIO()
    fits.PrimaryHDU(np.zeros((260, 200), "f4"), corrected).writeto(buffer)
    buffer.seek(0)
    with fits.open(buffer) as hdus:
        restored = restore_header(hdus[0].header)
    # writing a file adds comments to the cards of its structure, which end at NAXIS2
    found, wanted = (all_images[4:] for all_images in (images(restored), images(header)))
    assert [image for image in found if image[:6] not in ("NAXIS2", "EXTEND")] == wanted[1:]


def test_undo_after_other_software_has_rewritten_the_wcs(tools):
    """CCDData writes CD as PC and drops the primary cards it knows; the archive survives."""
    header = tools.header(BUNIT="Jy")
    corrected = correct_header(header, tools.correction(tools.read(header), 30.0))
    buffer = io.BytesIO()
    fits.PrimaryHDU(np.zeros((260, 200), "f4"), corrected).writeto(buffer)
    buffer.seek(0)
    rewritten = CCDData.read(buffer).to_hdu()[0].header
    assert "PC1_1" in rewritten
    restored = restore_header(rewritten)
    assert separation(tools, tools.read(restored), tools.read(header)) < 1e-9
    assert not [name for name in restored if name.startswith(("PC", "ASTREG", "AR01"))]
    assert "CRVAL1Z" not in restored


@pytest.mark.parametrize("archive", [None, "Q"])
def test_choice_of_the_letter(tools, archive):
    header = tools.header()
    corrected = correct_header(header, tools.correction(tools.read(header), 30.0), archive=archive)
    assert ("CRVAL1Q" in corrected) == (archive == "Q")
    assert "CRVAL1Z" not in corrected
    assert images(restore_header(corrected)) == images(header)


def test_letters_in_use_and_those_of_observatories_are_left(tools):
    extra = {f"CRVAL1{letter}": 1.0 for letter in "ZYXWVUTSRQ"}
    header = tools.header(**extra)
    assert "CRVAL2N" in correct_header(header, tools.correction(tools.read(header), 30.0))
    with pytest.raises(ValueError, match="`archive`='Z' is in use"):
        correct_header(header, tools.correction(tools.read(header), 30.0), archive="Z")
    with pytest.raises(ValueError, match="`archive` must be 'auto', one letter"):
        correct_header(header, tools.correction(tools.read(header), 30.0), archive="ZZ")


def test_no_letter_left(tools):
    header = tools.header(**{f"CRVAL1{letter}": 1.0 for letter in "ABCDEFGHIJKLMNQRSTUVWXYZ"})
    corrected = correct_header(header, tools.correction(tools.read(header), 30.0))
    assert "kept in the ARnnUmmm cards" in " ".join(corrected["HISTORY"])
    assert images(restore_header(corrected)) == images(header)


def test_old_keywords_without_a_letter(tools):
    header = tools.header("TAN", "crota", EPOCH=1950.0)
    header.rename_keyword("RADESYS", "RADECSYS")
    header["RADECSYS"] = "FK4"
    header = fits.Header.fromstring(header.tostring())
    corrected = correct_header(header, tools.correction(tools.read(header), 30.0))
    assert corrected["EQUINOXZ"] == 1950.0
    assert corrected["RADESYSZ"] == "FK4"
    assert images(restore_header(corrected)) == images(header)


def test_the_same_correction_twice_is_refused(tools):
    header = tools.header()
    correction = tools.correction(tools.read(header), 30.0)
    corrected = correct_header(header, correction)
    with pytest.raises(
        AlreadyCorrectedError, match=rf"correction {correction.identity} applied before \(ASTREG01\)"
    ):
        correct_header(corrected, correction, roll="keep-pa")
    again = correct_header(restore_header(corrected), correction)
    assert images(again) == images(corrected)


def test_the_inverse_is_another_correction(tools):
    header = tools.header()
    correction = tools.correction(tools.read(header), 30.0)
    there_and_back = correct_header(correct_header(header, correction), correction.inverse())
    # three roundings of 20 characters each
    assert separation(tools, tools.read(there_and_back), tools.read(header)) < 1e-9


def test_history_remembers_both_ways(tools):
    header = tools.header()
    header["HISTORY"] = "made by hand"
    correction = tools.correction(tools.read(header), 30.0)
    restored = restore_header(correct_header(header, correction))
    assert restored["HISTORY"][0] == "made by hand"
    assert f"correction {correction.identity} undone" in " ".join(restored["HISTORY"])


def test_input_is_not_changed(tools):
    header = tools.header()
    corrected = correct_header(header, tools.correction(tools.read(header), 30.0))
    before = corrected.tostring()
    restore_header(corrected)
    assert corrected.tostring() == before


def test_nothing_to_undo(tools):
    with pytest.raises(CorrectionError, match="holds no correction made by astroreg"):
        restore_header(tools.header())


def test_damaged_archive(tools):
    header = tools.header()
    corrected = correct_header(header, tools.correction(tools.read(header), 30.0))
    del corrected["CRVAL1Z"]
    with pytest.raises(CorrectionError, match="CRVAL1Z, the archive of CRVAL1, is missing"):
        restore_header(corrected)


def test_chips_of_one_exposure(tools):
    """One correction, several headers: each has its own record."""
    chips = [tools.header(), tools.header(CRPIX1=-1900.0)]
    correction = SkyCorrection.from_shift(tools.read(chips[0]), (10.0, 4.0), pivot_pixel=(200, 100))
    for header in chips:
        corrected = correct_header(header, correction)
        assert correction.identity in corrected["ASTREG01"]
        assert tools.offset_pixels(tools.read(header), tools.read(corrected), correction) < 1e-6
