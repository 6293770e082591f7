"""``astroreg align``: measure the offset of images from a reference and write them corrected."""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astroreg.align import Alignment, align
from astroreg.cli import options as opt
from astroreg.cli.geometry import (
    add_geometry,
    check_geometry,
    geometry_options,
    geometry_record,
    tell_distortion,
)
from astroreg.cli.records import document, result_record, sources_record
from astroreg.cli.status import Status
from astroreg.cli.targets import check_targets, output_paths, report_paths
from astroreg.cli.terminal import Terminal, one_line
from astroreg.cli.written import results_table, write_corrected, write_head
from astroreg.exceptions import AstroregWarning
from astroreg.files import write_table_atomic
from astroreg.flags import ShiftFlag, describe
from astroreg.inputs import Frame, as_frame

__all__ = ["add_parser", "run"]

_EPILOG = """\
examples:
  astroreg align reference.fits image.fits -o corrected.fits
  astroreg align herschel.fits alma.fits -o out.fits --match-beams
  astroreg align reference.fits night1.fits night2.fits --out-dir corrected
  astroreg align reference.fits image.fits --max-shift 5arcsec --dry-run --json
  astroreg align sky.fits exposure.fits --image-hdu SCI,1 -o out.fits
  astroreg align reference.fits image.fits -o out.fits --report page.html
  astroreg align reference.fits night*.fits --out-dir out --report pages
  astroreg align reference.fits image.fits -o out.fits --geometry auto

All HDUs of the exposure are corrected with one rotation; everything else is
copied byte for byte. The old WCS is kept in the header ("astroreg undo"
restores it) and HISTORY says what was measured, and how. An answer that is
flagged is not written, unless --force says so. A negative angle is given
with an equals sign: --roll=-0.1deg.

exit status: 0 trusted, 1 failed, 2 usage, 3 flagged.

JSON:
  {"program", "version", "command", "exit_status", "reference",
   "results": [one an image]}
  Each: "image"; "output", the file written, or null; "error", why there is
  no result, or null; and where there is one
    "trusted", "method", "uncertainty", "iterations", "kind", "roll",
    "pivot_pixel": [x, y],
    "geometry": null, or with --geometry {name, tiles, tiles_used, distorted,
      flags, rotation: {value, error, unit: deg}, scale_of_lengths: {value,
      error}, matrix, matrix_error: of the image over the reference, models:
      {name: {chi2, dof, bic}}},
    "shift": of the image relative to the reference, {x, y, x_error, y_error,
      xy_covariance, unit: pixel},
    "sky_correction": what to add to the coordinates, {lon, lat, lon_error,
      lat_error, lonlat_covariance, unit: arcsec, frame, pivot: {lon, lat,
      unit: deg}, rotation_vector: {xyz, unit: rad}}, or null,
    "scale", "background": {value, error, unit},
    "chi2", "dof", "reduced_chi2", "correlation", "overlap", "n_pixels",
    "false_alarm_probability", "flags": {value, names, sentences},
    "sources": what --check-sources found, {found_in_reference,
      found_in_image, matched, shift: as above, difference: {x, y, x_error,
      y_error, unit: pixel}, sigmas, agrees}, or null.
  Unknown numbers are null. Where nothing could be begun (no reference, a file
  in the way) nothing is printed on stdout, and the exit status is 1.
"""


_FLAG_WARNING = "(the WCS was not corrected: )?[A-Z][A-Z0-9_]+: "


@dataclass(frozen=True)
class _Task:
    """One image, and what is to be written of it."""

    image: str
    target: Path | None
    report: Path | None


@dataclass(frozen=True)
class _Outcome:
    """What became of one image."""

    image: str
    status: Status
    found: Alignment | None = None
    output: Path | None = None
    error: str | None = None
    sources: Any = None

    def record(self) -> dict[str, Any]:
        head = {"image": self.image, "output": self.output, "error": self.error}
        if self.found is None:
            return head
        found = self.found
        passes = {"iterations": found.iterations, "kind": found.kind, "roll": str(found.roll)}
        more = {"pivot_pixel": found.pivot_pixel, "geometry": geometry_record(found)}
        more |= {"sources": sources_record(self.sources)}
        return head | result_record(found) | passes | more


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
        "align",
        summary="measure the offset of images from a reference, and write them with a corrected WCS",
        description="Measure the offset of images from a reference on any grid, and write\n"
        "copies of them with a corrected WCS.",
        epilog=_EPILOG,
    )
    opt.add_images(parser, several=True)
    _add_outputs(parser)
    group = parser.add_argument_group("how to measure")
    group.add_argument(
        "--method",
        choices=tuple(opt.METHODS),
        default="chi2",
        help="chi-squared (default), DFT upsampling, or Taylor expansion of the correlation",
    )
    opt.add_search(group)
    for name in ("reference", "image"):
        group.add_argument(
            f"--{name}-beam",
            metavar="FWHM",
            type=opt.angle,
            help=f"beam or seeing of the {name}, such as 1.2arcsec (default: what its header says); "
            "the sharper of the two is smoothed for the comparison",
        )
    group.add_argument(
        "--iterations", metavar="N", type=opt.positive_integer, default=3, help="most passes (default: 3)"
    )
    group.add_argument(
        "--match-beams",
        action="store_true",
        help="compare at the coarser resolution of the two, from BMAJ, BMIN and BPA in the headers",
    )
    group.add_argument(
        "--check-sources",
        action="store_true",
        help="compare with the shift of the point sources that both show (photutils)",
    )
    group.add_argument(
        "--source-fwhm",
        metavar="PIXELS",
        type=float,
        default=3.0,
        help="full width at half maximum of a point source, in pixels (default: 3)",
    )
    group = opt.add_correction(parser)
    add_geometry(group)
    group.add_argument(
        "--systematic",
        metavar="ANGLE",
        type=opt.angle,
        help="systematic error of the reference's own coordinates, for CSYER (default: none is written)",
    )
    return parser


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to write")
    where = group.add_mutually_exclusive_group()
    where.add_argument("-o", "--output", metavar="OUT", help="the corrected file (of one image)")
    where.add_argument("--out-dir", metavar="DIR", help="folder for the corrected files, made if missing")
    group.add_argument(
        "--suffix", default="", help="with --out-dir: put behind each name, before .fits (default: nothing)"
    )
    group.add_argument("--table", metavar="FILE", help="the numbers of all images as an ECSV table")
    group.add_argument("--head", metavar="FILE", help="the corrected WCS as a .head file for SCAMP and SWarp")
    group.add_argument(
        "--report",
        metavar="FILE",
        help="HTML page about the answer; for several images a folder",
    )
    group.add_argument("--overwrite", action="store_true", help="replace files that exist")
    group.add_argument("--force", action="store_true", help="write even if the answer is flagged")
    group.add_argument("--dry-run", action="store_true", help="measure, write nothing")
    opt.add_json(group)


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
        The worst of all images.
    """
    _check_usage(options)
    tasks = _tasks(options)
    reference = as_frame(options.reference, argument="reference", hdu=options.reference_hdu)
    outcomes = []
    for number, task in enumerate(tasks, 1):
        if len(tasks) > 1:
            terminal.progress(f"[{number}/{len(tasks)}] {task.image}")
        outcomes.append(_outcome(reference, task, options, terminal))
        if not options.json:
            _print(outcomes[-1], options, terminal)
    _write_table(outcomes, options)
    status = Status.of_several([outcome.status for outcome in outcomes])
    if options.json:
        _print_json(outcomes, status, options, terminal)
    elif len(tasks) > 1:
        terminal.result(_summary(outcomes))
    return status


def _tasks(options: argparse.Namespace) -> list[_Task]:
    """Return what is to be done, after it was found that it can be written."""
    targets = output_paths(
        options.images, output=options.output, out_dir=options.out_dir, suffix=options.suffix
    )
    reports = report_paths(options.images, options.report)
    extras = [Path(name) for name in (options.table, options.head) if name is not None]
    if not options.dry_run:
        wanted = [*targets, *reports, *extras]
        check_targets(wanted, reference=options.reference, overwrite=options.overwrite)
    return [_Task(*parts) for parts in zip(options.images, targets, reports, strict=True)]


def _check_usage(options: argparse.Namespace) -> None:
    """Refuse combinations that make no sense, with the usage."""
    if len(options.images) > 1 and options.output is not None:
        options.parser.error("-o is for one image; give --out-dir DIR for several")
    if len(options.images) > 1 and options.head is not None:
        options.parser.error("--head is for one image; run the command once for each")
    if len(options.images) > 1 and (options.report or "").lower().endswith((".html", ".htm")):
        options.parser.error("--report FILE is for one image; for several name a folder: --report pages")
    check_geometry(options)
    extras = options.table or options.head or options.report
    if not (options.output or options.out_dir or extras or options.dry_run):
        options.parser.error("where to? give -o OUT or --out-dir DIR, or --dry-run to write nothing")


def _outcome(reference: Frame, task: _Task, options: argparse.Namespace, terminal: Terminal) -> _Outcome:
    """Measure one image and write what is to be written; an error does not stop the others."""
    image = task.image
    try:
        frame = as_frame(image, argument="image", hdu=options.image_hdu)
        found = _aligned(reference, frame, options)
        for number, one in enumerate(found.passes, 1):
            terminal.detail(f"pass {number}: {str(one).splitlines()[0]}")
        status = Status.TRUSTED if found.ok else Status.FLAGGED
        may_write = not options.dry_run and (found.ok or (options.force and found.determined))
        _tell_flags(found, image, may_write, terminal)
        output = _written(image, found, task.target, options) if may_write else None
        if task.report is not None and not options.dry_run:
            _report(frame, found, task.report, output, options)
        return _Outcome(image, status, found, output, sources=_sources(reference, frame, found, options))
    except Exception as error:
        terminal.failure(error, subject=image)
        return _Outcome(image, Status.FAILED, error=one_line(error))


def _aligned(reference: Frame, image: Frame, options: argparse.Namespace) -> Alignment:
    """Call the library; what its warning says about the flags is said with the name of the file."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=_FLAG_WARNING, category=AstroregWarning)
        return align(
            reference,
            image,
            method=opt.METHODS[options.method],
            iterations=options.iterations,
            kind=options.kind,
            roll=options.roll,
            match_beams=options.match_beams,
            reference_beam=options.reference_beam,
            image_beam=options.image_beam,
            **geometry_options(options),
            **opt.search_options(options),
        )


def _sources(reference: Frame, image: Frame, found: Alignment, options: argparse.Namespace) -> Any:
    """Compare with the point sources, where that is asked for."""
    if not options.check_sources:
        return None
    from astroreg.sources import check_sources

    return check_sources(reference, image, found, fwhm=options.source_fwhm, max_shift=options.max_shift)


def _tell_flags(found: Alignment, image: str, may_write: bool, terminal: Terminal) -> None:
    for words in describe(found.flags & ShiftFlag.BAD_CHI2):
        terminal.note(f"warning: {image}: {words}")
    tell_distortion(found, image, terminal)
    if found.ok:
        return
    words = " ".join(describe(found.flags & ShiftFlag.UNTRUSTED))
    end = "written all the same (--force)" if may_write else "its WCS was not corrected"
    terminal.error(f"{image}: the answer cannot be trusted, {end}: {words}")


def _written(image: str, found: Alignment, target: Path | None, options: argparse.Namespace) -> Path | None:
    """Write the corrected file and the .head file."""
    if options.head is not None:
        write_head(image, found, Path(options.head), overwrite=options.overwrite)
    if target is None:
        return None
    if options.out_dir is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
    return write_corrected(
        image,
        found,
        target,
        systematic=options.systematic,
        overwrite=options.overwrite,
    )


def _report(
    image: Frame, found: Alignment, page: Path, output: Path | None, options: argparse.Namespace
) -> None:
    """Write the page, of an answer that is flagged too: it says why."""
    from astroreg.report import write_report

    if len(options.images) > 1:
        page.parent.mkdir(parents=True, exist_ok=True)
    write_report(
        found,
        page,
        image=image,
        corrected=output,
        call=options.call,
        overwrite=options.overwrite,
    )


def _write_table(outcomes: list[_Outcome], options: argparse.Namespace) -> None:
    known = [outcome for outcome in outcomes if outcome.found is not None]
    if options.table is None or options.dry_run or not known:
        return
    table = results_table([one.found for one in known], [one.output for one in known])
    write_table_atomic(options.table, table, overwrite=options.overwrite)


def _print(outcome: _Outcome, options: argparse.Namespace, terminal: Terminal) -> None:
    """Print one result in words."""
    if outcome.found is None:
        return
    if len(options.images) > 1:
        terminal.result(f"{one_line(outcome.image)}:")
    terminal.result(str(outcome.found))
    if outcome.sources is not None:
        terminal.result(str(outcome.sources))
    if outcome.output is not None:
        terminal.result(f"written: {one_line(outcome.output)}")
    elif options.dry_run:
        terminal.result("written: nothing (--dry-run)")


def _summary(outcomes: list[_Outcome]) -> str:
    """Return how it went with all images, in a line."""
    trusted = sum(outcome.status == Status.TRUSTED for outcome in outcomes)
    written = sum(outcome.output is not None for outcome in outcomes)
    return f"{trusted} of {len(outcomes)} images have an answer that can be trusted; {written} written"


def _print_json(
    outcomes: list[_Outcome], status: Status, options: argparse.Namespace, terminal: Terminal
) -> None:
    records = [outcome.record() for outcome in outcomes]
    terminal.result(document("align", status, {"reference": options.reference, "results": records}))
