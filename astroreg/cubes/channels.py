"""`register_channels`: the shift of each channel, near the one of all."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import QTable
from astropy.wcs import WCS

from astroreg.cubes.joint import fit_jointly
from astroreg.cubes.pair import CubePair, on_grid_of, prepare_cubes
from astroreg.cubes.register import CubeFit
from astroreg.estimators.detection import false_alarm_probability
from astroreg.estimators.noise import noise_variance
from astroreg.estimators.overlap import Plane
from astroreg.flags import ShiftFlag
from astroreg.inputs import Frame

__all__ = ["register_channels"]

_FALSE_ALARM = 1e-6  # there are many channels, and just above chance errors are not yet those of a parabola
_NEAR = 2.0  # pixels from the shift of all channels: what lies farther is not the channel's own
_PLACES = (2 * _NEAR + 1) ** 2  # where a channel's shift may be found by chance
_CHI2_SLACK, _SCATTER_SLACK = 0.2, 2.0


def register_channels(
    reference: Any,
    image: Any,
    *,
    max_shift: float | u.Quantity | None = None,
    min_overlap: float = 0.1,
    boundary: str = "overlap",
    fit_scale: bool = True,
    fit_background: bool = True,
    uncertainty: str = "attached",
    reference_hdu: int | str | tuple | None = None,
    image_hdu: int | str | tuple | None = None,
) -> QTable:
    """Measure the shift of every channel of a cube, each by itself, near the one of all channels together.

    Parameters
    ----------
    reference : NDData, CCDData, HDU, HDUList, path, SpectralCube, NDCube, Quantity or array
        A cube with the channels of `image`, of the same pixel size.
    image : NDData, CCDData, HDU, HDUList, path, SpectralCube, NDCube, Quantity or array
        A cube of axes (channel, y, x).
    max_shift : float or Quantity, optional
        Longest shift of all channels together, as for `register_cube`.
    min_overlap : float, optional
        Least overlap of the good pixels (default 0.1).
    boundary : {"overlap", "wrap"}, optional
        Windows on a larger sky (default) or periodic planes.
    fit_scale, fit_background : bool, optional
        Whether a flux scale and a background of each channel are fitted (default) or those of all and 0.
    uncertainty : {"attached", "empirical"}, optional
        Whence the error bars, as for `chi2_shift`.
    reference_hdu, image_hdu : int, str or tuple, optional
        Which HDU of a file.

    Returns
    -------
    QTable
        A row a channel: ``channel`` (from 0), ``coordinate`` by the spectral WCS where there is one, ``dx``,
        ``dy``, ``dx_error``, ``dy_error`` in pixel, ``dxdy_covariance`` in pixel2, ``scale``,
        ``reduced_chi2``, ``n_pixels``, ``flags`` (a `ShiftFlag` as an integer) and ``flag_names``. NaN and
        ``NO_SIGNAL`` where a channel has no shift of its own within 2 pixels of that of all.

    Raises
    ------
    TypeError, ValueError
        If a cube or an option is impossible; the message names it.
    """
    pair = prepare_cubes(
        reference,
        image,
        max_shift=max_shift,
        min_overlap=min_overlap,
        boundary=boundary,
        fit_scale=fit_scale,
        fit_background=fit_background,
        uncertainty=uncertainty,
        reference_hdu=reference_hdu,
        image_hdu=image_hdu,
    )
    if pair.reference.data.ndim == 2:
        raise ValueError("`reference` is one image; give a cube, or measure each channel with chi2_shift")
    whole = CubeFit(pair)
    fit = whole.fit
    start = None if fit is None or whole.result().flags & ShiftFlag.NO_SIGNAL else fit.shift
    rows = [_row(pair, whole, channel, start) for channel in range(len(pair.image.data))]
    table = QTable({name: [row[name] for row in rows] for name in rows[0]})
    for name, unit in (("dx", u.pixel), ("dy", u.pixel), ("dx_error", u.pixel), ("dy_error", u.pixel)):
        table[name].unit = unit
    table["dxdy_covariance"].unit = u.pixel**2
    table["scale"].unit = pair.image.unit / pair.reference.unit
    return _with_coordinate(QTable(table), pair.image)


def _row(pair: CubePair, whole: CubeFit, channel: int, start: np.ndarray | None) -> dict[str, Any]:
    """Return one row of the table."""
    flags = ShiftFlag.NOISE_ESTIMATED if whole.noise_estimated else ShiftFlag(0)
    row: dict[str, Any] = {"channel": channel}
    row |= dict.fromkeys(
        ("dx", "dy", "dx_error", "dy_error", "dxdy_covariance", "scale", "reduced_chi2"), np.nan
    )
    row |= {"n_pixels": 0}
    found = None if start is None else _fitted(pair, whole, channel, start)
    if found is None:
        flags |= ShiftFlag.NO_SIGNAL
    else:
        numbers, more = found
        row |= numbers
        flags |= more
    return row | {"flags": int(flags), "flag_names": " ".join(flag.name for flag in flags)}


def _fitted(pair: CubePair, whole: CubeFit, channel: int, start: np.ndarray) -> tuple[dict, ShiftFlag] | None:
    planes, factors = zip(*(_standard(cube, channel) for cube in (pair.reference, pair.image)), strict=True)
    if None in planes:
        return None
    one = on_grid_of(pair, [planes[0]])[0]
    ratio = whole.components.scale * whole.fit.scale * factors[0] / factors[1]
    first = Plane(one.data * ratio, one.variance * ratio**2, one.good)
    how = pair.search
    fit, joint = fit_jointly(
        [first],
        [planes[1]],
        np.rint(start),
        periodic=how.periodic,
        fit_scale=how.fit_scale,
        fit_background=how.fit_background,
        empirical=whole.empirical,
    )
    if fit is None or not np.isfinite(fit.covariance).all() or np.hypot(*(fit.shift - start)) > _NEAR:
        return None
    if (
        not false_alarm_probability(whole.as_fit(fit, 0), joint.aligners[0].overlap.box, _PLACES)
        < _FALSE_ALARM
    ):
        return None
    error = np.sqrt(np.diag(fit.covariance))
    dof = int(fit.n_pixels[0]) - fit.n_parameters
    numbers = {
        "dx": fit.shift[0],
        "dy": fit.shift[1],
        "dx_error": error[0],
        "dy_error": error[1],
        "dxdy_covariance": fit.covariance[0, 1],
        "scale": fit.scale * whole.components.scale * whole.fit.scale,
        "reduced_chi2": float(fit.chi2[0] / dof) if dof > 0 else np.nan,
        "n_pixels": int(fit.n_pixels[0]),
    }
    return numbers, _flags(fit, dof, empirical=whole.empirical)


def _flags(fit, dof: int, *, empirical: bool) -> ShiftFlag:
    flags = ShiftFlag(0) if fit.converged else ShiftFlag.NOT_CONVERGED
    excess = abs(fit.chi2[0] / max(dof, 1) - 1)
    bad = excess > max(_CHI2_SLACK, 5 * np.sqrt(2 / max(dof, 1)))
    bad = bad or not 1 / _SCATTER_SLACK < fit.scatter_ratio < _SCATTER_SLACK
    return flags | (ShiftFlag.BAD_CHI2 if bad and not empirical else ShiftFlag(0))


def _standard(cube: Frame, channel: int) -> tuple[Plane | None, float]:
    """Return one channel with mean 0 and spread 1, and the spread; None where it does not vary."""
    good = None if cube.mask is None else ~cube.mask[channel]
    data = np.where(True if good is None else good, cube.data[channel], 0).astype(float)
    values = data if good is None else data[good]
    if values.size == 0 or not np.ptp(values) > 0:
        return None, 1.0
    if cube.variance is None:
        variance = noise_variance(data, good)
        variance = variance if np.isfinite(variance) else 0.0
    else:
        variance = np.where(True if good is None else good, cube.variance[channel], 0).astype(float)
    spread = float(values.std())
    return Plane((data - values.mean()) / spread, variance / spread**2, good), spread


def _with_coordinate(table: QTable, image: Frame) -> QTable:
    wcs = image.wcs
    if isinstance(wcs, WCS) and wcs.wcs.spec >= 0:
        axis = wcs.spectral
        values = axis.pixel_to_world_values(table["channel"]) * u.Unit(axis.world_axis_units[0] or "")
        table.add_column(values, index=1, name="coordinate")
    return table
