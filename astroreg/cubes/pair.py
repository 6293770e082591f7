"""Two cubes through the door: as many channels, one unit, what their WCS say of each other."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.wcs import WCS

from astroreg.estimators.overlap import Plane
from astroreg.estimators.registration import Search
from astroreg.exceptions import AstroregWarning
from astroreg.grids import GridMap, Window, celestial_wcs
from astroreg.inputs import Frame, as_frame, parse_boundary, parse_choice, parse_fraction, parse_max_shift
from astroreg.inputs.many_axes import as_cube, axes_of, in_one_unit
from astroreg.resample import resample_to
from astroreg.spectra.axis import SpectralAxis, spectral_axis

__all__ = ["CubePair", "celestial_part", "on_grid_of", "prepare_cubes"]

_LEAST_SIDE = 5  # pixels
_SAME_CHANNEL = 0.1  # of a channel: two spectral axes that agree better are one
_SAME_GRID = 0.01  # pixels over the image


@dataclass(frozen=True)
class CubePair:
    """Two cubes, or an image and a cube, checked.

    Attributes
    ----------
    reference : Frame
        Of shape (channels, ny, nx), or (ny, nx).
    image : Frame
        Of shape (channels, ny, nx).
    search : Search
        What was asked for.
    empirical : bool
        Whether the errors were asked for from the residuals.
    wcs : APE-14 WCS or None
        The celestial part of the image's.
    grid_offset : tuple of float or None
        (x, y) pixels of the image at which its WCS puts the reference's pixel (0, 0); None where the two are
        on other grids, so that the reference must be resampled.
    """

    reference: Frame
    image: Frame
    search: Search
    empirical: bool
    wcs: Any
    grid_offset: tuple[float, float] | None


def prepare_cubes(
    reference: Any,
    image: Any,
    *,
    max_shift: Any,
    min_overlap: float,
    boundary: str,
    fit_scale: bool,
    fit_background: bool,
    uncertainty: str,
    reference_hdu: Any = None,
    image_hdu: Any = None,
) -> CubePair:
    """Take two cubes and a user's options through the door.

    Parameters
    ----------
    reference, image : NDData or alike
        See `register_cube`.
    max_shift, min_overlap, boundary, fit_scale, fit_background, uncertainty, reference_hdu, image_hdu
        See `register_cube`.

    Returns
    -------
    CubePair
        Checked; nothing is computed yet.

    Raises
    ------
    TypeError, ValueError
        Where a cube or an option is impossible.
    """
    flat = axes_of(reference, hdu=reference_hdu) == 2
    door = as_frame if flat else as_cube
    first = door(reference, argument="reference", hdu=reference_hdu)
    second = as_cube(image, argument="image", hdu=image_hdu)
    for frame, argument in ((first, "reference"), (second, "image")):
        _require_planes(frame, argument)
    if not flat and len(first.data) != len(second.data):
        raise ValueError(
            f"`reference` has {len(first.data)} channels, `image` {len(second.data)}; give the same "
            "channels of both, or a 2-D image as reference"
        )
    first, second = in_one_unit(first, second, fit_scale=fit_scale)
    wcs = celestial_part(second.wcs)
    plane = second.data.shape[1:]
    how = Search(
        max_shift=parse_max_shift(max_shift, wcs, plane),
        min_overlap=parse_fraction(min_overlap, argument="min_overlap"),
        periodic=parse_boundary(boundary, first.data.shape[-2:], plane) == "wrap",
        fit_scale=bool(fit_scale),
        fit_background=bool(fit_background),
    )
    empirical = parse_choice(uncertainty, ("attached", "empirical"), argument="uncertainty") == "empirical"
    if not flat:
        _compare_channels(first, second)
    offset = _grid_offset(celestial_part(first.wcs), wcs, plane)
    return CubePair(first, second, how, empirical, wcs, offset)


def _require_planes(frame: Frame, argument: str) -> None:
    if min(frame.data.shape[-2:]) < _LEAST_SIDE:
        rows, columns = frame.data.shape[-2:]
        raise ValueError(
            f"the planes of `{argument}` are {columns} pixel wide and {rows} high; a shift along "
            f"both axes needs at least {_LEAST_SIDE} x {_LEAST_SIDE} pixels"
        )
    inner = getattr(frame.wcs, "wcs", None)
    if isinstance(frame.wcs, WCS) and frame.data.ndim == 3 and inner.spec in (0, 1):
        raise ValueError(
            f"the channels of `{argument}` are along axis {frame.wcs.naxis - 1 - inner.spec} of its array "
            "by its WCS; give them first, with the WCS's axes swapped alike (WCS.swapaxes)"
        )


def celestial_part(wcs: Any) -> Any:
    """Return the celestial axes of a WCS of a cube; None where it has none that can be told apart.

    Parameters
    ----------
    wcs : APE-14 WCS or None
        The WCS.

    Returns
    -------
    APE-14 WCS or None
        Of two pixel axes.
    """
    if wcs is None:
        return None
    try:
        return celestial_wcs(wcs, argument="image")
    except ValueError:
        return None


def _grid_offset(reference_wcs: Any, wcs: Any, shape: tuple[int, int]) -> tuple[float, float] | None:
    """Return where the image's WCS puts the reference's pixel (0, 0); None where they are on other grids."""
    if reference_wcs is None or wcs is None:
        return 0.0, 0.0
    offset = GridMap(reference_wcs, wcs, Window.of_shape(shape)).translation(_SAME_GRID)
    return None if offset is None else (-offset[0], -offset[1])


def on_grid_of(pair: CubePair, planes: list[Plane]) -> list[Plane]:
    """Return planes of the reference on the grid of the image.

    Parameters
    ----------
    pair : CubePair
        The two.
    planes : list of Plane
        On the grid of the reference.

    Returns
    -------
    list of Plane
        As they are where the two share a grid, or one of them has no celestial WCS.
    """
    if pair.grid_offset is not None:
        return planes
    source, shape = celestial_part(pair.reference.wcs), pair.image.data.shape[1:]
    out = []
    for plane in planes:
        mask = None if plane.good is None else ~plane.good
        variance = np.broadcast_to(plane.variance, plane.shape).astype(float)
        frame = Frame(plane.data, variance, mask, wcs=source)
        moved = resample_to(frame, pair.wcs, shape)
        out.append(Plane(moved.data, moved.variance, None if moved.mask is None else ~moved.mask))
    return out


def _compare_channels(reference: Frame, image: Frame) -> None:
    """Warn where the channels of the two are not the same by their WCS."""
    axes = [_spectral(frame) for frame in (reference, image)]
    if None in axes:
        return
    first, second = axes
    ends = np.array([0.0, second.length - 1.0])
    try:
        coordinates = second.of_other(first, ends)
    except ValueError:
        return
    off = max(abs(second.pixel(c) - end) for c, end in zip(coordinates, ends, strict=True))
    if off > _SAME_CHANNEL:
        warnings.warn(
            f"the channels of `reference` and `image` differ by up to {off:.2g} channels by their WCS; "
            "they are compared in the order in which they stand: give the same channels of both",
            AstroregWarning,
            stacklevel=5,
        )


def _spectral(frame: Frame) -> SpectralAxis | None:
    if not (isinstance(frame.wcs, WCS) and frame.wcs.wcs.spec >= 0):
        return None
    return spectral_axis(frame.wcs.spectral, len(frame.data))
