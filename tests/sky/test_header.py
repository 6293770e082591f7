"""correct_header: the cards it edits, the WCS that is read from them, and what it says."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import FK4, FK5, Galactic, SkyCoord
from astropy.io import fits
from astropy.wcs import PRJ_CODES, WCS

from astroreg.exceptions import AstroregWarning, CorrectionError
from astroreg.sky import SkyCorrection, correct_header, correct_wcs, restore_header

TOLERANCE = 1e-6
CODES = [str(code) for code in PRJ_CODES]
COVARIANCE = np.diag([4.0, 9.0]) * 1e-4 * u.arcsec**2

# What a correction may add or change, but for the matrix and the archive.
OWN = ("ASTREG01", "AR01U", "WCSNAME", "CRDER", "CSYER", "HISTORY")


def check(tools, header, correction, **options):
    """Correct a header and hold the re-read WCS, and the corrected object, against the rotation."""
    nominal = tools.read(header)
    corrected = correct_header(header, correction, **options)
    assert tools.offset_pixels(nominal, tools.read(corrected), correction) < TOLERANCE
    assert tools.offset_pixels(nominal, correct_wcs(nominal, correction), correction) < TOLERANCE
    return corrected


@pytest.mark.parametrize("code", CODES)
def test_every_projection(tools, code):
    number = CODES.index(code)
    form = ("cd", "pc", "crota", "cdelt")[number % 4]
    header = tools.header(code, form, (0.0, 60.0, 89.9)[number % 3], unit=("deg", "arcsec")[number % 2])
    check(tools, header, tools.correction(tools.read(header), (0.1, 30.0, 300.0)[(number // 3) % 3]))


@pytest.mark.slow
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("form", ["cd", "pc", "crota", "cdelt"])
@pytest.mark.parametrize("dec", [0.0, 60.0, 89.9, 90.0])
def test_every_projection_in_every_form(tools, code, form, dec):
    # units and the order of the axes take turns: their own cross product is tested on TAN
    turn = CODES.index(code) + len(form)
    header = tools.header(code, form, dec, unit=("deg", "arcsec")[turn % 2], dec_first=bool(turn // 2 % 2))
    for offset in (0.1, 30.0, 300.0):
        check(tools, header, tools.correction(tools.read(header), offset))


@pytest.mark.parametrize("form", ["cd", "pc", "crota", "cdelt"])
@pytest.mark.parametrize("unit", ["deg", "arcsec"])
@pytest.mark.parametrize("dec_first", [False, True])
def test_edited_in_the_form_it_has(tools, form, unit, dec_first):
    header = tools.header("TAN", form, unit=unit, dec_first=dec_first)
    corrected = check(tools, header, tools.correction(tools.read(header), 30.0))
    forms = {"cd": "CD1_1", "pc": "PC1_1", "crota": "CROTA1" if dec_first else "CROTA2", "cdelt": "PC1_1"}
    others = {"CD1_1", "PC1_1", "CROTA1", "CROTA2"} - {forms[form]}
    assert forms[form] in corrected
    assert not others & set(corrected)
    assert "LONPOLE" not in corrected
    assert corrected["CUNIT1"] == unit


@pytest.mark.parametrize("code", ["TAN-SIP", "SFL"])
def test_other_cards_keep_every_byte(tools, code):
    extra = {"A_ORDER": 2, "A_2_0": 1e-6, "B_ORDER": 2, "B_0_2": -2e-6} if code == "TAN-SIP" else {}
    header = tools.header(code, OBJECT="M 42", **extra)
    header["COMMENT"] = "a comment"
    header = fits.Header.fromstring(header.tostring())
    before = header.tostring()
    corrected = check(tools, header, tools.correction(tools.read(header), 30.0, covariance=COVARIANCE))
    assert header.tostring() == before
    allowed = ("CRVAL", "CD", "LONPOLE", "LATPOLE", *OWN)
    kept = [card.image for card in header.cards if not card.keyword.startswith(allowed)]
    new = [card.image for card in corrected.cards if not card.keyword.startswith(allowed)]
    assert [image for image in new if image in kept] == kept
    assert len(kept) > 12
    # what is new beside them is the archive
    assert all(image[:8].strip().endswith("Z") for image in new if image not in kept)


def test_every_matrix_that_is_present_is_edited(tools):
    """Astropy and SCAMP take CD, old software CDELT and CROTA: both must say the same."""
    old = tools.header("TAN", "crota")
    both = old.copy()
    for (i, j), value in np.ndenumerate(tools.read(old).pixel_scale_matrix):
        both[f"CD{i + 1}_{j + 1}"] = value
    correction = tools.correction(tools.read(old), 300.0)
    corrected = check(tools, both, correction)
    alone = corrected.copy()
    for name in ("CD1_1", "CD1_2", "CD2_1", "CD2_2"):
        del alone[name]
    assert tools.offset_pixels(tools.read(old), tools.read(alone), correction) < TOLERANCE


def test_old_names_of_the_matrix(tools):
    header = tools.header("TAN", "cdelt", PC001001=0.9, PC001002=0.3, PC002001=-0.3, PC002002=0.9)
    corrected = check(tools, header, tools.correction(tools.read(header), 30.0))
    assert "PC1_1" not in corrected
    assert (
        tools.offset_pixels(tools.read(header), tools.read(corrected, "Z"), null(tools, header)) < TOLERANCE
    )


def null(tools, header):
    place = tools.read(header).pixel_to_world(10, 10)
    return SkyCorrection.from_coordinates(SkyCoord(place), SkyCoord(place))


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("TAN", {"LONPOLE": 170.0}),
        ("TAN", {"PV1_3": 170.0, "PV1_4": 60.0}),
        ("SFL", {"PV1_3": 10.0, "PV1_4": 60.0}),
        ("CAR", {"PV1_0": 1.0, "PV1_1": 10.0, "PV1_2": 20.0}),
        ("CAR", {"LONPOLE": 0.0, "LATPOLE": 0.0}),
        ("SIN", {"PV2_1": 0.1, "PV2_2": 0.05}),
        ("GLS", {}),
        ("NCP", {}),
        ("TPV", {"PV1_1": 1.0, "PV2_1": 1.01, "PV1_3": 0.01, "PV1_4": 0.5, "PV2_5": 0.7}),
        ("TAN", {"PV1_1": 1.0, "PV2_1": 1.01, "PV1_4": 0.5, "PV2_5": 0.7}),
    ],
    ids=[
        "lonpole",
        "lonpole-as-pv",
        "sfl-pv",
        "fiducial",
        "car",
        "slant-sin",
        "gls",
        "ncp",
        "tpv",
        "tpv-as-tan",
    ],
)
@pytest.mark.parametrize("offset", [0.1, 300.0])
def test_orientations_and_distortions_behind_the_matrix(tools, code, extra, offset):
    header = tools.header(code, "pc" if code in ("GLS", "NCP") else "cd", **extra)
    corrected = check(tools, header, tools.correction(tools.read(header), offset))
    if code == "TPV" or "PV2_5" in extra:
        assert [corrected[name] for name in extra] == list(extra.values())


def test_polynomial_in_text_keywords(tools):
    """TNX of IRAF: the polynomial has no form with a letter, so no archive under one is faithful."""
    header = tools.header("TNX")
    terms = "3. 4. 4. 2. -0.02 0.02 -0.02 0.02 1e-5 1e-4 2e-5 1e-6 3e-6 1e-6 2e-6 1e-6 1e-6 1e-6"
    for axis, name, word in ((1, "ra", "lngcor"), (2, "dec", "latcor")):
        text = f'wtype=tnx axtype={name} {word} = "{terms} "'
        for number, start in enumerate(range(0, len(text), 68), start=1):
            header[f"WAT{axis}_{number:03d}"] = text[start : start + 68]
    header["WAT0_001"] = "system=image"
    corrected = check(tools, header, tools.correction(tools.read(header), 30.0))
    assert "CRVAL1Z" not in corrected
    assert tools.offset_pixels(tools.read(tools.header()), tools.read(header), null(tools, header)) > 0.1
    assert restore_header(corrected)["CRVAL1"] == header["CRVAL1"]


def test_cylindrical_map_with_its_equator_on_the_sky_s(tools):
    """CRVAL2 = 0 with LONPOLE = 0 as astropy writes it: moving CRVAL alone is invalid there."""
    header = tools.header("CAR", "cdelt", 0.0, LONPOLE=0.0, LATPOLE=90.0)
    for angle in (0.0, 180.0, 200.0):
        check(tools, header, tools.correction(tools.read(header), 30.0, angle=angle))


@pytest.mark.parametrize("form", ["pc", "cd"])
def test_cube(tools, form):
    header = tools.header("TAN", form)
    header["NAXIS"] = 4
    header.insert("NAXIS2", ("NAXIS3", 5), after=True)
    header.insert("NAXIS3", ("NAXIS4", 1), after=True)
    header["CTYPE3"], header["CRVAL3"], header["CDELT3"], header["CUNIT3"] = "FREQ", 1.4e9, 1e6, "Hz"
    header["CTYPE4"], header["CRVAL4"], header["CDELT4"] = "STOKES", 1.0, 1.0
    if form == "cd":
        header["CD3_3"] = header["CD4_4"] = 1e6
    nominal = tools.read(header)
    correction = tools.correction(nominal.celestial, 30.0)
    corrected = correct_header(header, correction)
    new = tools.read(corrected)
    assert tools.offset_pixels(nominal.celestial, new.celestial, correction) < TOLERANCE
    pixels = np.random.default_rng(1).uniform(0, 5, (20, 4))
    before, after = (wcs.wcs_pix2world(pixels, 0)[:, 2:] for wcs in (nominal, new))
    np.testing.assert_array_equal(after, before)
    assert [corrected[f"CRVAL{axis}"] for axis in (3, 4)] == [1.4e9, 1.0]


@pytest.mark.parametrize("system", ["ICRS", "FK5", "FK4", "galactic", "helioprojective"])
def test_frames(tools, system):
    header = tools.header(dec=30.0)
    if system in ("galactic", "helioprojective"):
        del header["RADESYS"]
        names = ("GLON", "GLAT") if system == "galactic" else ("HPLN", "HPLT")
        header["CTYPE1"], header["CTYPE2"] = (f"{name}-TAN" for name in names)
    else:
        header["RADESYS"] = system
    nominal = tools.read(header)
    correction = SkyCorrection.from_shift(nominal, (30.0, 40.0), pivot_pixel=(100, 100))
    corrected = tools.read(correct_header(header, correction))
    x, y = tools.grid()
    # the pivot is where the shift says, in every frame
    found = np.array(corrected.wcs_pix2world([[100, 100]], 0)) - nominal.wcs_pix2world([[70, 60]], 0)
    assert np.max(np.abs(found)) * 3600 / tools.scale < TOLERANCE
    expected = {"FK5": FK5(), "FK4": FK4(equinox="B1950"), "galactic": Galactic()}
    if system in expected:
        assert correction.frame.is_equivalent_frame(expected[system])
        assert tools.offset_pixels(nominal, corrected, correction, (x, y)) < TOLERANCE


def test_helioprojective_frame_of_sunpy(tools):
    pytest.importorskip("sunpy.coordinates")
    header = tools.header(dec=0.1, ra=0.2, **{"DATE-OBS": "2020-01-01T00:00:00"})
    del header["RADESYS"]
    header["CTYPE1"], header["CTYPE2"] = "HPLN-TAN", "HPLT-TAN"
    header["HGLN_OBS"], header["HGLT_OBS"], header["DSUN_OBS"] = 0.0, 7.0, 1.5e11
    nominal = tools.read(header)
    correction = SkyCorrection.from_shift(nominal, (3.0, 4.0), pivot_pixel=(100, 100))
    assert correction.frame.name == "helioprojective"
    corrected = correct_header(header, correction)
    found = np.array(tools.read(corrected).wcs_pix2world([[100, 100]], 0)) - nominal.wcs_pix2world(
        [[97, 96]], 0
    )
    assert np.max(np.abs(found)) * 3600 / tools.scale < TOLERANCE
    assert correct_header(header, correction, roll="keep-pa")["CRVAL1"] != header["CRVAL1"]


def test_correction_in_the_frame_of_another_image(tools):
    header = tools.header()
    correction = tools.correction(tools.read(header), 30.0)
    check(tools, header, correction.transform_to(Galactic()))


def test_alternate_wcs(tools):
    header = tools.header()
    for name in [name for name in header if name.startswith(("CTYPE", "CRVAL", "CRPIX", "CUNIT", "CD"))]:
        header[name + "A"] = header[name]
    header["CRVAL2A"] = 60.01
    nominal = tools.read(header, "A")
    correction = tools.correction(nominal, 30.0)
    corrected = correct_header(header, correction, key="A")
    assert tools.offset_pixels(nominal, tools.read(corrected, "A"), correction) < TOLERANCE
    assert corrected["CRVAL1"] == header["CRVAL1"]
    assert corrected["WCSNAMEA"] == "ASTROREG-1"
    assert tools.offset_pixels(nominal, tools.read(corrected, "Z"), null(tools, header)) < TOLERANCE


# -- lookup tables and the detector -------------------------------------------------------------


def tables_file(tools):
    """An HDU list with lookup tables, as astropy writes it."""
    wcs = tools.read(tools.header())
    from astropy.wcs import DistortionLookupTable

    x, y = np.meshgrid(np.linspace(-1, 1, 16), np.linspace(-1, 1, 20))
    for name, values in (("cpdis1", 0.3 * x * y), ("cpdis2", 0.2 * np.cos(3 * x))):
        setattr(wcs, name, DistortionLookupTable(values.astype("f4"), (1.0, 1.0), (1.0, 1.0), (14.0, 14.0)))
    hdus = wcs.to_fits(relax=True)
    hdus[0].header["NAXIS1"], hdus[0].header["NAXIS2"] = 200, 260
    return hdus


def test_lookup_tables_with_and_without_their_file(tools):
    hdus = tables_file(tools)
    header = hdus[0].header
    nominal = tools.read(header, fobj=hdus)
    assert nominal.cpdis1 is not None
    correction = tools.correction(nominal, 30.0)
    for fobj in (hdus, None):
        corrected = correct_header(header, correction, fobj=fobj)
        new = tools.read(corrected, fobj=hdus)
        assert tools.offset_pixels(nominal, new, correction) < TOLERANCE


def test_detector_kind_refuses_lookup_tables(tools):
    hdus = tables_file(tools)
    correction = tools.correction(tools.read(hdus[0].header, fobj=hdus), 3.0)
    with pytest.raises(CorrectionError, match="lookup tables that stand in other HDUs"):
        correct_header(hdus[0].header, correction, kind="detector", fobj=hdus)


def test_detector_kind_moves_the_reference_pixel_alone(tools):
    header = tools.header("TAN-SIP", A_ORDER=2, A_2_0=1e-4, B_ORDER=2, B_0_2=-2e-4)
    nominal = tools.read(header)
    correction = SkyCorrection.from_shift(nominal, (3.25, -1.5), pivot_pixel=(40, 50))
    corrected = correct_header(header, correction, kind="detector")
    x, y = tools.grid()
    apart = tools.read(corrected).pixel_to_world(x, y).separation(nominal.pixel_to_world(x - 3.25, y + 1.5))
    assert np.max(apart.arcsec) / tools.scale < TOLERANCE
    assert corrected["CRPIX1"] == pytest.approx(103.75, abs=1e-9)
    assert corrected["CRVAL1"] == header["CRVAL1"]
    assert corrected.comments["CRPIX1"] == "reference pixel"


# -- what it says -------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["deg", "arcsec"])
def test_errors_in_the_unit_of_the_axes(tools, unit):
    header = tools.header(unit=unit)
    correction = tools.correction(tools.read(header), 1.0, covariance=COVARIANCE)
    corrected = correct_header(header, correction, systematic=[0.05, 0.06] * u.arcsec)
    found = [corrected[name] for name in ("CRDER1", "CRDER2", "CSYER1", "CSYER2")] * u.Unit(unit)
    np.testing.assert_allclose(found.to_value(u.arcsec), [0.02, 0.03, 0.05, 0.06], rtol=1e-12)


def test_errors_follow_the_axes(tools):
    """DEC first: CRDER1 is the error of the declination."""
    header = tools.header(dec_first=True)
    correction = tools.correction(tools.read(header), 1.0, covariance=COVARIANCE)
    corrected = correct_header(header, correction, systematic=0.1 * u.arcsec)
    assert corrected["CRDER1"] * 3600 == pytest.approx(0.03)
    assert corrected["CRDER2"] * 3600 == pytest.approx(0.02)
    assert corrected["CSYER2"] * 3600 == pytest.approx(0.1)


def test_unknown_error_is_not_written(tools):
    header = tools.header()
    corrected = correct_header(header, tools.correction(tools.read(header), 1.0))
    assert not [name for name in corrected if name.startswith(("CRDER", "CSYER"))]


def test_history(tools):
    header = tools.header()
    correction = tools.correction(tools.read(header), 30.0, covariance=COVARIANCE)
    corrected = correct_header(header, correction, history=["chi2_shift of image.fits on reference.fits"])
    text = " ".join(corrected["HISTORY"])
    for words in (
        "astroreg",
        "UTC",
        correction.identity,
        "(icrs)",
        f"lon {correction.lon.value:+.5f} lat {correction.lat.value:+.5f} arcsec",
        "1 sigma 0.02000 0.03000",
        "kind pointing, roll zero",
        "archived under letter Z",
        "chi2_shift of image.fits on reference.fits",
    ):
        assert words in text
    nominal = tools.read(header)
    corners = nominal.pixel_to_world([0, 199, 0, 199], [0, 0, 259, 259])
    radius = np.max(correction.pivot.separation(corners).arcsec) * u.arcsec
    ambiguity = float(text.split("differ by ")[1].split()[0])
    # three digits are written
    assert ambiguity == pytest.approx(correction.roll_ambiguity(radius).value, rel=5e-3)


def test_names_are_unique(tools):
    header = tools.header(WCSNAME="ASTROREG-1")
    corrected = correct_header(header, tools.correction(tools.read(header), 1.0))
    assert corrected["WCSNAME"] == "ASTROREG-2"
    assert corrected["WCSNAMEZ"] == "ASTROREG-1"


# -- derived keywords ---------------------------------------------------------------------------


def test_polygon_turns_with_the_sky(tools):
    header = tools.header(S_REGION="POLYGON ICRS  150.01 60.01 149.99 60.01 149.99 59.99 150.01 59.99")
    correction = tools.correction(tools.read(header), 30.0)
    corrected = correct_header(header, correction)
    before, after = (np.array(each["S_REGION"].split()[2:], dtype=float) for each in (header, corrected))
    wanted = correction.apply(SkyCoord(before[::2] * u.deg, before[1::2] * u.deg))
    # nine decimals of a degree are 4e-6 arcsec
    assert np.max(wanted.separation(SkyCoord(after[::2] * u.deg, after[1::2] * u.deg)).arcsec) < 1e-5
    assert corrected["S_REGION"].startswith("POLYGON ICRS ")


def test_circle_keeps_its_radius(tools):
    header = tools.header(S_REGION="CIRCLE 150.0 60.0 0.01")
    corrected = correct_header(header, tools.correction(tools.read(header), 30.0))
    assert corrected["S_REGION"].split()[0::3] == ["CIRCLE", "0.01"]
    assert corrected["S_REGION"].split()[2] != "60.0"


@pytest.mark.parametrize(
    "region", ["ELLIPSE ICRS 150 60 1 1 0", "POLYGON UNKNOWNFRAME 1 2 3 4", "POLYGON ICRS 1"]
)
def test_other_regions_are_warned_about(tools, region):
    header = tools.header(S_REGION=region)
    with pytest.warns(AstroregWarning, match="S_REGION still tell the pointing before the correction"):
        corrected = correct_header(header, tools.correction(tools.read(header), 30.0))
    assert corrected["S_REGION"] == region


def test_stale_keywords_are_warned_about(tools):
    header = tools.header(ORIENTAT=12.0, PA_APER=12.0)
    with pytest.warns(AstroregWarning, match="ORIENTAT, PA_APER still tell"):
        correct_header(header, tools.correction(tools.read(header), 30.0))


# -- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"CTYPE1": "LINEAR", "CTYPE2": "LINEAR"}, "no pair of celestial axes"),
        ({"CUNIT1": "m/S", "CUNIT2": "m/S"}, "no readable WCS ' '"),
        ({"RADESYS": "GAPPT"}, "RADESYS='GAPPT' is not known"),
        ({"CD1_1": "steep"}, "CD1_1 is not a number"),
        ({"CD1_1": 0.0, "CD1_2": 0.0}, "no readable WCS"),
    ],
)
def test_headers_that_cannot_be_corrected(tools, edit, message):
    correction = tools.correction(tools.read(tools.header()), 30.0)
    header = tools.header(**edit)
    before = header.tostring()
    with pytest.raises(CorrectionError, match=message):
        correct_header(header, correction)
    assert header.tostring() == before


def test_keyword_that_stands_twice(tools):
    header = tools.header()
    header.append(("CD1_1", 3e-5), end=True)
    with pytest.raises(CorrectionError, match="CD1_1 stands twice"):
        correct_header(header, tools.correction(tools.read(tools.header()), 30.0))


def test_impossible_arguments(tools):
    header = tools.header()
    correction = tools.correction(tools.read(header), 30.0)
    with pytest.raises(TypeError, match=r"`header` must be an astropy\.io\.fits\.Header, got dict"):
        correct_header({}, correction)
    with pytest.raises(ValueError, match=r"`systematic` cannot be used .*give an angle or two"):
        correct_header(header, correction, systematic=1 * u.pixel)
    with pytest.raises(ValueError, match="`kind` must be"):
        correct_header(header, correction, kind="other")
    with pytest.raises(CorrectionError, match="no readable WCS 'B'"):
        correct_header(header, correction, key="B")


def test_no_warning_for_a_plain_header(tools):
    header = tools.header("TAN-SIP", A_ORDER=2, A_2_0=1e-6, B_ORDER=2)
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        corrected = correct_header(header, tools.correction(tools.read(header), 1.0))
    assert isinstance(WCS(corrected), WCS)
