"""`measure`: several methods on one prepared pair, and how far they agree."""

from __future__ import annotations

import functools
import html
import itertools
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from astropy import units as u
from astropy.nddata import NDData, VarianceUncertainty
from astropy.table import QTable, vstack

from astroreg.checks import parse_flag, parse_sequence
from astroreg.exceptions import AstroregWarning
from astroreg.flags import ShiftFlag, describe
from astroreg.inputs import Frame, as_frame
from astroreg.methods import (
    chi2_shift,
    cross_correlation_shift,
    register_images,
    solve_chi2,
    solve_taylor,
    solve_upsampled,
)
from astroreg.prepared import PreparedPair, prepare
from astroreg.results import ShiftResult, format_measurement
from astroreg.results.notebook import html_row

__all__ = ["Measurement", "measure"]

# Methods of the package, and what makes of a prepared pair what they would make of the images.
_SHARING = {
    chi2_shift: solve_chi2,
    register_images: solve_upsampled,
    cross_correlation_shift: solve_taylor,
}
_SERIOUS = ShiftFlag.UNTRUSTED | ShiftFlag.BAD_CHI2
_DISAGREE = 5.0  # sigmas; the errors are correlated, so that honest ones disagree by far less


@dataclass(frozen=True, eq=False, repr=False)
class Measurement(Mapping):
    """What several methods make of one pair of images: a mapping of their names to their results.

    Attributes
    ----------
    results : dict of str to ShiftResult
        By name of the method, in the order in which they were asked for.

    Notes
    -----
    The methods see the same noise, so that their errors are correlated and the difference of two is mostly
    well below either error. `agreement` therefore tells the difference in units of the larger of the two
    errors, not of their quadratic sum: it does not count how improbable a difference is, it tells whether
    the choice of the method matters.

    Examples
    --------
    >>> from astroreg.measure import measure
    >>> from astroreg.simulation import simulate_pair
    >>> pair = simulate_pair(shift=(3.37, -5.81), rng=1)
    >>> measured = measure(pair.reference, pair.image)
    >>> list(measured)
    ['chi2_shift', 'register_images', 'cross_correlation_shift']
    >>> measured.ok, measured.largest_disagreement < 3
    (True, True)
    """

    results: dict[str, ShiftResult]

    def __getitem__(self, name: str) -> ShiftResult:
        return self.results[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    @property
    def agreement(self) -> dict[tuple[str, str], float]:
        """How far each pair of methods differs, in units of the larger error of the two.

        The larger of both axes; NaN where one of the two determined nothing.
        """
        pairs = itertools.combinations(self.results, 2)
        return {(one, two): _distance(self.results[one], self.results[two]) for one, two in pairs}

    @property
    def largest_disagreement(self) -> float:
        """The largest of `agreement`, in sigmas; NaN where nothing can be compared."""
        known = [value for value in self.agreement.values() if not np.isnan(value)]
        return max(known, default=np.nan)

    @property
    def ok(self) -> bool:
        """Whether every method may be trusted and none is more than 5 sigmas from another."""
        return all(result.ok for result in self.values()) and not self.largest_disagreement > _DISAGREE

    def to_table(self) -> QTable:
        """Return the results as a table of one row a method, which can be written as ECSV.

        Returns
        -------
        QTable
            The columns of `ShiftResult.to_table`: shift, errors, sky correction, flags and more. Its meta
            holds "agreement_sigma", a list of (method, method, sigmas).
        """
        rows = [result.to_table() for result in _in_one_unit(list(self.values()))]
        table = vstack(rows, metadata_conflicts="silent")
        table["method"] = list(self)
        table.meta["agreement_sigma"] = [[*pair, value] for pair, value in self.agreement.items()]
        return table

    def plot(self, ax: Any = None) -> Any:
        """Draw the shifts of all methods with their errors and ellipses.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; the default is a new figure.

        Returns
        -------
        list of Artist
            What was drawn, see `astroreg.plotting.plot_shifts`.

        Raises
        ------
        ValueError
            If no method determined a shift.
        """
        from astroreg.plotting import plot_shifts

        return plot_shifts(self, ax=ax)

    def __str__(self) -> str:
        rows = [_titles(self), *_rows(self)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join([*lines, *_agreement_lines(self), *_flag_lines(self)])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(self)}>"

    def _repr_html_(self) -> str:
        rows = html_row(_titles(self), "th") + "".join(html_row(row) for row in _rows(self))
        lines = [*_agreement_lines(self), *_flag_lines(self)]
        notes = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
        return f"<div><table>{rows}</table><ul>{notes}</ul></div>"


def measure(
    reference: Any,
    image: Any,
    *,
    methods: Sequence[Callable] | Mapping[str, Callable] = (
        chi2_shift,
        register_images,
        cross_correlation_shift,
    ),
    max_shift: float | u.Quantity | None = None,
    min_overlap: float = 0.1,
    boundary: str = "overlap",
    fit_scale: bool = True,
    fit_background: bool = True,
    uncertainty: str = "attached",
    reference_hdu: int | str | tuple | None = None,
    image_hdu: int | str | tuple | None = None,
) -> Measurement:
    """Measure the shift between two images with several methods, on one prepared pair.

    Parameters
    ----------
    reference, image : NDData, CCDData, HDU, HDUList, path, Quantity or array
        The two images, as for `chi2_shift`.
    methods : sequence or mapping of callable, optional
        The methods; the keys of a mapping are their names. Those of the package (default: all three) share
        the checks, the footprint and the coarse search. Any other
        ``method(reference, image, *, max_shift, min_overlap, boundary, fit_scale, fit_background,
        uncertainty)`` is called with two NDData and must return a `ShiftResult`; use `functools.partial`
        for further options.
    max_shift : float or Quantity, optional
        Longest shift to search for, as for `chi2_shift`.
    min_overlap : float, optional
        Least overlap, as for `chi2_shift` (default 0.1).
    boundary : {"overlap", "wrap"}, optional
        Windows on a larger sky (default) or periodic images.
    fit_scale, fit_background : bool, optional
        Whether flux scale and background are fitted (default).
    uncertainty : {"attached", "empirical"}, optional
        Whence the error bars, as for `chi2_shift`.
    reference_hdu, image_hdu : int, str or tuple, optional
        Which HDU of a file.

    Returns
    -------
    Measurement
        The results by name, a table of them, and how far they agree.

    Raises
    ------
    TypeError, ValueError
        If an image, an option or a method is impossible; the message names it.

    Warns
    -----
    AstroregWarning
        Once, where a flag says that some result should not be trusted as it is.

    Notes
    -----
    The shift is one of pixels: images on different grids must be brought to one grid first, as `align`
    does.
    """
    named = _named(methods)
    parse_flag(fit_background, "fit_background")
    first = as_frame(reference, argument="reference", hdu=reference_hdu)
    second = as_frame(image, argument="image", hdu=image_hdu)
    options = {
        "max_shift": max_shift,
        "min_overlap": min_overlap,
        "boundary": boundary,
        "fit_scale": fit_scale,
        "fit_background": fit_background,
        "uncertainty": uncertainty,
    }
    pair = prepare(first, second, **options)
    measured = Measurement({name: _result(name, method, pair, options) for name, method in named.items()})
    _warn_once(measured)
    return measured


def _named(methods: Sequence[Callable] | Mapping[str, Callable]) -> dict[str, Callable]:
    """Return the methods by name."""
    if callable(methods):
        methods = (methods,)
    if not isinstance(methods, Mapping):
        methods = parse_sequence(methods, "methods", mend="give functions such as chi2_shift")
        names = [_name(method) for method in methods]
        if len(set(names)) < len(names):
            raise ValueError(f"`methods` has two of one name in {names}; give a mapping of names to methods")
        methods = dict(zip(names, methods, strict=True))
    if not methods:
        raise ValueError("`methods` is empty; give at least one")
    wrong = next((method for method in methods.values() if not callable(method)), None)
    if wrong is not None:
        raise TypeError(f"`methods` holds {wrong!r}, which cannot be called; give functions as chi2_shift")
    return dict(methods)


def _name(method: Any) -> str:
    """Return the name of a function; of a `functools.partial` with its keywords."""
    if isinstance(method, functools.partial):
        keywords = ", ".join(f"{key}={value!r}" for key, value in method.keywords.items())
        return f"{_name(method.func)}({keywords})"
    return getattr(method, "__name__", None) or type(method).__name__


def _result(name: str, method: Callable, pair: PreparedPair, options: dict[str, Any]) -> ShiftResult:
    """Run one method; its warnings wait, since `measure` gives one at the end."""
    if method in _SHARING:
        return _SHARING[method](pair)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstroregWarning)
        result = method(_nddata(pair.reference), _nddata(pair.image), **options)
    if not isinstance(result, ShiftResult):
        raise TypeError(f"`methods`: {name} must return a ShiftResult, got a {type(result).__name__}")
    labels = {"reference_label": pair.reference.label, "image_label": pair.image.label}
    return replace(result, **labels)


def _nddata(frame: Frame) -> NDData:
    uncertainty = None if frame.variance is None else VarianceUncertainty(frame.variance)
    return NDData(frame.data, uncertainty=uncertainty, mask=frame.mask, unit=frame.unit, wcs=frame.wcs)


def _warn_once(measured: Measurement) -> None:
    """Warn, once, of what forbids to trust some of the results."""
    said: dict[str, list[str]] = {}
    for name, result in measured.items():
        for sentence in describe(result.flags & _SERIOUS):
            said.setdefault(sentence, []).append(name)
    words = [f"{', '.join(names)}: {sentence}" for sentence, names in said.items()]
    if measured.largest_disagreement > _DISAGREE:
        words.append(f"the methods differ by {measured.largest_disagreement:.1f} of their errors")
    if words:
        warnings.warn("; ".join(words), AstroregWarning, stacklevel=3)


def _in_one_unit(results: list[ShiftResult]) -> list[ShiftResult]:
    """Give the numbers that a method did not find the units of those that another did."""
    found = next((result for result in results if np.isfinite(result.scale)), results[0])
    names = ("scale", "scale_error", "background", "background_error")
    units = {name: np.nan * getattr(found, name).unit for name in names}
    return [result if np.isfinite(result.scale) else replace(result, **units) for result in results]


def _distance(one: ShiftResult, two: ShiftResult) -> float:
    """Return the difference of two shifts in units of the larger error, along the worse axis."""
    difference = np.abs((one.shift - two.shift).to_value(u.pixel))
    error = np.maximum(one.shift_error.to_value(u.pixel), two.shift_error.to_value(u.pixel))
    with np.errstate(divide="ignore", invalid="ignore"):
        sigmas = np.where(difference == 0, 0.0, difference / error)  # 0 / 0: noiseless images
    return float(sigmas.max())  # NaN if either axis is


# ---- what people see ------------------------------------------------------------------------


def _titles(measured: Measurement) -> tuple[str, ...]:
    """Return the names of the columns, with those of the sky where there is one."""
    known = [result.sky_correction for result in measured.values() if result.sky_correction is not None]
    sky = (f"lon (arcsec, {known[0].pivot.frame.name})", "lat (arcsec)") if known else ()
    return ("method", "dx (pixel)", "dy (pixel)", *sky, "flags")


def _rows(measured: Measurement) -> list[tuple[str, ...]]:
    """Return the cells of the table as text: numbers rounded to two digits of their errors."""
    titles = _titles(measured)
    names = ("dx", "dy", "lon", "lat")[: len(titles) - 2]
    rows = []
    for method, result in measured.items():
        row = result.to_table()[0]
        numbers = [format_measurement(_bare(row[n]), _bare(row[f"{n}_error"])) for n in names]
        rows.append((method, *numbers, str(row["flag_names"]).replace(" ", ", ") or "none"))
    return rows


def _bare(quantity: u.Quantity) -> float:
    return float(getattr(quantity, "value", quantity))


def _agreement_lines(measured: Measurement) -> list[str]:
    """Return a line for each pair of methods."""
    return [
        f"{one} and {two} differ by {value:.2f} of the larger error"
        for (one, two), value in measured.agreement.items()
        if not np.isnan(value)
    ]


def _flag_lines(measured: Measurement) -> list[str]:
    """Return the sentence of every flag that is set, once."""
    flags = functools.reduce(operator.or_, (result.flags for result in measured.values()), ShiftFlag(0))
    return [f"flag {sentence}" for sentence in describe(flags)]
