"""``astroreg demo``: the main job on a simulated sky, with an error that is known."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from astropy import units as u

from astroreg.align import Alignment, align
from astroreg.cli import options as opt
from astroreg.cli.demo_figure import draw
from astroreg.cli.demo_scene import Comparison, Scene, compare, simulate, write_image
from astroreg.cli.records import document, result_record
from astroreg.cli.status import Status
from astroreg.cli.targets import check_targets
from astroreg.cli.terminal import Terminal, one_line
from astroreg.cli.written import write_corrected
from astroreg.files import open_image
from astroreg.results import format_measurement

__all__ = ["add_parser", "run"]

_FOLDER = "astroreg_demo"
_FILES = ("demo_reference.fits", "demo_image.fits", "demo_corrected.fits", "demo.png")
_WRONG = 5.0  # sigmas

_EPILOG = f"""\
examples:
  astroreg demo
  astroreg demo --out-dir try --seed 7

An extended sky is seen by two cameras with other grids, celestial frames,
pixel sizes, beams, units, noise and bad pixels. One of them is told that it
points elsewhere, by 6 to 12 arcsec; this error is measured and corrected, and
compared with the truth. Needs no file and no network.

Written are {", ".join(_FILES[:2])},
{_FILES[2]} and, with matplotlib, {_FILES[3]}, into the folder
{_FOLDER}; what an earlier demo left there is replaced.

exit status: 0 recovered within {_WRONG:.0f} sigmas, 1 failed, 2 usage, 3 flagged or not.

JSON:
  {{"program", "version", "command", "exit_status", "seed",
   "injected", "recovered", "error", "quoted_error": [lon, lat] in arcsec,
   "sigmas", "largest_before", "largest_after" in arcsec,
   "result": the numbers of "astroreg align", "files"}}
"""


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the subcommand to the program's parser.

    Parameters
    ----------
    commands : argparse action
        What ``add_subparsers`` returned.

    Returns
    -------
    ArgumentParser
        Of the subcommand; what all have is added by the program.
    """
    parser = opt.new_command(
        commands,
        "demo",
        summary="simulate two cameras, inject a pointing error, measure and correct it",
        description="Simulate two images of an extended sky, inject a known pointing error into\n"
        "one of them, and measure and correct it.",
        epilog=_EPILOG,
    )
    parser.add_argument("--out-dir", metavar="DIR", help=f"folder to write to (default: {_FOLDER})")
    parser.add_argument(
        "--seed", type=opt.positive_integer, default=1, help="of sky, pointing error and noise (default: 1)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist in DIR")
    opt.add_json(parser)
    return parser


def run(options: argparse.Namespace, terminal: Terminal) -> Status:
    """Run the subcommand.

    Parameters
    ----------
    options : Namespace
        What the parser read.
    terminal : Terminal
        Where to print.

    Returns
    -------
    Status
        Trusted if the injected error was recovered.
    """
    folder = Path(options.out_dir or _FOLDER)
    overwrite = options.overwrite or options.out_dir is None
    reference, image, corrected, picture = paths = [folder / name for name in _FILES]
    check_targets(paths, reference=None, overwrite=overwrite)
    terminal.progress("simulating the sky and the two cameras")
    scene = simulate(options.seed)
    folder.mkdir(parents=True, exist_ok=True)
    write_image(scene.reference, reference, overwrite=overwrite)
    write_image(scene.image, image, overwrite=overwrite)
    terminal.progress("aligning")
    found = align(reference, image, match_beams=True)
    if not found.ok:
        terminal.error("the demo's own images were not aligned")
        terminal.result(str(found))
        return Status.FLAGGED
    write_corrected(str(image), found, corrected, overwrite=overwrite)
    compared = compare(found, open_image(corrected).wcs, scene)
    drawn = _drawn(scene, found, compared, picture, overwrite, terminal)
    status = Status.TRUSTED if compared.sigmas < _WRONG else Status.FLAGGED
    files = [reference, image, corrected, *([picture] if drawn else [])]
    if options.json:
        terminal.result(document("demo", status, _record(options.seed, compared, found, files)))
    else:
        terminal.result(_text(scene, compared, found, files))
    return status


def _title(compared: Comparison) -> str:
    before, after = compared.before.value, compared.after.value
    return f"astroreg demo: coordinates wrong by up to {before:.2f} arcsec before, {after:.3f} arcsec after"


def _drawn(
    scene: Scene, found: Alignment, compared: Comparison, path: Path, overwrite: bool, terminal: Terminal
) -> bool:
    """Draw, if there is matplotlib; tell whether there was."""
    terminal.progress("drawing")
    try:
        draw(scene.image, found, path, title=_title(compared), overwrite=overwrite)
    except ImportError:
        terminal.note("no picture: it needs matplotlib; install it with: pip install 'astroreg[plot]'")
        return False
    return True


def _text(scene: Scene, compared: Comparison, found: Alignment, files: list[Path]) -> str:
    frame = found.sky_correction.pivot.frame.name
    quoted, error = compared.quoted.value, compared.error.value
    pairs = zip(("lon", "lat"), compared.recovered.value, quoted, strict=True)
    recovered = ", ".join(f"{axis} {format_measurement(value, sigma)}" for axis, value, sigma in pairs)
    off = zip(("lon", "lat"), error, error / quoted, strict=True)
    errors = ", ".join(f"{axis} {value:+.4f} ({sigmas:+.1f} sigma)" for axis, value, sigmas in off)
    lon, lat = compared.injected.value
    lines = [
        "One simulated sky, two cameras:",
        *(f"  {words}" for words in scene.words),
        f"Pointing error of the image, to be added to its coordinates (arcsec, {frame}):",
        f"  injected:  lon {lon:.4f}, lat {lat:.4f}",
        f"  recovered: {recovered}",
        f"  error:     {errors}; {compared.sigmas:.1f} sigma in all",
        f"Largest error of the coordinates over the frame: {compared.before.value:.2f} arcsec before, "
        f"{compared.after.value:.4f} arcsec after",
        "Written:",
        *(f"  {one_line(file)}" for file in files),
    ]
    return "\n".join(lines)


def _record(seed: int, compared: Comparison, found: Alignment, files: list[Path]) -> dict[str, Any]:
    return {
        "seed": seed,
        "injected": compared.injected.to_value(u.arcsec),
        "recovered": compared.recovered.to_value(u.arcsec),
        "error": compared.error.to_value(u.arcsec),
        "quoted_error": compared.quoted.to_value(u.arcsec),
        "sigmas": compared.sigmas,
        "largest_before": compared.before.to_value(u.arcsec),
        "largest_after": compared.after.to_value(u.arcsec),
        "result": result_record(found),
        "files": files,
    }
