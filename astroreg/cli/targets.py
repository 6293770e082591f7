"""Which file goes where, and what must not be overwritten: found out before anything is computed."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["check_targets", "output_paths", "report_paths", "table_target"]


def output_paths(
    images: Sequence[str], *, output: str | None, out_dir: str | None, suffix: str
) -> list[Path | None]:
    """Return the file to write for each image.

    Parameters
    ----------
    images : sequence of str
        The files to be corrected.
    output : str or None
        The name for the only one.
    out_dir : str or None
        The folder for all; they keep their names.
    suffix : str
        What to put behind the name, before ``.fits``, in `out_dir`.

    Returns
    -------
    list of Path or None
        None where nothing is to be written.

    Raises
    ------
    ValueError
        If two images would get one name.
    """
    if output is not None:
        return [Path(output)]
    if out_dir is None:
        return [None] * len(images)
    paths = [Path(out_dir) / _with_suffix(Path(image).name, suffix) for image in images]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise ValueError(f"two images would be written to {twice}; correct them into different folders")
    return paths


def report_paths(images: Sequence[str], report: str | None) -> list[Path | None]:
    """Return the page to write for each image: the one that was named, or one of each name in a folder.

    Parameters
    ----------
    images : sequence of str
        The files to be corrected.
    report : str or None
        The page for the only one; the folder for several.

    Returns
    -------
    list of Path or None
        None where no page is wanted.

    Raises
    ------
    ValueError
        If two images would get one name.
    """
    if report is None:
        return [None] * len(images)
    if len(images) == 1:
        return [Path(report)]
    paths = [Path(report) / f"{Path(image).name.partition('.fit')[0]}.html" for image in images]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise ValueError(f"two images would be reported in {twice}; run the command once for each")
    return paths


def table_target(options: Namespace) -> Path | None:
    """Return the file of ``--table``, after it was found that it can be written.

    Parameters
    ----------
    options : Namespace
        With table, reference and overwrite.

    Returns
    -------
    Path or None
        None where no table is wanted.

    Raises
    ------
    FileExistsError, ValueError
        As `check_targets`.
    """
    path = None if options.table is None else Path(options.table)
    check_targets([path], reference=options.reference, overwrite=options.overwrite)
    return path


def _with_suffix(name: str, suffix: str) -> str:
    stem, dot, rest = name.partition(".fit")
    return f"{stem}{suffix}{dot}{rest}" if dot else f"{Path(name).stem}{suffix}{Path(name).suffix}"


def check_targets(targets: Iterable[Path | None], *, reference: str | None, overwrite: bool) -> None:
    """Refuse targets that exist, so that nobody waits for a result that cannot be written.

    Parameters
    ----------
    targets : iterable of Path or None
        The files to write.
    reference : str or None
        A file that is never to be overwritten.
    overwrite : bool
        Whether files may be replaced.

    Raises
    ------
    FileExistsError
        If a target exists and may not be replaced.
    ValueError
        If a target is the reference, or a folder, or two targets are one file.
    """
    wanted = [target for target in targets if target is not None]
    real = [os.path.realpath(target) for target in wanted]
    twice = next((target for target, path in zip(wanted, real, strict=True) if real.count(path) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice} is to be written twice; give each output a name of its own")
    for target in wanted:
        if target.is_dir():
            raise ValueError(f"{target} is a folder; give the name of a file in it, or --out-dir {target}")
        if reference is not None and os.path.exists(target) and os.path.samefile(target, reference):
            raise ValueError(f"{target} is the reference; it is not overwritten")
        if target.exists() and not overwrite:
            raise FileExistsError(f"{target} exists; give another name, or --overwrite to replace it")
