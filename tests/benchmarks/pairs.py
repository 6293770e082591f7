"""Pairs of images to measure time and memory on, made in little more memory than they need themselves."""

from __future__ import annotations

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.nddata import NDData, StdDevUncertainty
from scipy import fft

from astroreg.simulation import tan_wcs

SHIFT = (3.37, -5.81)
SNR = 10.0  # of the emission's rms in a pixel
INDEX, FWHM = 3.0, 2.5  # of the power spectrum; of the beam in pixel
CENTRE = SkyCoord(10 * u.deg, 20 * u.deg)
POINTING = (3, -2)  # arcsec, which are pixels, by which the WCS of the image on another grid is wrong
MARGIN = 16  # the sky repeats itself beyond this many pixels outside of the images
SCENES = {
    "uniform": "an uncertainty for every pixel, all of one size",
    "varying": "uncertainties that grow fourfold from the middle to the corners",
    "masks": "2 % of bad pixels and a blanked disc in each image, uncertainties of one size",
}


def sky_pair(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return two windows of n x n pixels on one float32 sky of rms 1, the second displaced by `SHIFT`."""
    wide = fft.next_fast_len(n + MARGIN, real=True)
    ky, kx = fft.fftfreq(wide).astype("f4")[:, None], fft.rfftfreq(wide).astype("f4")[None]
    spectrum = fft.rfft2(rng.standard_normal((wide, wide), dtype="f4"), overwrite_x=True)
    k = np.hypot(ky, kx)
    k[0, 0] = 1
    beam = 2 * np.pi**2 * (FWHM / 2.3548) ** 2
    spectrum *= k ** np.float32(-INDEX / 2) * np.exp(np.float32(-beam) * np.square(k))
    spectrum[0, 0] = 0
    still = fft.irfft2(spectrum, s=(wide, wide))[:n, :n].copy()
    spectrum *= np.exp(np.complex64(-2j * np.pi) * (kx * np.float32(SHIFT[0]) + ky * np.float32(SHIFT[1])))
    moved = fft.irfft2(spectrum, s=(wide, wide), overwrite_x=True)[:n, :n].copy()
    rms = still.std()
    still /= rms
    moved /= rms
    return still, moved


def uncertainty(n: int, scene: str, dtype: str) -> np.ndarray:
    """Return the standard deviation of the noise in every pixel."""
    sigma = np.full((n, n), 1 / SNR, dtype)
    if scene == "varying":
        r2 = np.square(np.linspace(-1, 1, n, dtype=dtype))
        sigma *= 1 + 1.5 * (r2[:, None] + r2)
    return sigma


def bad_pixels(n: int, centre: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Return a mask: pixels at random, and a disc about a place given in fractions of the side."""
    bad = rng.random((n, n), dtype="f4") < 0.02
    y, x = (np.square(np.arange(n) / n - at) for at in centre)
    return bad | (y[:, None] + x < 0.06**2)


def make_pair(n: int, *, dtype: str = "f8", scene: str = "uniform", seed: int = 0) -> tuple[NDData, NDData]:
    """Return reference and image of n x n pixels; masked pixels hold a wild value.

    `scene` is one of `SCENES`; "plain" is "uniform" without attached uncertainties.
    """
    rng = np.random.default_rng(seed)
    frames = []
    for sky, centre in zip(sky_pair(n, rng), ((0.7, 0.55), (0.3, 0.25)), strict=True):
        sigma = uncertainty(n, scene, dtype)
        data = (sky + rng.standard_normal((n, n), dtype="f4") * sigma).astype(dtype, copy=False)
        mask = bad_pixels(n, centre, rng) if scene == "masks" else None
        if mask is not None:
            data[mask] = 1e3
        attached = None if scene == "plain" else StdDevUncertainty(sigma, copy=False)
        frames.append(NDData(data, uncertainty=attached, mask=mask))
    return frames[0], frames[1]


def make_grids(n: int, *, dtype: str = "f8", rotation: float = 0.0, seed: int = 0) -> tuple[NDData, NDData]:
    """Return reference and image on grids that are turned, the image's WCS wrong by `POINTING`.

    The corners of the image that the sky does not reach are masked.
    """
    from reproject import reproject_interp

    rng = np.random.default_rng(seed)
    sky, _ = sky_pair(n, rng)
    wcs, claimed = (tan_wcs((n, n), centre=CENTRE, rotation=angle * u.deg) for angle in (0, rotation))
    seen = sky
    if rotation:
        seen = reproject_interp((sky, wcs), claimed, shape_out=(n, n), order=5, return_footprint=False)
    claimed.wcs.crval = claimed.wcs.crval + np.array(POINTING) / 3600
    frames = []
    for values, own in ((sky, wcs), (seen, claimed)):
        bad = ~np.isfinite(values)
        sigma = uncertainty(n, "uniform", dtype)
        data = (np.where(bad, 0, values) + rng.standard_normal((n, n), dtype="f4") * sigma).astype(dtype)
        attached = StdDevUncertainty(sigma, copy=False)
        frames.append(NDData(data, uncertainty=attached, mask=bad if bad.any() else None, wcs=own))
    return frames[0], frames[1]
