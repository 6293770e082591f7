"""Results and images to report on, a reader of pages, and a browser where there is one."""

from __future__ import annotations

import html.parser
import shutil
import subprocess
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.wcs import WCS

mpl.use("Agg")

from astroreg.flags import ShiftFlag
from astroreg.results import DeltaChi2Map, ShiftResult

SHAPE = (40, 50)
SHIFT = np.array([3.0, -2.0])
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def tangent():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [150.0, 30.0]
    wcs.wcs.crpix = [25.5, 20.5]
    wcs.wcs.cd = [[-1e-4, 0], [0, 1e-4]]
    return wcs


def nebula(x, y):
    """Five knots."""
    knots = ((12, 10), (20, 27), (27, 15), (34, 29), (40, 12))
    return sum(np.exp(-((x - at_x) ** 2 + (y - at_y) ** 2) / 18) for at_x, at_y in knots)


def scene(**cards):
    """The image is 2 x the reference + 5, moved by SHIFT; its header has `cards`."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    noise = [StdDevUncertainty(np.full(SHAPE, 0.1)) for _ in range(2)]
    reference = CCDData(nebula(x, y), unit="adu", wcs=tangent(), uncertainty=noise[0])
    image = CCDData(
        2 * nebula(x - SHIFT[0], y - SHIFT[1]) + 5, unit="Jy", wcs=tangent(), uncertainty=noise[1]
    )
    image.meta = fits.Header(list(cards.items()))
    return reference, image


def result(**changes):
    """A trusted result of `scene`, with a sky."""
    covariance = np.array([[0.04, 0.01], [0.01, 0.09]])
    steps = np.linspace(-1.5, 1.5, 31)
    offset = np.stack(np.meshgrid(steps, steps), axis=-1)
    surface = np.einsum("...i,ij,...j", offset, np.linalg.inv(covariance), offset)
    values = {
        "shift": SHIFT,
        "covariance": covariance,
        "scale": 2 * u.Jy / u.adu,
        "scale_error": 0.01 * u.Jy / u.adu,
        "background": 5 * u.Jy,
        "background_error": 0.02 * u.Jy,
        "chi2": 1980.0,
        "dof": 1995.0,
        "correlation": 0.9871,
        "overlap": 0.93,
        "n_pixels": 1860,
        "delta_chi2": DeltaChi2Map(surface, SHIFT[0] + steps, SHIFT[1] + steps),
        "method": "chi2_shift",
        "uncertainty": "attached",
        "wcs": tangent(),
        "image_shape": SHAPE,
    }
    return ShiftResult(**values | changes)


def undetermined():
    nothing = {"shift": [np.nan] * 2, "covariance": np.full((2, 2), np.nan), "delta_chi2": None}
    return result(**nothing, flags=ShiftFlag.NO_SIGNAL)


class Page(html.parser.HTMLParser):
    """What a browser would see: the elements with their attributes, and the text."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        self.source = path.read_text(encoding="utf-8")
        self.elements, self.words, self._open = [], [], []
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "input"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        if self._open and self._open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def parents_closed(self):
        return not self._open


@pytest.fixture(autouse=True)
def _coarse_pictures(monkeypatch):
    """Draw with 50 dots an inch: what is tested does not depend on it, and it saves most of the time."""
    monkeypatch.setattr("astroreg.report.pictures._DOTS", 50)


@pytest.fixture
def made():
    """The makers of scenes and results."""
    return SimpleNamespace(scene=scene, result=result, undetermined=undetermined, shift=SHIFT, shape=SHAPE)


@pytest.fixture
def read():
    return Page


@pytest.fixture
def browser(tmp_path):
    """Call a headless browser on a page; skip where there is none."""
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium is installed")

    def call(page, *options):
        profile = tmp_path / "profile"
        command = [program, *OPTIONS, f"--user-data-dir={profile}", *options, page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        shutil.rmtree(profile, ignore_errors=True)
        assert done.returncode == 0, done.stderr
        return done

    return call
