"""The sky of ``astroreg demo``, seen by two cameras, one of which points wrongly by a known amount."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.nddata import CCDData
from astropy.wcs import WCS

from astroreg.align import Alignment
from astroreg.files import replacing
from astroreg.simulation import SphericalSky, tan_wcs
from astroreg.sky import SkyCorrection, correct_wcs

__all__ = ["Comparison", "Scene", "compare", "simulate", "write_image"]

_CENTRE = SkyCoord(84.6 * u.deg, 9.9 * u.deg)


@dataclass(frozen=True)
class Scene:
    """Two images of one sky.

    Attributes
    ----------
    reference : CCDData
        What the camera saw that points rightly.
    image : CCDData
        What the other one saw, with the WCS that it claims.
    true_wcs : WCS
        Where that one pointed.
    words : tuple of str
        A line about each camera.
    """

    reference: CCDData
    image: CCDData
    true_wcs: WCS
    words: tuple[str, str]


@dataclass(frozen=True)
class Comparison:
    """What was injected and what was recovered, at the pivot of the correction.

    Attributes
    ----------
    injected, recovered, error : Quantity
        (lon, lat) in arcsec, to add to the claimed coordinates; error = recovered - injected.
    quoted : Quantity
        (lon, lat) 1-sigma errors of the correction.
    sigmas : float
        Length of the error in units of the error ellipse.
    before, after : Quantity
        Largest error of the coordinates over the frame.
    """

    injected: u.Quantity
    recovered: u.Quantity
    error: u.Quantity
    quoted: u.Quantity
    sigmas: float
    before: u.Quantity
    after: u.Quantity


def simulate(seed: int) -> Scene:
    """Simulate the two images.

    Parameters
    ----------
    seed : int
        Of sky, pointing error and noise.

    Returns
    -------
    Scene
        Other grid, rotation, celestial frame, pixel size, beam, unit, noise and bad pixels in each.
    """
    sky_rng, error_rng, first_rng, second_rng = np.random.default_rng(seed).spawn(4)
    sky = SphericalSky(_CENTRE, 3.6 * u.arcmin, smallest=4 * u.arcsec, rng=sky_rng)
    wcs = tan_wcs((150, 160), centre=_CENTRE, pixel_scale=2 * u.arcsec)
    dead = np.zeros((150, 160), bool)
    dead[:, 101] = True
    reference = sky.observe(
        wcs, fwhm=5 * u.arcsec, noise=0.06, unit="MJy / sr", mask=dead, bad_fraction=0.002, rng=first_rng
    )
    true_wcs = tan_wcs((120, 120), centre=_CENTRE.galactic, pixel_scale=2.6 * u.arcsec, rotation=35 * u.deg)
    y, x = np.indices((120, 120))
    vignetted = np.hypot(x - 59.5, y - 59.5) > 78
    claimed = correct_wcs(true_wcs, _pointing_error(true_wcs, error_rng).inverse())
    image = sky.observe(
        true_wcs,
        fwhm=8 * u.arcsec,
        noise=2.5,
        unit="adu",
        scale=40,
        background=300,
        mask=vignetted,
        bad_fraction=0.01,
        claimed_wcs=claimed,
        rng=second_rng,
    )
    for ccd, beam in ((reference, 5), (image, 8)):
        ccd.meta["BMAJ"] = ccd.meta["BMIN"] = beam / 3600
        ccd.meta["BPA"] = 0.0
        ccd.meta["OBJECT"] = "simulated nebula"
    words = (
        "reference: 160 x 150 pixels of 2 arcsec, ICRS, beam 5 arcsec, MJy / sr",
        "image:     120 x 120 pixels of 2.6 arcsec, Galactic, turned by 35 deg, beam 8 arcsec, adu",
    )
    return Scene(reference, image, true_wcs, words)


def _pointing_error(wcs: WCS, rng: np.random.Generator) -> SkyCorrection:
    """Return what the claimed coordinates will lack: 6 to 12 arcsec into any direction."""
    middle = wcs.pixel_to_world(59.5, 59.5)
    claimed = middle.directional_offset_by(rng.uniform(0, 360) * u.deg, rng.uniform(6, 12) * u.arcsec)
    return SkyCorrection.from_coordinates(claimed, middle)


def write_image(image: CCDData, path: Path, *, overwrite: bool) -> Path:
    """Write an image with its mask and its uncertainty, completely or not at all.

    Parameters
    ----------
    image : CCDData
        The image.
    path : Path
        The file.
    overwrite : bool
        Whether it may be replaced.

    Returns
    -------
    Path
        `path`.
    """
    with replacing(path, overwrite=overwrite) as temporary:
        image.to_hdu().writeto(temporary)
    return path


def compare(found: Alignment, corrected: WCS, scene: Scene) -> Comparison:
    """Compare a correction with the error that was injected.

    Parameters
    ----------
    found : Alignment
        What was measured.
    corrected : WCS
        As read from the corrected file.
    scene : Scene
        The truth.

    Returns
    -------
    Comparison
        The numbers.
    """
    correction = found.sky_correction
    pivot = found.pivot_pixel
    claimed, truth = (wcs.pixel_to_world(*pivot) for wcs in (scene.image.wcs, scene.true_wcs))
    injected = u.Quantity(claimed.spherical_offsets_to(truth)).to(u.arcsec)
    recovered = u.Quantity([correction.lon, correction.lat]).to(u.arcsec)
    error = recovered - injected
    inverse = np.linalg.inv(correction.covariance.to_value(u.arcsec**2))
    return Comparison(
        injected,
        recovered,
        error,
        correction.error.to(u.arcsec),
        float(np.sqrt(error.value @ inverse @ error.value)),
        _largest_error(scene.image.wcs, scene.true_wcs),
        _largest_error(corrected, scene.true_wcs),
    )


def _largest_error(wcs: WCS, truth: WCS) -> u.Quantity:
    """Return the largest separation of two WCS over corners and middle of the frame."""
    ny, nx = truth.array_shape
    x, y = np.array([0, nx - 1, 0, nx - 1, nx / 2]), np.array([0, 0, ny - 1, ny - 1, ny / 2])
    return wcs.pixel_to_world(x, y).separation(truth.pixel_to_world(x, y)).to(u.arcsec).max()
