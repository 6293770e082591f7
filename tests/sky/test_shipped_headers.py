"""Every header that astropy and reproject ship for their own tests: corrected exactly, or refused."""

from pathlib import Path

import astropy.units as u
import astropy.wcs
import numpy as np
import pytest
import reproject
from astropy.coordinates import SkyCoord
from astropy.io import fits

from astroreg.exceptions import CorrectionError
from astroreg.sky import SkyCorrection, correct_header, restore_header
from astroreg.sky.frames import celestial_frame, pixel_to_lonlat, realize
from astroreg.sky.grid_check import grid_pixels
from astroreg.sky.header_cards import quiet_astropy, read_wcs

FOLDERS = [Path(module.__file__).parent / "tests" / "data" for module in (astropy.wcs, reproject)]
FILES = sorted(
    path
    for folder in FOLDERS
    for pattern in ("*.hdr", "*/*.hdr", "*.fits", "*.fits.gz")
    for path in folder.glob(pattern)
)

# Headers that have celestial axes and are refused none the less: the plate solution of the
# Digitized Sky Survey is no set of WCS cards.
REFUSED = {("dss.14.29.56-62.41.05.fits.gz", 0)}

pytestmark = [
    # what astropy finds wrong with its own test files
    pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning"),
    pytest.mark.skipif(not FILES, reason="astropy and reproject were installed without their tests"),
]


def headers_of(path):
    """(HDU number, header, file or None) of a file of any of the shipped kinds."""
    if path.suffix == ".hdr":
        text = path.read_bytes().decode("latin1")
        yield 0, fits.Header.fromstring(text, sep="\n" if "\n" in text[:200] else ""), None
        return
    with fits.open(path) as hdus:
        for number, hdu in enumerate(hdus):
            yield number, hdu.header, hdus


def places(wcs):
    lon, lat = pixel_to_lonlat(wcs, *grid_pixels(wcs))
    on_sky = np.isfinite(lon)
    return realize(celestial_frame(wcs), lon[on_sky], lat[on_sky])


def scale(wcs):
    matrix = wcs.pixel_scale_matrix[[wcs.wcs.lng, wcs.wcs.lat]]
    lengths = np.linalg.norm(matrix, axis=0)
    return np.min(lengths[lengths > 0]) * 3600


def check(name, number, header, hdus, key, offset):
    """True where the header was corrected, False where it was refused."""
    before = header.tostring()
    try:
        nominal = read_wcs(header, key, hdus)
        old = places(nominal)
    except CorrectionError:
        with pytest.raises(CorrectionError, match=r"\w+"):
            correct_header(header, any_correction(), key=key)
        return False
    pivot = old[len(old) // 3]
    correction = SkyCorrection.from_coordinates(
        pivot, SkyCoord(pivot).directional_offset_by(70 * u.deg, offset * u.arcsec)
    )
    if (name, number) in REFUSED:
        with pytest.raises(CorrectionError, match="no form of keywords"):
            correct_header(header, correction, key=key, fobj=hdus)
        return False
    corrected = correct_header(header, correction, key=key, fobj=hdus)
    new = places(read_wcs(corrected, key, hdus))
    assert np.max(correction.apply(old).separation(new).arcsec) / scale(nominal) < 1e-6
    restored = restore_header(corrected)
    assert [card.image for card in restored.cards if card.keyword not in ("HISTORY", "")] == [
        card.image for card in header.cards if card.keyword not in ("HISTORY", "")
    ]
    assert header.tostring() == before
    return True


def any_correction():
    place = SkyCoord(10 * u.deg, 20 * u.deg)
    return SkyCorrection.from_coordinates(place, place.directional_offset_by(0 * u.deg, 1 * u.arcsec))


def check_file(path, offset):
    corrected = 0
    with quiet_astropy():
        for number, header, hdus in headers_of(path):
            letters = [name[-1] for name in header if name[:6] == "CTYPE1" and len(name) == 7]
            for key in [" ", *letters]:
                corrected += check(path.name, number, header, hdus, key, offset)
    return corrected


def in_short_run(path):
    """One map in four, one spectrum, and all that are not one of a series."""
    series = [other for other in FILES if other.parent == path.parent]
    return path.parent.name not in ("maps", "spectra") or series.index(path) % 4 == 0


CASES = [
    pytest.param(path, id=path.name, marks=() if in_short_run(path) else pytest.mark.slow) for path in FILES
]


@pytest.mark.parametrize("path", CASES)
def test_corrected_exactly_or_refused(path):
    corrected = check_file(path, 30.0)
    # the maps are one sky in all projections: none may be refused
    assert corrected or path.parent.name != "maps"


@pytest.mark.slow
@pytest.mark.parametrize("offset", [0.1, 300.0])
@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_small_and_large_offsets(path, offset):
    check_file(path, offset)


def test_most_shipped_headers_can_be_corrected():
    """So that refusing everything would not pass."""
    names = ("gc_eq.hdr", "cube.hdr", "tpvonly.hdr", "3d_cd.hdr")
    assert [check_file(path, 1.0) for path in FILES if path.name in names] == [1, 1, 1, 1]
