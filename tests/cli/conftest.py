"""Small files of one simulated sky, and a way to call the program in this process."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.wcs import WCS

from astroreg.cli import main
from astroreg.simulation import SphericalSky, tan_wcs

SHAPE = (80, 84)
# What the coordinates of image.fits lack, in pixels of 1 arcsec: its content lies at pixel + SHIFT.
SHIFT = np.array([3.4, -2.3])


@dataclass(frozen=True)
class Answer:
    """What one call of the program gave."""

    status: int
    out: str
    err: str


@pytest.fixture
def run(capsys):
    """Call the program; return its status, stdout and stderr. No message is ever a traceback."""

    def call(*arguments):
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Answer(status, captured.out, captured.err)

    return call


@pytest.fixture
def usage(capsys):
    """Call the program wrongly; return what it says."""

    def call(*arguments):
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        assert caught.value.code == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        # Two lines: what is wrong, and where all options stand.
        assert captured.err.startswith("astroreg") and captured.err.endswith("--help)\n")
        assert captured.err.count("\n") == 2
        return captured.err

    return call


def true_wcs():
    return tan_wcs(SHAPE, rotation=20 * u.deg)


def moved(wcs, shift):
    """A WCS that is wrong: it claims for pixel p what is truly at p - shift."""
    wrong = wcs.deepcopy()
    wrong.wcs.crpix = wrong.wcs.crpix - shift
    return wrong


def write(path, ccd, **cards):
    hdus = ccd.to_hdu()
    hdus[0].header.update(cards)
    hdus.writeto(path)


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Return a folder with the files, which no test changes."""
    folder = tmp_path_factory.mktemp("sky")
    sky = SphericalSky(radius=1.6 * u.arcmin, smallest=3 * u.arcsec, rng=5)
    wcs = true_wcs()
    optics = {"fwhm": 3 * u.arcsec, "noise": 0.05}
    write(folder / "reference.fits", sky.observe(wcs, rng=1, **optics))
    for number, name in enumerate(("image.fits", "second.fits"), 2):
        image = sky.observe(
            wcs, scale=7, background=20, unit="Jy", bad_fraction=0.01, rng=number,
            fwhm=3 * u.arcsec, noise=0.4, claimed_wcs=moved(wcs, SHIFT),
        )  # fmt: skip
        write(folder / name, image, OBJECT="Nebula")
    turned = tan_wcs(SHAPE, rotation=-35 * u.deg, pixel_scale=1.1 * u.arcsec)
    write(folder / "turned.fits", sky.observe(turned, rng=4, claimed_wcs=moved(turned, SHIFT), **optics))
    rng = np.random.default_rng(6)
    noise = CCDData(
        rng.normal(size=SHAPE), unit="adu", wcs=wcs, uncertainty=StdDevUncertainty(np.ones(SHAPE))
    )
    write(folder / "noise.fits", noise)
    away = wcs.deepcopy()
    away.wcs.crval = away.wcs.crval + [0, 20]
    write(folder / "elsewhere.fits", CCDData(noise.data, unit="adu", wcs=away))
    return folder


@pytest.fixture
def files(made, tmp_path):
    """Return a folder of its own for each test, with copies of the files."""
    for path in made.iterdir():
        shutil.copy(path, tmp_path)
    return tmp_path


def wcs_of(path):
    return WCS(fits.getheader(path))


def left_over(path):
    """Return the largest distance, in pixels, between a file's coordinates and the truth."""
    x, y = np.array([0, 0, 83, 83, 40]), np.array([0, 79, 0, 79, 40])
    places = wcs_of(path).pixel_to_world(x, y)
    return np.hypot(*(np.array(true_wcs().world_to_pixel(places)) - [x, y])).max()


def listing(folder):
    """Return every file with its content, hidden ones too."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def sky():
    """What the tests know about the sky: the truth, and how far a file is from it."""
    tools = (true_wcs, moved, wcs_of, left_over, listing)
    return SimpleNamespace(shift=SHIFT, **{tool.__name__: tool for tool in tools})
