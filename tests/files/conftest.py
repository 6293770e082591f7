"""Files as cameras write them, made from scratch."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits

from astroreg.sky import SkyCorrection

NX, NY = 64, 48


def celestial_cards(lon=150.0, lat=60.0, crpix=(32.5, 24.5), angle=30.0, sip=False):
    """A tangent-plane WCS with a CD matrix, 0.2 arcsec a pixel."""
    cos, sin = np.cos(np.radians(angle)) * 0.2 / 3600, np.sin(np.radians(angle)) * 0.2 / 3600
    kind = "-SIP" if sip else ""
    header = fits.Header()
    header["WCSAXES"] = 2
    header["CTYPE1"], header["CTYPE2"] = f"RA---TAN{kind}", f"DEC--TAN{kind}"
    header["CRVAL1"], header["CRVAL2"] = lon, lat
    header["CRPIX1"], header["CRPIX2"] = crpix
    header["CD1_1"], header["CD1_2"], header["CD2_1"], header["CD2_2"] = -cos, sin, sin, cos
    header["CUNIT1"], header["CUNIT2"] = "deg", "deg"
    header["RADESYS"] = "ICRS"
    if sip:
        header["A_ORDER"], header["B_ORDER"] = 2, 2
        header["A_2_0"], header["B_0_2"], header["A_1_1"] = 1e-4, -8e-5, 3e-5
    return header


def lookup_tables(version):
    """CPDIS tables of one chip, as HDUs, and the cards that point to them."""
    rng = np.random.default_rng(version)
    cards = fits.Header()
    tables = []
    for axis in (1, 2):
        table = fits.ImageHDU(rng.normal(0, 0.1, (5, 5)).astype("f4"), name="WCSDVARR")
        table.ver = 2 * (version - 1) + axis
        for number, step in ((1, NX / 4), (2, NY / 4)):
            table.header[f"CRPIX{number}"], table.header[f"CRVAL{number}"] = 1.0, 1.0
            table.header[f"CDELT{number}"] = step
        tables.append(table)
        cards[f"CPDIS{axis}"] = "LOOKUP"
        for line in (f"EXTVER: {table.ver}.0", "NAXES: 2.0", "AXIS.1: 1.0", "AXIS.2: 2.0"):
            cards.append((f"DP{axis}", line))
    return cards, tables


def exposure(seed=1):
    """Two chips with SIP and lookup tables, SCI/ERR/DQ each, a table and an HDU of unknown kind."""
    rng = np.random.default_rng(seed)
    primary = fits.PrimaryHDU()
    primary.header["TELESCOP"] = "TEST"
    primary.header["LONGTEXT"] = "a value that needs more than one card, " * 4
    hdus, tables = [primary], []
    for chip in (1, 2):
        cards = celestial_cards(lat=60.0 + 0.004 * chip, sip=True)
        pointers, arrays = lookup_tables(chip)
        tables += arrays
        for name, dtype in (("SCI", "f4"), ("ERR", "f4"), ("DQ", "i2")):
            data = rng.uniform(1, 100, (NY, NX)).astype(dtype)
            if name == "DQ":
                data = (rng.random((NY, NX)) < 0.1).astype("i2") * 4096
            hdu = fits.ImageHDU(data, name=name)
            hdu.ver = chip
            if name != "DQ":
                hdu.header["BUNIT"] = "ELECTRONS/S"
            hdu.header.extend(cards)
            if name == "SCI":
                for card in pointers.cards:
                    hdu.header.append(card)
            hdus.append(hdu)
    column = fits.Column("flux", "PE()", array=np.array([[1.0], [2.0, 3.0]], dtype=object))
    hdus.append(fits.BinTableHDU.from_columns([column], name="CATALOG"))
    unknown = fits.hdu.nonstandard.FitsHDU.fromhdulist(fits.HDUList([fits.PrimaryHDU(np.arange(5))]))
    unknown.name = "FOREIGN"
    return fits.HDUList([*hdus, *tables, unknown])


@pytest.fixture
def exposure_file(tmp_path):
    path = tmp_path / "exposure.fits"
    exposure().writeto(path, checksum=True)
    return path


@pytest.fixture
def plain_file(tmp_path):
    path = tmp_path / "plain.fits"
    rng = np.random.default_rng(7)
    hdu = fits.PrimaryHDU(rng.normal(size=(NY, NX)).astype("f4"), celestial_cards())
    hdu.header["BUNIT"] = "Jy/beam"
    hdu.writeto(path)
    return path


@pytest.fixture
def correction():
    nominal = SkyCoord(150 * u.deg, 60.004 * u.deg)
    return SkyCorrection.from_coordinates(
        nominal, nominal.spherical_offsets_by(0.4 * u.arcsec, -0.3 * u.arcsec)
    )
