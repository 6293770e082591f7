"""Beams on the sky, and two images brought to one resolution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from astropy import units as u

from astroreg.checks import argument_named, parse_angle
from astroreg.grids import celestial_wcs, map_pixels, pixel_jacobian, sky_jacobian
from astroreg.resample.smoothing import gaussian_kernel, require_frame, smoothed

if TYPE_CHECKING:
    from astroreg.inputs import Frame

__all__ = ["Beam", "MatchedFrames", "beam_of", "common_place", "match_beams"]

FWHM = math.sqrt(8 * math.log(2))  # sigmas
NARROW = 0.1  # pixels; a Gaussian narrower than this changes nothing


@dataclass(frozen=True)
class Beam:
    """An elliptical Gaussian beam on the sky.

    Attributes
    ----------
    major, minor : Quantity
        Full widths at half maximum, angles.
    position_angle : Quantity
        Of the major axis, from the North of the image's own frame through East.
    """

    major: u.Quantity
    minor: u.Quantity
    position_angle: u.Quantity = 0 * u.deg

    def __post_init__(self) -> None:
        major = parse_angle(self.major, "major").to(u.arcsec)
        minor = parse_angle(self.minor, "minor").to(u.arcsec)
        if not (np.isfinite(major) and 0 <= minor <= major and major > 0):
            raise ValueError(
                f"a beam must have 0 <= `minor` <= `major` and `major` > 0, got {self.minor} "
                f"and {self.major}; give full widths at half maximum"
            )
        object.__setattr__(self, "major", major)
        object.__setattr__(self, "minor", minor)
        object.__setattr__(
            self, "position_angle", parse_angle(self.position_angle, "position_angle").to(u.deg)
        )

    @property
    def covariance(self) -> np.ndarray:
        """Second moments of the beam, (2, 2) in arcsec2, in the order (lon, lat)."""
        angle = self.position_angle.to_value(u.rad)
        # North through East: the major axis points along (lon, lat) = (sin, cos).
        axes = np.array([[np.sin(angle), np.cos(angle)], [np.cos(angle), -np.sin(angle)]])
        squares = np.array([self.major.value, self.minor.value]) ** 2 / FWHM**2
        return (axes.T * squares) @ axes


def beam_of(source: Any, *, argument: str = "beam") -> Beam:
    """Return a beam from any of the ways to tell one.

    Parameters
    ----------
    source : Beam, Quantity, sequence of Quantity, Header or radio_beam.Beam
        A full width at half maximum; or (major, minor, position angle); or a header with BMAJ, BMIN
        and BPA in degrees; or an object with ``major``, ``minor`` and ``pa``.
    argument : str, optional
        Its name for the messages.

    Returns
    -------
    Beam
        The beam.

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If a header tells no beam, or the widths are impossible.

    Examples
    --------
    >>> from astropy import units as u
    >>> from astroreg.resample import beam_of
    >>> beam_of(0.1 * u.arcmin).minor
    <Quantity 6. arcsec>
    """
    if isinstance(source, Beam):
        return source
    if isinstance(source, Mapping) or hasattr(source, "cards"):
        return _of_header(source, argument)
    if hasattr(source, "major") and hasattr(source, "minor"):
        return Beam(source.major, source.minor, source.pa)
    if isinstance(source, (u.Quantity, tuple, list)):
        parts = list(source) if isinstance(source, (tuple, list)) or source.ndim else [source]
        if len(parts) in (1, 3) and all(isinstance(part, u.Quantity) for part in parts):
            with argument_named(argument, "give a full width at half maximum, or three angles"):
                return Beam(parts[0], parts[0]) if len(parts) == 1 else Beam(*parts)
    raise TypeError(
        f"`{argument}` must be a full width at half maximum as an angle, (major, minor, position angle) or a "
        f"header with BMAJ, got {source!r}"
    )


def _of_header(header: Any, argument: str) -> Beam:
    """Read BMAJ, BMIN, BPA; BMIN is BMAJ and BPA 0 where they are missing."""
    major = header.get("BMAJ")
    if not isinstance(major, (int, float)) or not major > 0:
        raise ValueError(
            f"`{argument}` is not told by the header (no BMAJ); give the beam's FWHM as an angle"
        )
    minor = header.get("BMIN") or major
    # Some writers exchange the two.
    longer, shorter = max(major, minor), min(major, minor)
    return Beam(longer * u.deg, shorter * u.deg, float(header.get("BPA") or 0) * u.deg)


class MatchedFrames(NamedTuple):
    """Two images of one resolution.

    Attributes
    ----------
    reference, image : Frame
        The two; one that needed no smoothing is the frame that was given.
    reference_gain, image_gain : float
        Marginal variance of a pixel over its effective variance, see `astroreg.resample.resample_to`.
    """

    reference: Frame
    image: Frame
    reference_gain: float
    image_gain: float


def match_beams(
    reference: Frame, image: Frame, *, reference_beam: Any = None, image_beam: Any = None
) -> MatchedFrames:
    """Smooth the sharper of two images so that both have the same beam.

    Parameters
    ----------
    reference, image : Frame
        Two images with celestial WCS.
    reference_beam, image_beam : Beam, Quantity, sequence of Quantity or Header, optional
        Their beams, as `beam_of` takes them; by default from BMAJ, BMIN and BPA of the headers.

    Returns
    -------
    MatchedFrames
        The images on their own grids. Where neither beam is the sharper one in all directions both
        are smoothed, to the smallest ellipse that holds both.

    Raises
    ------
    TypeError, ValueError
        If a beam is not known, or an image has no celestial WCS.

    Notes
    -----
    The variance is the effective one: that of independent pixels with the same noise on scales larger
    than the beam, which smoothing leaves as it was.
    """
    for frame, argument in ((reference, "reference"), (image, "image")):
        require_frame(frame, argument)
    beams = []
    for frame, beam, argument in (
        (reference, reference_beam, "reference_beam"),
        (image, image_beam, "image_beam"),
    ):
        beams.append(beam_of((frame.header or {}) if beam is None else beam, argument=argument))
    wcs = celestial_wcs(reference.wcs, argument="reference"), celestial_wcs(image.wcs, argument="image")
    at = common_place(wcs, image.shape, reference.shape)
    own = [_in_pixels(beam, w, place) for beam, w, place in zip(beams, wcs, at, strict=True)]
    # Everything is compared in the pixels of the image.
    mapping = pixel_jacobian(wcs[0], wcs[1], *at[0])[0]
    seen = mapping @ own[0] @ mapping.T
    common = enclosing(seen, own[1])
    back = np.linalg.inv(mapping)
    first, first_gain = _smoothed_by(reference, back @ (common - seen) @ back.T)
    second, second_gain = _smoothed_by(image, common - own[1])
    return MatchedFrames(first, second, first_gain, second_gain)


def enclosing(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the smallest covariance that is nowhere narrower than either of two.

    In the coordinates in which the first is a circle and the second lies along the axes, it is the larger of
    the two along each axis.
    """
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(values)) @ vectors.T
    inverse = np.linalg.inv(root)
    ratio, axes = np.linalg.eigh(inverse @ second @ inverse)
    return root @ (axes * np.maximum(ratio, 1.0)) @ axes.T @ root


def common_place(wcs, image_shape, reference_shape) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels (reference, image) of a place that both can see, the image's middle if possible."""
    middle = [np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2]) for shape in (reference_shape, image_shape)]
    x, y = map_pixels(wcs[1], wcs[0], *middle[1])
    if np.isfinite(x):
        return np.array([float(x), float(y)]), middle[1]
    x, y = map_pixels(wcs[0], wcs[1], *middle[0])
    if not np.isfinite(x):
        raise ValueError(
            "`reference` and `image` look at different parts of the sky: their beams cannot be compared"
        )
    return middle[0], np.array([float(x), float(y)])


def _in_pixels(beam: Beam, wcs, place: np.ndarray) -> np.ndarray:
    """Return the beam's second moments in pixel2."""
    inverse = np.linalg.inv(sky_jacobian(wcs, *place))
    return inverse @ beam.covariance @ inverse.T


def _smoothed_by(frame: Frame, covariance: np.ndarray) -> tuple[Frame, float]:
    """Convolve with a Gaussian of the given second moments in pixel2, unless it is too narrow to matter."""
    if np.linalg.eigvalsh(covariance)[1] < NARROW**2:
        return frame, 1.0
    kernel = gaussian_kernel(covariance)
    data, variance, mask = smoothed(frame.data, frame.variance, frame.mask, kernel)
    return replace(frame, data=data, variance=variance, mask=mask), float(np.sum(kernel**2))
