"""Correcting the WCS of every HDU of an exposure in its file, and taking it back."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import astropy.units as u
from astropy.io import fits

from astroreg.checks import parse_flag, parse_path, parse_sequence, require_kind
from astroreg.exceptions import AstroregWarning, CorrectionError
from astroreg.files.atomic import replacing
from astroreg.files.cards import BLOCK, edited_block, edited_keywords, with_checksum
from astroreg.files.companions import COMPANION_NAMES
from astroreg.files.reading import HDUSelector, opened, select_hdu
from astroreg.files.streams import copy_bytes, data_sum, file_sink, raw_source, read_exactly
from astroreg.sky import SkyCorrection
from astroreg.sky.archive import records
from astroreg.sky.dispatch import check_policy
from astroreg.sky.header import correct_header, restore_header
from astroreg.sky.roll import check_roll

__all__ = ["apply_correction", "correct_file", "restore_file"]


def correct_file(
    path: str | os.PathLike,
    correction: SkyCorrection,
    output: str | os.PathLike,
    *,
    ext: HDUSelector | Sequence[HDUSelector] | None = None,
    overwrite: bool = False,
    kind: str = "pointing",
    roll: str | u.Quantity = "zero",
    history: Sequence[str] = (),
    systematic: u.Quantity | None = None,
) -> Path:
    """Write a copy of a FITS file with the WCS of all HDUs of the exposure corrected.

    Every image HDU whose header has a celestial WCS is corrected with one and the same rotation:
    all detectors, and the planes of error and quality beside the science data. Pixels, tables and
    all other HDUs are copied byte for byte, compressed images as they are.

    Parameters
    ----------
    path : str or path-like
        The FITS file; it is not changed, unless it is the output too.
    correction : SkyCorrection
        What to add to the nominal coordinates.
    output : str or path-like
        The file to write, compressed if its name ends so (``.gz``). It appears complete or not
        at all.
    ext : int, str, tuple or sequence of them, optional
        Correct only these HDUs and the planes of error and quality that go with them; as ``hdu``
        of `open_image`. By default all.
    overwrite : bool, optional
        Whether an existing output may be replaced, also ``path`` itself; default False.
    kind : {"pointing", "detector"}, optional
        As in `astroreg.sky.correct_wcs`; default ``"pointing"``.
    roll : {"zero", "keep-pa"} or `~astropy.units.Quantity`, optional
        As in `astroreg.sky.correct_wcs`; default ``"zero"``.
    history : sequence of str, optional
        Lines for HISTORY of each corrected header.
    systematic : `~astropy.units.Quantity`, optional
        Systematic error of the coordinates of the reference, an angle or two (lon, lat), for
        CSYERi; by default none is written.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    AlreadyCorrectedError
        If the file has had this very correction before.
    CorrectionError
        If it has no celestial WCS, or one that cannot be corrected exactly; nothing is written.
    FileExistsError
        If the output exists and may not be overwritten.
    OSError, ValueError
        If a file cannot be read or written, or is not a FITS file.
    """
    check_policy(correction, kind, roll)
    check_roll(roll)

    def edit(hdus: fits.HDUList) -> dict[int, fits.Header]:
        chosen = _exposure(hdus, ext, os.fspath(path))
        with _warnings_told_once():
            _warn_of_other_wcs(hdus, os.fspath(path))
            return {
                index: correct_header(
                    hdus[index].header,
                    correction,
                    kind=kind,
                    roll=roll,
                    history=history,
                    systematic=systematic,
                    fobj=hdus,
                )
                for index in chosen
            }

    return _rewrite(path, output, overwrite, edit)


def restore_file(path: str | os.PathLike, output: str | os.PathLike, *, overwrite: bool = False) -> Path:
    """Write a copy of a corrected FITS file with its last correction undone.

    Parameters
    ----------
    path : str or path-like
        A file written by `correct_file`.
    output : str or path-like
        The file to write.
    overwrite : bool, optional
        Whether an existing output may be replaced, also ``path`` itself; default False.

    Returns
    -------
    Path
        The file written: all WCS cards as before the correction, to the byte.

    Raises
    ------
    CorrectionError
        If no HDU of the file holds a correction.
    """

    def edit(hdus: fits.HDUList) -> dict[int, fits.Header]:
        headers = {index: hdu.header for index, hdu in enumerate(hdus) if _is_image(hdu)}
        corrected = {index: header for index, header in headers.items() if records(header)}
        if not corrected:
            raise CorrectionError(
                f"{os.fspath(path)} holds no correction made by astroreg; there is nothing to undo"
            )
        last = _last_identity(corrected.values())
        return {
            index: restore_header(header)
            for index, header in corrected.items()
            if records(header)[-1].identity == last
        }

    return _rewrite(path, output, overwrite, edit)


def apply_correction(
    correction: SkyCorrection,
    paths: Iterable[str | os.PathLike],
    *,
    out_dir: str | os.PathLike | None = None,
    suffix: str = "_corrected",
    overwrite: bool = False,
    roll: str | u.Quantity = "zero",
    history: Sequence[str] = (),
    systematic: u.Quantity | None = None,
) -> list[Path]:
    """Put one correction on several files: the other exposures or bands of the same visit.

    Parameters
    ----------
    correction : SkyCorrection
        What to add to the nominal coordinates of every file, whatever its grid.
    paths : iterable of str or path-like
        The FITS files.
    out_dir : str or path-like, optional
        The folder to write to, which is made if it is not there; by default that of each file.
    suffix : str, optional
        What to add to the name, before ``.fits``; default ``"_corrected"``.
    overwrite : bool, optional
        Whether existing files may be replaced; default False.
    roll : {"zero", "keep-pa"} or `~astropy.units.Quantity`, optional
        As in `astroreg.sky.correct_wcs`; default ``"zero"``.
    history : sequence of str, optional
        Lines for HISTORY of each corrected header.
    systematic : `~astropy.units.Quantity`, optional
        Systematic error of the coordinates of the reference, for CSYERi; by default none is written.

    Returns
    -------
    list of Path
        The files written, in the order given.

    Raises
    ------
    ValueError
        If two files would be written under one name; nothing is written then.
    NotADirectoryError
        If `out_dir` is a file.

    Notes
    -----
    If one file fails, those before it stay written and are listed with the error.
    """
    require_kind(correction, SkyCorrection, "correction", "give a SkyCorrection")
    require_kind(suffix, str, "suffix", "give what is added to the names")
    if out_dir is not None:
        parse_path(out_dir, "out_dir")
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    paths = [parse_path(path, "paths") for path in parse_sequence(paths, "paths", mend="give paths")]
    pairs = [(path, _with_suffix(Path(path), out_dir, suffix)) for path in paths]
    targets = [target.resolve() for _, target in pairs]
    twice = next((target for target in targets if targets.count(target) > 1), None)
    if twice is not None:
        raise ValueError(
            f"`paths`: two files would be written to {twice}; give another `out_dir` for one of them"
        )
    if out_dir is not None:
        _make_folder(out_dir)
    written: list[Path] = []
    options = {"overwrite": overwrite, "roll": roll, "history": history, "systematic": systematic}
    for path, target in pairs:
        try:
            written.append(correct_file(path, correction, target, **options))
        except (OSError, ValueError) as error:
            error.add_note(f"written before: {', '.join(map(str, written)) or 'nothing'}")
            raise
    return written


def _make_folder(out_dir: str | os.PathLike) -> None:
    try:
        Path(out_dir).mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(f"`out_dir`: {os.fspath(out_dir)} is a file; give a folder") from error


def _with_suffix(path: Path, out_dir: str | os.PathLike | None, suffix: str) -> Path:
    name = path.name
    stem, dot, rest = name.partition(".fit")
    if not dot:
        stem, dot, rest = path.stem, "", path.suffix
    return Path(path.parent if out_dir is None else out_dir) / f"{stem}{suffix}{dot}{rest}"


# -- which HDUs ----------------------------------------------------------------------------------


def _exposure(hdus: fits.HDUList, ext: HDUSelector | Sequence[HDUSelector] | None, label: str) -> list[int]:
    """Numbers of the HDUs to correct."""
    celestial = [index for index, hdu in enumerate(hdus) if _is_image(hdu) and _is_celestial(hdu.header)]
    if not celestial:
        raise CorrectionError(
            f"{label} has no image with a celestial WCS in its header; there is nothing to correct"
        )
    if ext is None:
        return celestial
    if not isinstance(ext, (int, str, Sequence)):
        raise TypeError(f"`ext` must be an HDU or a sequence of them, got a {type(ext).__name__}")
    is_one = isinstance(ext, (int, str)) or (
        len(ext) == 2 and isinstance(ext[0], str) and isinstance(ext[1], int)
    )
    wanted = [select_hdu(hdus, one, label, argument="ext") for one in ([ext] if is_one else ext)]
    without = [str(index) for index in wanted if index not in celestial]
    if without:
        raise CorrectionError(
            f"`ext`: HDU {', '.join(without)} of {label} has no celestial WCS; leave it out"
        )
    versions = {hdus[index].ver for index in wanted}
    return [
        index
        for index in celestial
        if index in wanted or (hdus[index].name in COMPANION_NAMES and hdus[index].ver in versions)
    ]


def _is_image(hdu: fits.PrimaryHDU) -> bool:
    return bool(getattr(hdu, "is_image", False))


def _is_celestial(header: fits.Header) -> bool:
    """Whether the CTYPEs name a longitude and a latitude."""
    kinds = {str(header.get(f"CTYPE{axis}", ""))[:4].strip("-").upper() for axis in range(1, 10)}
    lon = any(kind == "RA" or kind.endswith(("LON", "LN")) for kind in kinds)
    lat = any(kind == "DEC" or kind.endswith(("LAT", "LT")) for kind in kinds)
    return lon and lat


def _warn_of_other_wcs(hdus: fits.HDUList, label: str) -> None:
    if any(hdu.name == "ASDF" for hdu in hdus):
        warnings.warn(
            f"{label} also holds a generalized WCS, in its HDU ASDF, which stays as it is: "
            "correct the WCS of the data model with correct_wcs, too",
            AstroregWarning,
            stacklevel=5,
        )


@contextlib.contextmanager
def _warnings_told_once() -> Iterator[None]:
    """Tell once what is true of several HDUs; remarks of astropy on odd cards are not told."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    ours = (str(one.message) for one in caught if issubclass(one.category, AstroregWarning))
    for message in dict.fromkeys(ours):
        warnings.warn(message, AstroregWarning, stacklevel=7)


def _last_identity(headers: Iterable[fits.Header]) -> str:
    """The correction that came last: the one that most corrections came before."""
    return max((records(header)[-1] for header in headers), key=lambda record: record.number).identity


# -- the bytes -----------------------------------------------------------------------------------


def _rewrite(
    path: str | os.PathLike,
    output: str | os.PathLike,
    overwrite: bool,
    edit: Callable[[fits.HDUList], dict[int, fits.Header]],
) -> Path:
    """Copy a file with some of its headers edited; nothing appears where anything fails."""
    name = parse_path(path, "path")
    output = parse_path(output, "output")
    overwrite = parse_flag(overwrite, "overwrite")
    # the lock is taken before reading: two processes that correct one file in place do it in turn
    with replacing(output, overwrite=overwrite) as temporary, opened(path) as hdus:
        edited = edit(hdus)
        old = {index: hdus[index].header for index in edited}
        places = [(info["hdrLoc"], info["datLoc"], info["datSpan"]) for info in _layout(hdus, name)]
        with raw_source(name) as source, file_sink(temporary, output) as sink:
            _copy(source, sink, places, old, edited, name)
        _check_copy(temporary, old, edited)
    return Path(output)


def _check_copy(temporary: Path, old: dict[int, fits.Header], edited: dict[int, fits.Header]) -> None:
    """Read the edited cards again before the file gets its name."""
    with opened(temporary) as hdus:
        for index, header in edited.items():
            written = hdus[index].header
            wrong = [key for key in edited_keywords(old[index], header) if not _agree(header, written, key)]
            if wrong:
                raise CorrectionError(
                    f"the cards {', '.join(wrong)} cannot be written to HDU {index}; it was left alone"
                )


def _agree(first: fits.Header, second: fits.Header, keyword: str) -> bool:
    if keyword not in first or keyword not in second:
        return keyword not in first and keyword not in second
    # as text: the value of a card in memory may have more digits than fit into it
    return first.cards[keyword].image.rstrip() == second.cards[keyword].image.rstrip()


def _layout(hdus: fits.HDUList, name: str) -> list[dict[str, int]]:
    layout = [hdu.fileinfo() for hdu in hdus]
    if any(info is None or info["datLoc"] is None for info in layout):
        raise ValueError(
            f"{name} cannot be copied: the place of its HDUs is not known; write it anew as FITS"
        )
    return layout


def _copy(
    source: BinaryIO,
    sink: BinaryIO,
    places: list[tuple[int, int, int]],
    old: dict[int, fits.Header],
    edited: dict[int, fits.Header],
    name: str,
) -> None:
    position = 0
    for index, (header_at, data_at, span) in enumerate(places):
        if index not in edited:
            continue
        copy_bytes(source, sink, header_at - position, name)
        block = edited_block(read_exactly(source, data_at - header_at, name), old[index], edited[index])
        if b"CHECKSUM= " in block:
            block = with_checksum(block, data_sum(source, data_at, span))
        sink.write(block)
        position = data_at
    rest = copy_bytes(source, sink, None, name)
    # the last block may lack its padding, but no data
    _, data_at, span = places[-1]
    if position + rest <= data_at + span - BLOCK:
        raise ValueError(f"{name} is cut short; get a complete copy")
