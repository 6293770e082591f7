"""`SpectralShift`: the shift of a spectrum, in pixels and along its spectral axis."""

from __future__ import annotations

import copy
import html
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SpectralCoord
from astropy.io import fits
from astropy.table import QTable

from astroreg.flags import ShiftFlag, describe
from astroreg.results import RivalPeak, format_measurement
from astroreg.spectra.axis import SpectralAxis, moved_axis, spectral_axis
from astroreg.spectra.header import moved_header

__all__ = ["DeltaChi2Curve", "SpectralShift"]


@dataclass(frozen=True, eq=False)
class DeltaChi2Curve:
    """Chi-squared above its minimum, as a function of the shift; 1 and 4 bound 1 and 2 sigma.

    Attributes
    ----------
    shift : Quantity
        Shifts in pixel.
    delta_chi2 : ndarray
        Of the same length.
    """

    shift: u.Quantity
    delta_chi2: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class SpectralShift:
    """The shift of a spectrum relative to a reference, with what is known about its error.

    What `chi2_shift` returns for 1-D data. A feature at pixel p of the reference stands at pixel p + shift of
    the image: ``image(x) = scale * reference(x - shift) + background``. Unknown is NaN, with a flag.

    Attributes
    ----------
    shift, shift_error : Quantity
        Of the image relative to the reference, in pixel, with its 1-sigma error.
    scale, scale_error : Quantity
        Fitted flux factor, in image unit per reference unit.
    background, background_error : Quantity
        Fitted offset, in the image's unit.
    chi2, dof : float
        Chi-squared of the residuals and its degrees of freedom.
    correlation : float
        Correlation coefficient of the two over the overlap.
    overlap : float
        Fraction of the good channels that was used.
    n_pixels : int
        Number of channels used.
    delta_chi2 : DeltaChi2Curve or None
        Around the minimum.
    flags : ShiftFlag
        What is doubtful; 0 = all well.
    method : str
        Name of the method.
    uncertainty : str
        The noise it used: "attached" or "empirical".
    false_alarm_probability : float
        That noise alone gives a match as good.
    rival : RivalPeak or None
        The second-best shift, where there is one.
    wcs, reference_wcs : APE-14 WCS or None
        Of the image and of the reference, as given. Without the latter the reference is taken to have the
        channels of the image.
    length, reference_length : int
        Channels of the two.
    reference_label, image_label : str
        Names of the two, for messages and HISTORY.

    Examples
    --------
    >>> import numpy as np
    >>> from astroreg import chi2_shift
    >>> x, rng = np.arange(200.0), np.random.default_rng(1)
    >>> spectrum = lambda x: sum(np.exp(-0.5 * ((x - p) / 2.5) ** 2) for p in (40, 71, 90, 160))
    >>> noisy = lambda x: spectrum(x) + 0.02 * rng.standard_normal(x.size)
    >>> result = chi2_shift(noisy(x), noisy(x - 1.25))
    >>> bool(abs(result.shift.value - 1.25) < 4 * result.shift_error.value)
    True
    """

    shift: u.Quantity
    shift_error: u.Quantity
    scale: u.Quantity = u.Quantity(np.nan)
    scale_error: u.Quantity = u.Quantity(np.nan)
    background: u.Quantity = u.Quantity(np.nan)
    background_error: u.Quantity = u.Quantity(np.nan)
    chi2: float = np.nan
    dof: float = np.nan
    correlation: float = np.nan
    overlap: float = np.nan
    n_pixels: int = 0
    delta_chi2: DeltaChi2Curve | None = None
    flags: ShiftFlag = ShiftFlag(0)
    method: str = "chi2_shift"
    uncertainty: str = ""
    false_alarm_probability: float = np.nan
    rival: RivalPeak | None = None
    wcs: Any = None
    reference_wcs: Any = None
    length: int = 0
    reference_length: int = 0
    reference_label: str = ""
    image_label: str = ""

    # ---- derived numbers --------------------------------------------------------------------

    @property
    def reduced_chi2(self) -> float:
        """Chi-squared per degree of freedom; NaN where there are none."""
        return float(self.chi2 / self.dof) if self.dof > 0 else np.nan

    @property
    def determined(self) -> bool:
        """Whether there is a shift at all."""
        return bool(np.isfinite(self.shift.value))

    @property
    def ok(self) -> bool:
        """Whether the shift is determined and no flag forbids to trust it."""
        return self.determined and self.flags.trusted

    # ---- along the spectral axis ------------------------------------------------------------

    @cached_property
    def axis_shift(self) -> u.Quantity:
        """How far the coordinates of the image's WCS stand too far along, in pixel of the image.

        Equal to `shift` where both spectra have one WCS, or the reference none: a part of a spectrum cut out
        with its WCS has a shift, but no `axis_shift`. NaN where the image has no WCS.
        """
        if self._axis is None or not self.determined:
            return np.nan * u.pixel
        return (self._axis.middle - self._axis.pixel(self._true)) * u.pixel

    @property
    def spectral_shift(self) -> u.Quantity:
        """Coordinate of a feature by the image's WCS, less what the reference says, in the unit of the WCS.

        Told in the middle of the image.
        """
        if self._axis is None:
            return u.Quantity(np.nan)
        return self._seen - self._true

    @property
    def spectral_shift_error(self) -> u.Quantity:
        """1-sigma error of `spectral_shift`."""
        return self._error_of(lambda seen, true: seen - true)

    @property
    def spectral_correction(self) -> u.Quantity:
        """What to add to the coordinate that the image's WCS gives, in the middle of the image."""
        return -self.spectral_shift

    @property
    def velocity(self) -> u.Quantity:
        """The shift as a velocity in km/s, positive where the image's features recede from the reference's.

        The difference of the axis' own velocities; of a wavelength or frequency axis with a rest value the
        optical or radio velocity; with logarithmic steps the relativistic velocity. NaN for other axes, on
        which one shift is no single velocity: see `velocity_at`.
        """
        return self._velocity(None)

    @property
    def velocity_error(self) -> u.Quantity:
        """1-sigma error of `velocity`."""
        return self._velocity_error(None)

    def velocity_at(self, rest: u.Quantity) -> tuple[u.Quantity, u.Quantity]:
        """Return the shift as a velocity for a line of given rest value, with its error.

        Parameters
        ----------
        rest : Quantity
            Wavelength, frequency or energy of the line at rest.

        Returns
        -------
        velocity, error : Quantity
            In km/s: optical velocities on an axis of wavelength, radio velocities on others.

        Raises
        ------
        ValueError
            If `rest` is no spectral quantity.
        """
        if not (isinstance(rest, u.Quantity) and rest.unit.is_equivalent(u.Hz, equivalencies=u.spectral())):
            raise ValueError(f"`rest` must be a Quantity: a wavelength, frequency or energy; got {rest!r}")
        return self._velocity(rest), self._velocity_error(rest)

    def _velocity(self, rest: u.Quantity | None) -> u.Quantity:
        if self._axis is None:
            return np.nan * u.km / u.s
        return self._axis.velocity(self._seen, self._true, rest)

    def _velocity_error(self, rest: u.Quantity | None) -> u.Quantity:
        if self._axis is None:
            return np.nan * u.km / u.s
        return self._error_of(lambda seen, true: self._axis.velocity(seen, true, rest))

    @cached_property
    def _axis(self) -> SpectralAxis | None:
        return spectral_axis(self.wcs, self.length)

    @property
    def _seen(self) -> u.Quantity:
        return self._axis.at(self._axis.middle)

    @property
    def _true(self) -> u.Quantity:
        return self._true_at(self.shift.to_value(u.pixel))

    def _true_at(self, shift: float) -> u.Quantity:
        """Return the coordinate that the reference gives for what stands in the middle of the image."""
        reference = spectral_axis(self.reference_wcs, self.reference_length)
        if reference is None:
            return self._axis.at(self._axis.middle - shift)
        return self._axis.of_other(reference, self._axis.middle - shift)

    def _error_of(self, quantity: Any) -> u.Quantity:
        """Return the error of a function of (seen, true): half its change between -1 and +1 sigma."""
        if self._axis is None:
            return u.Quantity(np.nan)
        shift, error = self.shift.to_value(u.pixel), self.shift_error.to_value(u.pixel)
        low, high = (quantity(self._seen, self._true_at(shift + s * error)) for s in (-1, 1))
        return np.abs(high - low) / 2

    # ---- the corrected axis -----------------------------------------------------------------

    def corrected_wcs(self) -> Any:
        """Return a corrected copy of the image's WCS.

        Returns
        -------
        WCS or gwcs.WCS
            ``W'(p) = W(p - axis_shift)``: exact for a shift of the pixels on any axis, and for a velocity on
            a logarithmic one.

        Raises
        ------
        ValueError
            If there is no correction to apply.
        """
        return moved_axis(self.wcs, self._correction())

    def corrected_axis(self) -> SpectralCoord | u.Quantity:
        """Return the corrected coordinates of the image's channels.

        Returns
        -------
        SpectralCoord or Quantity
            One for each channel; SpectralCoord where the WCS is spectral.

        Raises
        ------
        ValueError
            If there is no correction to apply.
        """
        axis = spectral_axis(self.corrected_wcs(), self.length)
        values = axis.at(np.arange(self.length))
        spectral = axis.kind.startswith(("em.", "spect."))
        return SpectralCoord(values) if spectral else values

    def correct(self, image: Any) -> Any:
        """Return a copy of a spectrum with its WCS corrected.

        Parameters
        ----------
        image : NDData or alike
            The spectrum measured, or another of the same axis; it is not changed.

        Returns
        -------
        NDData or alike
            Of the same type; WCS keywords in its meta are corrected with the WCS.

        Raises
        ------
        ValueError
            If there is no correction to apply, or the image has no WCS.
        """
        shift = self._correction()
        if getattr(image, "wcs", None) is None:
            raise ValueError("`image` has no WCS to correct; give the NDData with its spectral WCS")
        corrected = copy.deepcopy(image)
        if getattr(image, "uncertainty", None) is not None:
            corrected.uncertainty = corrected.uncertainty  # a copied uncertainty still knows its old parent
        corrected.wcs = None  # NDData accepts a new WCS only where there is none
        corrected.wcs = moved_axis(image.wcs, shift)
        if isinstance(image.meta, fits.Header) and "CRPIX1" in image.meta:
            corrected.meta = self.update_header(image.meta)
        return corrected

    def update_header(self, header: fits.Header) -> fits.Header:
        """Return a copy of a header with its spectral WCS corrected, the old one archived, and HISTORY.

        Parameters
        ----------
        header : Header
            Of a spectrum with one axis longer than 1; it is not changed.

        Returns
        -------
        Header
            A new one; `restore_header` undoes it.

        Raises
        ------
        ValueError
            If there is no correction to apply, or the header has had this one.
        """
        return moved_header(header, self._correction(), history=self.history())

    def history(self) -> list[str]:
        """Return what a header should say about this measurement.

        Returns
        -------
        list of str
            Lines for HISTORY.
        """
        lines = [f"astroreg: measured {self._answer()}"]
        lines.append(f"astroreg: by {self.method}, {self.uncertainty} uncertainty")
        if self.reference_label:
            lines.append(f"astroreg: relative to {self.reference_label}")
        names = " ".join(flag.name for flag in self.flags)
        return lines + ([f"astroreg: flags {names}"] if names else [])

    def _correction(self) -> float:
        shift = self.axis_shift.to_value(u.pixel)
        if np.isfinite(shift):
            return float(shift)
        reason = "the image has no spectral WCS" if self.determined else "no shift was determined"
        words = "; ".join(describe(self.flags))
        raise ValueError(f"there is no correction to apply: {reason}" + (f" ({words})" if words else ""))

    # ---- what people see --------------------------------------------------------------------

    def plot(self, ax: Any = None) -> Any:
        """Draw the Delta chi-squared curve with the 1, 2 and 3 sigma levels.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; the default is a new figure.

        Returns
        -------
        list of Artist
            What was drawn.
        """
        from astroreg.plotting.spectra import plot_delta_chi2_curve

        return plot_delta_chi2_curve(self, ax=ax)

    def to_table(self) -> QTable:
        """Return the numbers as a table of one row, which can be written as ECSV and read back.

        Returns
        -------
        QTable
            Columns with units; NaN for what is unknown.
        """
        names = ("shift", "axis_shift", "spectral_shift", "velocity", "scale", "background")
        columns: dict[str, Any] = {"method": self.method, "uncertainty": self.uncertainty}
        for name in names:
            columns[name] = getattr(self, name)
            if name != "axis_shift":
                columns[f"{name}_error"] = getattr(self, f"{name}_error")
        for name in ("chi2", "dof", "reduced_chi2", "correlation", "overlap", "false_alarm_probability"):
            columns[name] = float(getattr(self, name))
        columns |= {"n_pixels": int(self.n_pixels), "flags": int(self.flags)}
        columns |= {"flag_names": " ".join(flag.name for flag in self.flags), "ok": self.ok}
        columns |= {"reference": self.reference_label, "image": self.image_label}
        return QTable({name: v[None] if isinstance(v, u.Quantity) else [v] for name, v in columns.items()})

    def _answer(self) -> str:
        if not self.determined:
            return "shift not determined"
        return f"d = {format_measurement(self.shift.value, self.shift_error.value, 'pixel')}"

    def _rows(self) -> list[tuple[str, str]]:
        """What follows the answer: pairs of name and text, only of what is known."""
        rows = []
        for name in ("spectral_shift", "velocity", "scale", "background"):
            value, error = getattr(self, name), getattr(self, f"{name}_error")
            if np.isfinite(value):
                text = format_measurement(value.value, error.to_value(value.unit), str(value.unit))
                rows.append((name.replace("_", " "), text))
        if np.isfinite(self.reduced_chi2):
            rows.append(("reduced chi2", f"{self.reduced_chi2:.3f} ({self.dof:.0f} degrees of freedom)"))
        if self.n_pixels:
            rows.append(("channels used", f"{self.n_pixels} ({100 * self.overlap:.0f} % overlap)"))
        return rows

    def __str__(self) -> str:
        lines = [f"{self._answer()} ({self.method}, {self.uncertainty} uncertainty)"]
        lines += [f"{name}: {text}" for name, text in self._rows()]
        return "\n".join(lines + [f"flag {sentence}" for sentence in describe(self.flags)])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self).splitlines()[0]}>"

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
            for name, text in self._rows()
        )
        flags = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in describe(self.flags))
        answer = html.escape(self._answer())
        return f"<div><p><strong>{answer}</strong></p><table>{cells}</table><ul>{flags}</ul></div>"
