"""The .head file, read back as SWarp does: its cards alone."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from astroreg.exceptions import CorrectionError
from astroreg.files import write_scamp_head
from astroreg.sky.grid_check import rotation_residual
from tests.files.conftest import celestial_cards


def read_head(path):
    """The WCS of each part, after what the programs do: no card but those in the file."""
    parts, cards = [], []
    for line in path.read_text().splitlines():
        if line.split() == ["END"]:
            parts.append(fits.Header(cards))
            cards = []
        else:
            cards.append(fits.Card.fromstring(line.ljust(80)))
    assert not cards, "END is missing"
    return parts


def residual(header, nominal):
    again = WCS(header)
    again.pixel_shape = nominal.pixel_shape = (64, 48)
    return rotation_residual(nominal, again, np.eye(3))


def variants():
    plain = celestial_cards()
    yield "CD", plain
    pc = celestial_cards()
    for i in "12":
        pc[f"CDELT{i}"] = 2e-4 * (-1 if i == "1" else 1.5)
        for j in "12":
            pc[f"PC{i}_{j}"] = pc.pop(f"CD{i}_{j}") / pc[f"CDELT{i}"]
    yield "PC", pc
    crota = celestial_cards()
    for name in ("CD1_1", "CD1_2", "CD2_1", "CD2_2"):
        del crota[name]
    crota["CDELT1"], crota["CDELT2"], crota["CROTA2"] = -5e-5, 5e-5, 33.0
    yield "CROTA2", crota
    turned = celestial_cards()
    turned["LONPOLE"] = 170.0
    yield "LONPOLE", turned
    galactic = celestial_cards(lon=30.0, lat=-40.0)
    galactic["CTYPE1"], galactic["CTYPE2"] = "GLON-ZEA", "GLAT-ZEA"
    yield "galactic ZEA", galactic
    lat_first = celestial_cards()
    lat_first["CTYPE1"], lat_first["CTYPE2"] = "DEC--TAN", "RA---TAN"
    lat_first["CRVAL1"], lat_first["CRVAL2"] = 60.0, 150.0
    yield "DEC first", lat_first
    tpv = celestial_cards()
    tpv["CTYPE1"], tpv["CTYPE2"] = "RA---TPV", "DEC--TPV"
    tpv["PV1_1"], tpv["PV2_1"], tpv["PV1_4"] = 1.001, 0.999, 0.02
    yield "TPV", tpv
    equatorial = celestial_cards(lat=0.0)
    equatorial["CTYPE1"], equatorial["CTYPE2"] = "RA---CAR", "DEC--CAR"
    yield "CAR on the equator", equatorial


@pytest.mark.parametrize(("name", "header"), list(variants()), ids=[name for name, _ in variants()])
def test_holds_the_wcs(name, header, tmp_path):
    path = write_scamp_head(tmp_path / "a.head", header)
    (part,) = read_head(path)
    # the tolerance that the writer itself asks for
    assert residual(part, WCS(header)) < 1e-6
    assert not {"LONPOLE", "LATPOLE", "CDELT1", "PC1_1"} & set(part)
    assert {"CD1_1", "CD1_2", "CD2_1", "CD2_2", "EQUINOX", "RADESYS"} <= set(part)


def test_one_part_an_extension(tmp_path):
    wanted = [WCS(celestial_cards(lat=lat)) for lat in (10.0, 20.0, 30.0)]
    parts = read_head(write_scamp_head(tmp_path / "a.head", wanted))
    assert [part["CRVAL2"] for part in parts] == [10.0, 20.0, 30.0]


def test_the_celestial_part_of_a_cube(tmp_path):
    header = celestial_cards()
    header["WCSAXES"], header["CTYPE3"], header["CRVAL3"], header["CD3_3"] = 3, "FREQ", 1e9, 1e6
    (part,) = read_head(write_scamp_head(tmp_path / "a.head", header))
    assert residual(part, WCS(celestial_cards())) < 1e-6


def test_what_only_the_poles_express_is_refused(tmp_path):
    header = celestial_cards(lat=30.0)
    header["CTYPE1"], header["CTYPE2"] = "RA---CAR", "DEC--CAR"
    header["LONPOLE"] = 10.0
    with pytest.raises(CorrectionError, match="no LONPOLE or LATPOLE"):
        write_scamp_head(tmp_path / "a.head", header)
    assert not list(tmp_path.iterdir())


def test_sip_and_tables_are_refused(exposure_file, tmp_path):
    for header in (celestial_cards(sip=True), fits.getheader(exposure_file, 1)):
        with pytest.raises(CorrectionError, match="know neither SIP nor lookup tables"):
            write_scamp_head(tmp_path / "a.head", header)


def test_no_sky(tmp_path):
    with pytest.raises(CorrectionError, match="not celestial"):
        write_scamp_head(tmp_path / "a.head", WCS(naxis=2))
    with pytest.raises(ValueError, match="`wcs` is empty"):
        write_scamp_head(tmp_path / "a.head", [])


def test_refuses_to_overwrite(tmp_path):
    path = write_scamp_head(tmp_path / "a.head", celestial_cards())
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_scamp_head(path, celestial_cards())
