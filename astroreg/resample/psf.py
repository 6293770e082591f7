"""Two images brought to one resolution by the point-spread functions themselves, of any shape."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts are loaded where they are first used

from astroreg.checks import argument_named
from astroreg.grids import celestial_wcs, pixel_jacobian
from astroreg.resample.beams import MatchedFrames, common_place
from astroreg.resample.smoothing import matching_kernel, require_frame, smoothed

if TYPE_CHECKING:
    from astroreg.inputs import Frame

__all__ = ["match_psfs"]


def match_psfs(
    reference: Frame, image: Frame, *, reference_psf: np.ndarray, image_psf: np.ndarray
) -> MatchedFrames:
    """Convolve the sharper of two images so that its point-spread function is that of the other.

    Parameters
    ----------
    reference, image : Frame
        Two images with celestial WCS.
    reference_psf, image_psf : ndarray, shape (n, m)
        Their point-spread functions, each on the pixels of its own image, n and m odd, the middle of
        the star in the middle pixel; of any sum.

    Returns
    -------
    MatchedFrames
        The images on their own grids; the one with the wider function as it was given.

    Raises
    ------
    ValueError
        If one of the two is missing, or is no positive image with a middle pixel; or if the images look at
        different parts of the sky.

    Notes
    -----
    The kernel is photutils' ratio of Fourier transforms [1]_. The wider function, by its half-light area on
    the sky, is brought onto the pixels of the other image by the local linear map between the two.

    References
    ----------
    .. [1] Aniano et al. 2011, PASP 123, 1218, doi:10.1086/662219
    """
    for frame, argument in ((reference, "reference"), (image, "image")):
        require_frame(frame, argument)
    psfs = [_checked(reference_psf, "reference_psf"), _checked(image_psf, "image_psf")]
    wcs = celestial_wcs(reference.wcs, argument="reference"), celestial_wcs(image.wcs, argument="image")
    at = common_place(wcs, image.shape, reference.shape)
    mapping = pixel_jacobian(wcs[0], wcs[1], *at[0])[0]
    # Pixels of the image in one of the reference, by area.
    reference_is_wider = _area(psfs[0]) * abs(np.linalg.det(mapping)) > _area(psfs[1])
    if reference_is_wider:
        frame, gain = _convolved(image, psfs[1], psfs[0], np.linalg.inv(mapping))
        return MatchedFrames(reference, frame, 1.0, gain)
    frame, gain = _convolved(reference, psfs[0], psfs[1], mapping)
    return MatchedFrames(frame, image, gain, 1.0)


def _checked(psf: np.ndarray | None, argument: str) -> np.ndarray:
    """Return the function with a sum of 1."""
    if psf is None:
        raise ValueError(f"`{argument}` is missing; give both point-spread functions, or beams instead")
    with argument_named(argument, "give an image of a star"):
        values = np.array(psf, dtype=float)
    if values.ndim != 2 or not all(n % 2 for n in values.shape):
        raise ValueError(f"`{argument}` must have two odd sides, got shape {values.shape}; pad or trim it")
    if not np.isfinite(values).all() or not values.sum() > 0:
        raise ValueError(f"`{argument}` must be finite with a sum > 0; give an image of a star without sky")
    return values / values.sum()


def _area(psf: np.ndarray) -> float:
    """Return the number of brightest pixels that hold half of the light, with a fraction."""
    light = np.concatenate([[0], np.cumsum(np.sort(psf, axis=None)[::-1])])
    after = int(np.argmax(light >= 0.5))
    return after - 1 + (0.5 - light[after - 1]) / (light[after] - light[after - 1])


def _convolved(frame: Frame, own: np.ndarray, wanted: np.ndarray, mapping: np.ndarray) -> tuple[Frame, float]:
    """Convolve a frame from its own function to another, whose pixels are mapping times its own."""
    # Wide enough for both, in pixels of the frame.
    half = np.abs(np.linalg.inv(mapping)) @ (np.array(wanted.shape[::-1]) // 2)
    half = int(np.ceil(max(*half, *(n // 2 for n in own.shape))))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    there = np.tensordot(mapping, np.stack([x, y]), axes=1)
    middle = np.array(wanted.shape) // 2
    target = scipy.ndimage.map_coordinates(
        wanted, [there[1] + middle[0], there[0] + middle[1]], order=3, mode="constant"
    )
    padded = np.pad(own, [(half - n // 2,) * 2 for n in own.shape])
    kernel = matching_kernel(padded, target / target.sum())
    data, variance, mask = smoothed(frame.data, frame.variance, frame.mask, kernel)
    return replace(frame, data=data, variance=variance, mask=mask), float(np.sum(kernel**2))
