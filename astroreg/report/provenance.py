"""How the answer can be undone and had again: commands, versions, checksums."""

from __future__ import annotations

import hashlib
import platform
import shlex
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from astroreg.align import Alignment
from astroreg.report.markup import Markup, section, table, tag
from astroreg.results import ShiftResult

__all__ = ["reproduce_section", "undo_section"]

_PACKAGES = ("astroreg", "numpy", "scipy", "astropy", "reproject", "photutils", "gwcs", "matplotlib")
_METHODS = ("chi2_shift", "register_images", "cross_correlation_shift")


def undo_section(result: ShiftResult, *, written: str) -> Markup:
    """Return how to take the correction back.

    Parameters
    ----------
    result : ShiftResult
        The result.
    written : str
        The corrected file; empty where none was written.

    Returns
    -------
    Markup
        A section.
    """
    if written:
        name = f"./{written}" if written.startswith("-") else written
        command = shlex.join(["astroreg", "undo", name, "-o", "restored.fits"])
        python = f"from astroreg import restore_file\nrestore_file({written!r}, 'restored.fits')"
        content = [
            tag(
                "p",
                "The old coordinates are kept in the header and come back to the byte. On the command line:",
            ),
            tag("pre", command),
            tag("p", "or in Python:"),
            tag("pre", python),
        ]
    elif result.sky_correction is not None and result.ok:
        python = (
            "# of a corrected header\nastroreg.restore_header(header)\n"
            "# of a corrected WCS\nastroreg.correct_wcs(wcs, result.sky_correction.inverse())"
        )
        words = "The images that were given have not been changed. If a copy was corrected with this result:"
        content = [tag("p", words), tag("pre", python)]
    else:
        content = [tag("p", "Nothing was changed, so there is nothing to undo.")]
    return section("How to undo it", *content, name="undo")


def reproduce_section(result: ShiftResult, *, call: str, files: tuple[str, str]) -> Markup:
    """Return how to have the same answer again.

    Parameters
    ----------
    result : ShiftResult
        The result.
    call : str
        The command or call that made it; empty where it is not known.
    files : tuple of str
        Names of the reference and the image.

    Returns
    -------
    Markup
        A section.
    """
    words = (
        "" if call else "The call, as far as the result knows it (other options than these are not recorded):"
    )
    content = [tag("p", words)] if words else []
    content.append(tag("pre", call or _guessed_call(result, files)))
    sums = [(name, tag("code", digest)) for name in files if (digest := _sha256(name))]
    content.append(table(sums, heads=("file", "SHA-256 when this page was written")))
    content.append(table(_versions(), caption="Made with"))
    return section("How to reproduce it", *content, name="reproduce")


def _guessed_call(result: ShiftResult, files: tuple[str, str]) -> str:
    names = [repr(file) if file else word for file, word in zip(files, ("reference", "image"), strict=True)]
    if not isinstance(result, Alignment):
        noise = [f"uncertainty={result.uncertainty!r}"] if result.uncertainty else []
        name = result.method or "chi2_shift"
        return f"import astroreg\nresult = astroreg.{name}({', '.join([*names, *noise])})"
    options = [f"method=astroreg.{result.method}"] if result.method in _METHODS else []
    options += [f"kind={result.kind!r}", f"roll={_roll(result.roll)}"]
    return f"import astroreg\nresult = astroreg.align({', '.join([*names, *options])})"


def _roll(roll: object) -> str:
    return repr(roll) if isinstance(roll, str) else f"u.Quantity({str(roll)!r})"


def _sha256(name: str) -> str:
    """The checksum of a file, empty where there is none of this name."""
    if not name or not Path(name).is_file():
        return ""
    try:
        with open(name, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _versions() -> list[tuple[str, str]]:
    rows = [("Python", f"{platform.python_version()}, {platform.system()} {platform.machine()}")]
    rows += [(name, found) for name in _PACKAGES if (found := _version(name))]
    return [*rows, ("page written", datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"))]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
