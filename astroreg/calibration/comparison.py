"""Methods over many draws of the noise: scatter, quoted errors, bias, coverage and the limit."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from astropy import units as u
from astropy.table import QTable
from numpy.typing import ArrayLike

from astroreg.calibration.progress import tracked
from astroreg.checks import parse_callable, parse_flag, parse_sequence, require_kind
from astroreg.exceptions import AstroregWarning
from astroreg.flags import ShiftFlag
from astroreg.inputs import parse_positive
from astroreg.methods import chi2_shift, cross_correlation_shift, register_images
from astroreg.results import ShiftResult
from astroreg.simulation import SimulatedPair

__all__ = ["compare_methods"]


def compare_methods(
    pair: SimulatedPair,
    *,
    methods: Sequence[Callable] | Mapping[str, Callable] | None = None,
    n_draws: int = 100,
    gross: float = 1.0,
    progress: bool = False,
    rng: int | ArrayLike | np.random.Generator | None = None,
) -> QTable:
    """Run methods over fresh noise on one sky and table how their errors compare with the truth.

    Parameters
    ----------
    pair : SimulatedPair
        What to draw from; see `astroreg.simulation.simulate_pair`.
    methods : sequence or mapping of callable, optional
        Called as ``method(reference, image, boundary=...)``, they return a `ShiftResult`; use
        `functools.partial` for other arguments. The keys of a mapping are the names in the table. By
        default the three methods of the package.
    n_draws : int, optional
        Number of draws of the noise, the same ones for all methods.
    gross : float, optional
        An answer that is off by more pixels than this along either axis, or NaN, is a gross failure:
        it is counted, and left out of the other columns.
    progress : bool, optional
        Whether to show a progress bar on stderr.
    rng : int, array-like, numpy.random.Generator or None, optional
        Seed or generator of the noise.

    Returns
    -------
    astropy.table.QTable
        A row for each method and axis:

        - ``method``, ``axis`` ("x" or "y"), ``n_draws``;
        - ``gross``: number of gross failures; ``flagged``: number of answers that were flagged as
          not to be trusted;
        - ``std``: standard deviation of the answers, and ``limit``, the smallest possible one;
          ``efficiency = std / limit``;
        - ``mean_error``: root mean square of the quoted errors; ``ratio = mean_error / std``, which
          is 1 for true errors, and its sampling error ``ratio_error``;
        - ``bias``: mean of answer minus truth, and its sampling error ``bias_error``;
        - ``coverage``: fraction of the answers within one quoted error of the truth, 0.683 for true
          Gaussian errors, and its sampling error ``coverage_error``;
        - ``deviation``, ``error``: answer minus truth and quoted error of every draw.

    Raises
    ------
    ValueError
        If there is no method, two have one name, or a number is not positive.

    See Also
    --------
    calibrate : The same around a user's own images.

    Examples
    --------
    >>> from astroreg import chi2_shift
    >>> from astroreg.calibration import compare_methods
    >>> from astroreg.simulation import simulate_pair
    >>> pair = simulate_pair((48, 48), rng=1)
    >>> table = compare_methods(pair, methods=[chi2_shift], n_draws=5, rng=2)
    >>> list(table["axis"]), list(table["gross"])  # doctest: +ELLIPSIS
    ([...'x'...'y'...], [...0...0...])
    """
    require_kind(pair, SimulatedPair, "pair", "give what simulate_pair or fitted_pair returned")
    parse_flag(progress, "progress")
    n_draws = parse_positive(n_draws, argument="n_draws", integer=True)
    gross = parse_positive(gross, argument="gross")
    named = _named(methods)
    outcomes = {name: _Outcome.empty(n_draws) for name in named}
    for i, draw in enumerate(tracked(pair.draws(n_draws, rng=rng), n_draws, progress=progress)):
        for name, method in named.items():
            outcomes[name].record(i, _measured(method, draw), draw.shift)
    rows = [
        outcome.row(name, axis, gross, pair.limit.to_value(u.pixel)[axis])
        for name, outcome in outcomes.items()
        for axis in (0, 1)
    ]
    table = QTable({key: [row[key] for row in rows] for key in rows[0]})
    for name in ("std", "mean_error", "bias", "bias_error", "limit", "deviation", "error"):
        table[name] = table[name] * u.pixel
    for name in table.colnames:
        table[name].info.format = ".3g" if table[name].dtype.kind == "f" else None
    table.meta.update(shift_x=float(pair.shift[0].value), shift_y=float(pair.shift[1].value), gross=gross)
    return table


def _named(methods):
    """Return the methods by name."""
    if methods is None:
        methods = (chi2_shift, register_images, cross_correlation_shift)
    if callable(methods):
        methods = (methods,)
    if not isinstance(methods, Mapping):
        methods = parse_sequence(methods, "methods", mend="give functions such as chi2_shift")
        names = [_name(method) for method in methods]
        if len(set(names)) < len(names):
            raise ValueError(f"`methods` has two of one name in {names}; give a mapping of names to methods")
        methods = dict(zip(names, methods, strict=True))
    if not methods:
        raise ValueError("`methods` is empty; give at least one, or None for all")
    for method in methods.values():
        parse_callable(method, "methods", mend="give functions such as chi2_shift")
    return dict(methods)


def _name(method):
    """Return the name of a function; of a `functools.partial` with its keywords."""
    if isinstance(method, functools.partial):
        keywords = ", ".join(f"{key}={value!r}" for key, value in method.keywords.items())
        return f"{_name(method.func)}({keywords})"
    return getattr(method, "__name__", None) or type(method).__name__


def _measured(method, draw):
    """Run a method; its warnings are counted as flags and not repeated for every draw."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstroregWarning)
        result = method(draw.reference, draw.image, boundary=draw.boundary)
    return require_kind(result, ShiftResult, "methods", "each must return a ShiftResult")


@dataclass(frozen=True)
class _Outcome:
    """What one method made of all the draws: answer minus truth, quoted errors, whether flagged."""

    deviation: np.ndarray
    error: np.ndarray
    flagged: np.ndarray

    @classmethod
    def empty(cls, n):
        return cls(np.full((n, 2), np.nan), np.full((n, 2), np.nan), np.zeros(n, bool))

    def record(self, i, result, truth):
        self.deviation[i] = (result.shift - truth).to_value(u.pixel)
        self.error[i] = result.shift_error.to_value(u.pixel)
        self.flagged[i] = not ShiftFlag(int(getattr(result, "flags", 0))).trusted

    def row(self, name, axis, gross, limit):
        """Return one row of the table; the sampling errors are those of Gaussian deviations."""
        good = (np.abs(self.deviation) <= gross).all(axis=1)
        n, deviation, error = good.sum(), self.deviation[good, axis], self.error[good, axis]
        std = deviation.std(ddof=1) if n > 1 else np.nan
        quoted = np.sqrt((error**2).mean()) if n else np.nan
        ratio = quoted / std if std > 0 else np.nan
        coverage = (np.abs(deviation) <= error).mean() if n else np.nan
        return {
            "method": name,
            "axis": "xy"[axis],
            "n_draws": good.size,
            "gross": good.size - n,
            "flagged": self.flagged.sum(),
            "std": std,
            "limit": limit,
            "efficiency": std / limit,
            "mean_error": quoted,
            "ratio": ratio,
            "ratio_error": ratio / np.sqrt(2 * (n - 1)) if n > 1 else np.nan,
            "bias": deviation.mean() if n else np.nan,
            "bias_error": std / np.sqrt(n) if n else np.nan,
            "coverage": coverage,
            "coverage_error": np.sqrt(0.683 * 0.317 / n) if n else np.nan,
            "deviation": self.deviation[:, axis],
            "error": self.error[:, axis],
        }
