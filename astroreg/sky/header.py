"""`correct_header` and `restore_header`: a correction in the cards of a FITS header, and back."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

import astropy.units as u
import numpy as np
from astropy.io import fits

from astroreg.checks import argument_named, require_kind
from astroreg.exceptions import AlreadyCorrectedError, CorrectionError
from astroreg.sky import archive as undo
from astroreg.sky.correction import SkyCorrection
from astroreg.sky.deformation import stretched_fits_wcs
from astroreg.sky.derived_keywords import refresh_derived
from astroreg.sky.dispatch import check_policy
from astroreg.sky.fits_wcs import detector_shift, require_stretch, rotation_for, sphere_matrix_for
from astroreg.sky.frames import celestial_frame, frame_text, lonlat, unit_vector
from astroreg.sky.grid_check import (
    GRID_TOLERANCE,
    field_radius,
    first_exact,
    rotation_residual,
    shift_residual,
)
from astroreg.sky.header_cards import add_card, has_lookup_tables, letter_of, read_wcs
from astroreg.sky.header_forms import POINTING_FORMS, HeaderWCS, plane_form, shifted

__all__ = ["correct_header", "now", "package_version", "refuse_twice", "restore_header", "systematic_degrees"]


def correct_header(
    header: fits.Header,
    correction: SkyCorrection,
    *,
    kind: str = "pointing",
    roll: str | u.Quantity = "zero",
    key: str = " ",
    archive: str | None = "auto",
    history: Sequence[str] = (),
    systematic: u.Quantity | None = None,
    fobj: fits.HDUList | None = None,
) -> fits.Header:
    """Return a copy of a header with its WCS corrected and the old one archived.

    Only the cards that the correction changes are edited, in the form and the units they have.
    The result is re-read and compared with the rotation on a grid of pixels.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
        The header; it is not changed.
    correction : SkyCorrection
        What to add to the nominal coordinates.
    kind : {"pointing", "detector"}, optional
        A rotation of the sky (default) or a shift of the pixels, see `correct_wcs`.
    roll : {"zero", "keep-pa"} or `~astropy.units.Quantity`, optional
        The angle about the pivot, see `SkyCorrection.with_roll`.
    key : str, optional
        Which WCS of the header: ``" "`` (default) the primary one, or a letter.
    archive : str or None, optional
        Letter for the old WCS: ``"auto"`` (default) takes the last free one but O and P; `None`
        makes no lettered copy. `restore_header` works in any case.
    history : sequence of str, optional
        Lines for HISTORY: how the correction was measured, with which reference.
    systematic : `~astropy.units.Quantity`, optional
        Systematic error of the reference's own coordinates, an angle or two (lon, lat), for
        CSYERi; default: none is written.
    fobj : `~astropy.io.fits.HDUList`, optional
        The file, where the header has lookup tables. They are not changed, and without the file
        they are only left out of the comparison.

    Returns
    -------
    `~astropy.io.fits.Header`

    Raises
    ------
    AlreadyCorrectedError
        If this very correction is recorded in the header.
    CorrectionError
        If no form of keywords reproduces the correction to 1e-6 pixel (0.01 pixel where it stretches the
        sky), or the header has no celestial WCS.

    Notes
    -----
    CRDERi and CSYERi are written as arcs on the sky (longitude times the cosine of latitude), in
    the unit of the axis.
    """
    if not isinstance(header, fits.Header):
        raise TypeError(f"`header` must be an astropy.io.fits.Header, got {type(header).__name__}")
    check_policy(correction, kind, roll)
    _check_texts(key, history)
    if fobj is not None:
        require_kind(fobj, fits.HDUList, "fobj", "give the HDUList of the file, or None")
    refuse_twice(header, correction, key)
    letter = undo.free_letter(header, key, archive)
    source = HeaderWCS(header, read_wcs(header, key, fobj), key)
    policy = correction.with_roll(roll)
    edited = _edited(source, policy, kind, fobj)
    refresh_derived(edited, policy, kind=kind, key=key)
    _set_name(edited, source)
    _set_errors(edited, source, correction, systematic)
    letter = _archive(edited, source, letter)
    undo.write_record(edited, header, correction.identity, key, letter)
    for line in [*_history(source, policy, roll, kind, letter), *history]:
        for part in textwrap.wrap(line, 70):
            edited.add_history(part)
    return edited


def restore_header(header: fits.Header) -> fits.Header:
    """Return a copy of a corrected header with its last correction undone.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
        A header made by `correct_header`; it is not changed.

    Returns
    -------
    `~astropy.io.fits.Header`
        With the WCS cards of the header before the correction, to the byte, and without the
        archive; HISTORY keeps its lines and gets one more.

    Raises
    ------
    CorrectionError
        If the header holds no correction, or its archive has been damaged.
    """
    if not isinstance(header, fits.Header):
        raise TypeError(f"`header` must be an astropy.io.fits.Header, got {type(header).__name__}")
    found = undo.records(header)
    if not found:
        raise CorrectionError("`header` holds no correction made by astroreg; there is nothing to undo")
    record = found[-1]
    restored = undo.revert(header, record)
    if record.letter and not _agree(header, record.letter, restored, record.key or " "):
        # Other software has rewritten the WCS since: take the archived one as a whole.
        restored = undo.rebuild(header, restored, record)
    restored.add_history(f"astroreg {package_version()}: correction {record.identity} undone {now()}")
    return restored


# -- parts of correct_header --------------------------------------------------------------------


def refuse_twice(header: fits.Header, correction: SkyCorrection, key: str) -> None:
    """Raise `AlreadyCorrectedError` where the header tells of the same correction of the same WCS."""
    for record in undo.records(header):
        if record.identity == correction.identity and record.key == letter_of(key):
            raise AlreadyCorrectedError(
                f"`header` has had correction {record.identity} applied before (ASTREG{record.number:02d}); "
                "undo it with restore_header before applying it again"
            )


def _edited(source, correction, kind, fobj):
    """The header with the correction in its WCS cards, checked by reading it again."""
    if kind == "detector":
        return _shifted(source, correction, fobj)
    if correction.stretch is not None:
        return _stretched(source, correction, fobj)
    return _rotated(source, rotation_for(source.wcs, correction, "zero"), fobj)


def _stretched(source, correction, fobj):
    """The header with the stretch in its linear matrix, then rotated."""
    sphere = sphere_matrix_for(source.wcs, correction, "zero")
    plane, rotation = stretched_fits_wcs(source.wcs, sphere)
    header = plane_form(source, plane)
    wider = HeaderWCS(header, read_wcs(header, source.key, fobj), source.key)
    edited = _rotated(wider, rotation, fobj)
    require_stretch(_residual(edited, source, fobj, lambda wcs: rotation_residual(source.wcs, wcs, sphere)))
    return edited


def _rotated(source, rotation, fobj):
    forms = (form(source, rotation) for form in POINTING_FORMS)
    residual, edited = first_exact(
        (_residual(form, source, fobj, lambda wcs: rotation_residual(source.wcs, wcs, rotation)), form)
        for form in forms
        if form is not None
    )
    if not residual < GRID_TOLERANCE:
        raise CorrectionError(
            f"no form of keywords expresses the correction: {residual:.2g} pixel off, re-read, at best"
        )
    return edited


def _shifted(source, correction, fobj):
    if has_lookup_tables(source.header):
        raise CorrectionError(
            "kind='detector' would have to move lookup tables that stand in other HDUs; correct the WCS "
            "object with correct_wcs, or use kind='pointing'"
        )
    shift = detector_shift(source.wcs, correction)
    edited = shifted(source, shift)
    residual = _residual(edited, source, fobj, lambda wcs: shift_residual(source.wcs, wcs, shift))
    if not residual < GRID_TOLERANCE:
        raise CorrectionError(f"the shifted WCS, re-read, differs by {residual:.2g} pixel")
    return edited


def _residual(edited, source, fobj, compare):
    try:
        return compare(read_wcs(edited, source.key, fobj))
    except CorrectionError:
        return np.inf


def _set_name(header, source):
    name = source.name("WCSNAME")
    taken = {str(header[other]).strip() for other in header if other.startswith("WCSNAME")}
    number = next(n for n in range(1, 1000) if f"ASTROREG-{n}" not in taken)
    _set(header, name, f"ASTROREG-{number}", "corrected by astroreg")


def _set_errors(header, source, correction, systematic):
    """CRDER, and CSYER where given, in the unit of each axis."""
    if correction.covariance is not None:
        local = correction.transform_to(celestial_frame(source.wcs))
        _set_axis_values(header, source, "CRDER", local.error, "random error, arc on the sky")
    if systematic is not None:
        values = systematic_degrees(systematic) * u.deg
        _set_axis_values(header, source, "CSYER", values, "systematic error, arc on the sky")


def systematic_degrees(systematic: u.Quantity) -> np.ndarray:
    """Return a systematic error, one angle or two (lon, lat), as two numbers in degree."""
    with argument_named("systematic", "give an angle or two (lon, lat), such as 0.1 * u.arcsec"):
        values = np.array(np.broadcast_to(u.Quantity(systematic).to_value(u.deg), 2))
        if not (np.isfinite(values) & (values >= 0)).all():
            raise ValueError(f"{systematic} is not finite and >= 0")
        return values


def _check_texts(key, history):
    """Refuse a letter that is none, and lines of HISTORY that cannot stand in a header."""
    if not isinstance(key, str) or not re.fullmatch("[A-Z ]", key):
        raise ValueError(f"`key` must be ' ' or one letter from A to Z, got {key!r}")
    if isinstance(history, str) or not isinstance(history, Sequence):
        raise TypeError(f"`history` must be a sequence of str, got {history!r}")
    for line in history:
        require_kind(line, str, "history", "give lines of text")


def _set_axis_values(header, source, stem, values, comment):
    for axis, value, unit in zip(source.axes, values.to_value(u.deg), source.units, strict=True):
        if np.isfinite(value):
            _set(header, source.name(f"{stem}{axis}"), float(value / unit), comment)


def _set(header, name, value, comment):
    if name in header:
        header[name] = (value, comment)
    else:
        add_card(header, fits.Card(name, value, comment))


def _archive(header, source, letter):
    """Archive under the letter; the letter, or nothing where the copy would not be the same WCS."""
    if not letter:
        return ""
    trial = header.copy()
    undo.archive_wcs(trial, source.header, source.wcs, source.key, letter)
    if not _agree(trial, letter, source.header, source.key):
        return ""
    undo.archive_wcs(header, source.header, source.wcs, source.key, letter)
    return letter


def _agree(first_header, first_key, second_header, second_key):
    """Whether two WCS are the same to the tolerance, lookup tables left out."""
    try:
        first, second = read_wcs(first_header, first_key), read_wcs(second_header, second_key)
    except CorrectionError:
        return False
    return rotation_residual(second, first, np.eye(3)) < GRID_TOLERANCE


def _history(source, correction, roll, kind, letter):
    lon0, lat0 = np.degrees(lonlat(correction.pivot))
    lon, lat = correction.lon.to_value(u.arcsec), correction.lat.to_value(u.arcsec)
    errors = correction.error.to_value(u.arcsec)
    made = f"corrected {now()}, correction {correction.identity}"
    yield f"astroreg {package_version()}: WCS '{source.key}' {made}"
    yield (
        f"added to nominal at {lon0:.7f} {lat0:.7f} deg ({frame_text(correction.frame)}): "
        f"lon {lon:+.5f} lat {lat:+.5f} arcsec on the sky, 1 sigma {errors[0]:.5f} {errors[1]:.5f}"
    )
    yield (
        f"kind {kind}" if kind == "detector" else f"kind {kind}, roll {_roll_text(source, correction, roll)}"
    )
    if abs(correction.roll.value) > 1e-9:
        yield f"turned by {correction.roll.value:+.7f} deg (North through East) about the pivot"
    if correction.stretch is not None:
        (a, b), (_, d) = correction.stretch
        yield f"stretched about it, before, by lon {a:.8f} lat {d:.8f} across {b:+.8f}"
    yield (
        f"nominal WCS archived under letter {letter}" if letter else "nominal WCS kept in the ARnnUmmm cards"
    )


def _roll_text(source, correction, roll):
    local = correction.transform_to(celestial_frame(source.wcs))
    ambiguity = correction.roll_ambiguity(field_radius(source.wcs, unit_vector(local.pivot)) * u.rad)
    return f"{roll}; zero and keep-pa differ by {ambiguity.value:.3g} arcsec in the corner"


def now() -> str:
    """The date and time, UTC, as it stands in HISTORY."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S UTC")


def package_version() -> str:
    """The version of astroreg, as it stands in HISTORY."""
    try:
        return version("astroreg")
    except PackageNotFoundError:
        return "(not installed)"
