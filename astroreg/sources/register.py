"""`register_sources`: the shift from the point sources of two images."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import QTable

from astroreg.exceptions import AstroregWarning
from astroreg.flags import ShiftFlag, describe
from astroreg.grids import map_pixels
from astroreg.inputs import Frame, parse_choice, parse_fraction, parse_max_shift, parse_positive, prepare_pair
from astroreg.results import ShiftResult
from astroreg.sources.finding import detect
from astroreg.sources.matching import common_shift, match_sources

__all__ = ["SourceShift", "measured_from_sources", "register_sources"]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class SourceShift(ShiftResult):
    """The shift of an image relative to a reference, from the point sources that both show.

    All that a `ShiftResult` has; ``chi2`` is that of the matched positions about their common shift, with the
    errors of the centroids alone.

    Attributes
    ----------
    n_reference, n_image : int
        Sources found in the reference and in the image.
    matches : QTable
        A row a matched pair: ``x_reference``, ``y_reference``, ``x``, ``y`` (pixels of either image), their
        shift ``dx``, ``dy`` with the errors ``dx_error``, ``dy_error`` of the centroids, and ``used``,
        whether it counts.
    scatter : Quantity
        Standard deviation along an axis that the pairs have beyond the errors of their centroids, in pixel.
    """

    n_reference: int = 0
    n_image: int = 0
    matches: QTable = field(default_factory=QTable)
    scatter: u.Quantity = np.nan * u.pixel

    @property
    def n_matched(self) -> int:
        """Number of pairs that the shift rests on."""
        return int(np.count_nonzero(self.matches["used"])) if len(self.matches) else 0


def register_sources(
    reference: Any,
    image: Any,
    *,
    fwhm: float = 3.0,
    threshold: float = 5.0,
    max_shift: float | u.Quantity | None = None,
    min_overlap: float = 0.1,
    boundary: str = "overlap",
    fit_scale: bool = True,
    fit_background: bool = True,
    uncertainty: str = "attached",
) -> SourceShift:
    """Measure the shift between two images from the point sources that both show.

    Parameters
    ----------
    reference, image : NDData, CCDData, HDU, HDUList, path, Quantity or array
        The two images, as for `astroreg.chi2_shift`.
    fwhm : float, optional
        Full width at half maximum of a point source, in pixels (default 3).
    threshold : float, optional
        Least height of a source, in sigmas (default 5).
    max_shift : float or Quantity, optional
        Longest shift to search for, as for `astroreg.chi2_shift`.
    min_overlap : float, optional
        Least overlap, as for `astroreg.chi2_shift` (default 0.1): it bounds the shifts where `max_shift`
        does not.
    boundary : {"overlap"}, optional
        The images are windows on a larger sky; sources are not matched around the edges.
    fit_scale, fit_background : bool, optional
        Taken for the sake of the common contract of methods; positions do not depend on them.
    uncertainty : {"attached", "empirical"}, optional
        Either way the errors are those of the centroids and of the scatter of the pairs beyond them.

    Returns
    -------
    SourceShift
        The shift with its covariance, and the matched sources. With fewer than three sources in common the
        shift is NaN, with the flag ``NO_SIGNAL``.

    Raises
    ------
    TypeError, ValueError
        If an image or an option is impossible; the message names it.
    ImportError
        If photutils is not installed.

    Warns
    -----
    AstroregWarning
        Where no shift was determined.

    Notes
    -----
    Every pair of sources votes for its shift, which finds the match whatever the shift is; the shift is then
    the mean of the pairs, each weighted with the errors of its two centroids and a common scatter, such that
    their chi-squared is what it should be. Pairs beyond 4 sigma are left out.
    """
    first, second = prepare_pair(reference, image)
    parse_choice(boundary, ("overlap",), argument="boundary")
    parse_choice(uncertainty, ("attached", "empirical"), argument="uncertainty")
    parse_fraction(min_overlap, argument="min_overlap")
    radius = parse_max_shift(max_shift, second.wcs, second.shape)
    width = parse_positive(fwhm, argument="fwhm")
    height = parse_positive(threshold, argument="threshold")
    result = measured_from_sources(
        first, second, fwhm=width, threshold=height, radius=radius, min_overlap=min_overlap
    )
    if not result.determined:
        warnings.warn("; ".join(describe(result.flags)), AstroregWarning, stacklevel=2)
    return result


def measured_from_sources(
    reference: Frame,
    image: Frame,
    *,
    fwhm: float,
    threshold: float,
    radius: float | None,
    min_overlap: float = 0.1,
    through: Any = None,
) -> SourceShift:
    """Return the shift from the sources of two checked images, without a warning.

    Parameters
    ----------
    reference, image : Frame
        The two images.
    fwhm, threshold : float
        See `find_sources`.
    radius : float or None
        Longest shift, pixels.
    min_overlap : float, optional
        Least overlap (default 0.1).
    through : APE-14 WCS, optional
        A WCS of `image`: the sources of the reference are taken to where it shows their sky position, and the
        shift is on top of that. Default: the two share their pixels.

    Returns
    -------
    SourceShift
        With NaN where fewer than three sources match.
    """
    tables = [detect(frame, fwhm=fwhm, threshold=threshold) for frame in (reference, image)]
    places = [np.transpose([t["x"].value, t["y"].value]) for t in tables]
    covariances = [_covariances(t) for t in tables]
    seen = places[0]
    if through is not None:
        seen, covariances[0] = _through(places[0], covariances[0], reference.wcs, through)
    inside = np.isfinite(seen).all(axis=1)
    rows = np.flatnonzero(inside)
    found = match_sources(seen[rows], places[1], max_shift=radius, area=_area(image, min_overlap))
    common = {
        "method": "register_sources",
        "uncertainty": "empirical",
        "wcs": image.wcs,
        "image_shape": image.shape,
        "reference_label": reference.label,
        "image_label": image.label,
        "n_reference": len(tables[0]),
        "n_image": len(tables[1]),
    }
    if found is None:
        nothing = np.full((2, 2), np.nan)
        return SourceShift(shift=nothing[0], covariance=nothing, flags=ShiftFlag.NO_SIGNAL, **common)
    one, two = rows[found.first], found.second
    shifts, errors = places[1][two] - seen[one], covariances[0][one] + covariances[1][two]
    shift, covariance, used, scatter = common_shift(shifts, errors)
    offsets = (shifts - shift)[used]
    return SourceShift(
        shift=shift,
        covariance=covariance,
        chi2=float(np.einsum("ni,nij,nj->", offsets, np.linalg.inv(errors[used]), offsets)),
        dof=2.0 * (used.sum() - 1),
        false_alarm_probability=found.chance,
        matches=_matches(places[0][one], places[1][two], shifts, errors, used),
        scatter=scatter * u.pixel,
        **common,
    )


def _area(image: Frame, min_overlap: float) -> float:
    """Return the area of the shifts at which the images overlap by so much, about."""
    rows, columns = image.shape
    return 4 * rows * columns * (1 - min_overlap) ** 2 + 1


def _covariances(table: QTable) -> np.ndarray:
    x, y, xy = table["x_error"].value, table["y_error"].value, table["xy_covariance"].value
    return np.transpose([[x**2, xy], [xy, y**2]], (2, 0, 1)) if len(table) else np.empty((0, 2, 2))


def _through(places, covariances, reference_wcs, image_wcs) -> tuple[np.ndarray, np.ndarray]:
    """Return positions and covariances on the pixels of the image, from those of the reference."""
    if not len(places):
        return places, covariances
    steps = np.array([[0, 0], [0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]])
    around = places[None] + steps[:, None]
    x, y = map_pixels(reference_wcs, image_wcs, around[..., 0], around[..., 1])
    mapped = np.stack([x, y], axis=-1)
    jacobian = np.stack([mapped[1] - mapped[2], mapped[3] - mapped[4]], axis=-1)
    return mapped[0], jacobian @ covariances @ np.swapaxes(jacobian, 1, 2)


def _matches(first, second, shifts, errors, used) -> QTable:
    table = QTable()
    for name, values in (("x_reference", first[:, 0]), ("y_reference", first[:, 1])):
        table[name] = values * u.pixel
    for name, values in (
        ("x", second[:, 0]),
        ("y", second[:, 1]),
        ("dx", shifts[:, 0]),
        ("dy", shifts[:, 1]),
    ):
        table[name] = values * u.pixel
    table["dx_error"], table["dy_error"] = np.sqrt(errors[:, [0, 1], [0, 1]]).T * u.pixel
    table["used"] = used
    return table
