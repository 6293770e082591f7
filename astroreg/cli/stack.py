"""``astroreg stack``: correct many exposures at once, relative to one of them or to their mean."""

from __future__ import annotations

import argparse
import contextlib
import os
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from astropy.io import fits

from astroreg.cli import options as opt
from astroreg.cli.records import document
from astroreg.cli.stack_output import draw_shifts, image_record, stack_record, summary, write_image
from astroreg.cli.status import Status
from astroreg.cli.targets import check_targets, output_paths
from astroreg.cli.terminal import Terminal, one_line
from astroreg.files import write_table_atomic
from astroreg.stack import StackFlag, StackResult, align_stack, describe_stack

__all__ = ["add_parser", "run"]

TABLES = ("shifts.ecsv", "pairs.ecsv", "closures.ecsv")
PICTURE = "shifts.png"

_EPILOG = """\
examples:
  astroreg stack night/*.fits --out-dir corrected --joint
  astroreg stack night/*.fits --out-dir corrected --reference deep.fits
  astroreg stack chips/*.fits --out-dir out --joint --group-by EXPID --workers 8
  astroreg stack night/*.fits --out-dir out --scheduler tcp://host:8786 --resume

Into the folder go the corrected files under their own names, shifts.ecsv (a
row an image), pairs.ecsv (a row a pair, added as it is measured: what --resume
goes on with), closures.ecsv (the sums around triangles) and, with matplotlib,
shifts.png. An image that cannot be used or trusted is flagged and not written;
the others are.

exit status: 0 every image trusted, 1 failed, 2 usage, 3 an image is flagged.

JSON:
  {"program", "version", "command", "exit_status", "reference", "chi2", "dof",
   "independent", "pairs_measured", "pairs_used", "results": [one an image]}
  Each: "image"; "output", the file written, or null; "error", why it could
  not be used, or null; "trusted"; "group"; "n_pairs"; "n_rejected"; "flags":
  {value, names, sentences}; "sky_correction" as of "astroreg align".
  Unknown numbers are null.
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
        "stack",
        summary="correct many exposures at once, relative to one of them or to their mean",
        description="Measure the offsets between many exposures, solve for all pointing errors\n"
        "at once, and write copies with a corrected WCS.",
        epilog=_EPILOG,
    )
    parser.add_argument("images", metavar="FILE", nargs="+", help="FITS file with an exposure")
    parser.add_argument("--out-dir", metavar="DIR", required=True, help="folder for all output")
    parser.add_argument("--dry-run", action="store_true", help="write the tables, no corrected files")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")
    opt.add_json(parser)
    _add_solution(parser)
    _add_work(parser)
    opt.add_correction(parser, untold="which shifts do not tell")
    return parser


def _add_solution(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how to measure")
    relative = group.add_mutually_exclusive_group()
    relative.add_argument(
        "--joint", action="store_true", help="compare all exposures that overlap; their mean stays"
    )
    relative.add_argument(
        "--reference", metavar="FILE", help="file whose coordinates are right (default: the first exposure)"
    )
    group.add_argument(
        "--group-by",
        metavar="KEYWORD",
        help="files with one value of this header keyword move together (chips of one exposure)",
    )
    group.add_argument(
        "--method", choices=tuple(opt.METHODS), default="chi2", help="as of astroreg align (default: chi2)"
    )
    opt.add_search(group)
    group.add_argument(
        "--neighbours", metavar="N", type=opt.positive_integer, default=12, help="most pairs an image (12)"
    )
    group.add_argument(
        "--match-beams", action="store_true", help="compare at the coarser resolution of the two"
    )
    group.add_argument("--hdu", metavar="HDU", type=opt.hdu_selector, help="which HDU of every file")


def _add_work(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("who measures")
    who = group.add_mutually_exclusive_group()
    who.add_argument("--workers", metavar="N", type=opt.positive_integer, help="processes on this machine")
    who.add_argument("--scheduler", metavar="ADDRESS", help="of a running dask scheduler, tcp://host:8786")
    group.add_argument(
        "--resume", action="store_true", help="go on with the pairs.ecsv of a run that was interrupted"
    )


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
        Flagged if any image is.
    """
    folder = Path(options.out_dir)
    targets = output_paths(options.images, output=None, out_dir=options.out_dir, suffix="")
    tables = [folder / name for name in TABLES]
    wanted = tables if options.dry_run else [*targets, *tables]
    may_replace = options.overwrite or options.resume
    check_targets([*wanted, folder / PICTURE], reference=options.reference, overwrite=may_replace)
    _refuse_inputs(targets, options)
    folder.mkdir(parents=True, exist_ok=True)
    if not options.resume:
        tables[1].unlink(missing_ok=True)
    result = _solved(options, tables[1], terminal)
    outputs = [None] * len(result) if options.dry_run else _written(result, targets, options, terminal)
    write_table_atomic(tables[0], result.to_table(), overwrite=True)
    write_table_atomic(tables[2], result.to_closures_table(), overwrite=True)
    _draw(result, folder / PICTURE, terminal)
    status = _status(result, outputs, options)
    if options.json:
        records = [image_record(one) | {"output": path} for one, path in zip(result, outputs, strict=True)]
        content = {"reference": result.reference} | stack_record(result) | {"results": records}
        terminal.result(document("stack", status, content))
    else:
        terminal.result(summary(result))
        terminal.result(f"written: {sum(path is not None for path in outputs)} files into {one_line(folder)}")
    return status


def _refuse_inputs(targets: list[Path | None], options: argparse.Namespace) -> None:
    """The exposures themselves are never overwritten: another run needs them."""
    inputs = {os.path.realpath(image) for image in options.images}
    if any(os.path.realpath(target) in inputs for target in targets):
        options.parser.error(f"--out-dir {options.out_dir} is where the exposures are; give another folder")


def _solved(options: argparse.Namespace, pairs: Path, terminal: Terminal) -> StackResult:
    """Call the library; its warning about flagged images is said in this program's words."""
    search = opt.search_options(options)
    with _client(options.scheduler) as client, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\d+ of \d+ images have no trusted correction")
        many = options.workers is not None and options.workers > 1
        result = align_stack(
            options.images,
            reference=_reference(options),
            method=opt.METHODS[options.method],
            groups=_groups(options),
            neighbours=options.neighbours,
            match_beams=options.match_beams,
            kind=options.kind,
            roll=options.roll,
            hdu=options.hdu,
            client=client,
            scheduler="processes" if many else None,
            workers=options.workers,
            results_file=pairs,
            resume=options.resume,
            progress_bar=terminal.shows_progress,
            **search,
        )
    for image in result.flagged:
        words = image.error or " ".join(describe_stack(image.flags & StackFlag.UNTRUSTED))
        terminal.error(f"{image.label}: {words}")
    return result


def _reference(options: argparse.Namespace) -> Any:
    if options.joint:
        return "joint"
    if options.reference is None:
        return 0
    same = [i for i, image in enumerate(options.images) if os.path.realpath(image) == _real(options)]
    return same[0] if same else options.reference


def _real(options: argparse.Namespace) -> str:
    return os.path.realpath(options.reference)


def _groups(options: argparse.Namespace) -> list[Any] | None:
    """Return the value of the keyword for each file; a file without it moves alone."""
    if options.group_by is None:
        return None
    found = []
    for image in options.images:
        value = None
        with contextlib.suppress(OSError), fits.open(image) as hdus:
            value = next(
                (hdu.header[options.group_by] for hdu in hdus if options.group_by in hdu.header), None
            )
        found.append(("file", image) if value is None else ("value", value))
    return found


@contextlib.contextmanager
def _client(address: str | None) -> Iterator[Any]:
    """Join a running scheduler, where one is named."""
    if address is None:
        yield None
        return
    if find_spec("distributed") is None:
        raise ImportError("--scheduler needs dask; install it with: pip install 'astroreg[dask]'")
    from distributed import Client

    with Client(address) as client:
        yield client


def _written(
    result: StackResult, targets: list[Path], options: argparse.Namespace, terminal: Terminal
) -> list[Path | None]:
    """Write the images that can be trusted; a file that cannot be written does not stop the others."""
    outputs: list[Path | None] = []
    for image, target in zip(result, targets, strict=True):
        outputs.append(None)
        if not image.ok:
            continue
        try:
            outputs[-1] = write_image(
                image,
                target,
                is_reference=image.label == result.reference,
                kind=options.kind,
                roll=options.roll,
                overwrite=options.overwrite or options.resume,
            )
        except (OSError, ValueError) as error:
            terminal.failure(error, subject=image.label)
    return outputs


def _draw(result: StackResult, path: Path, terminal: Terminal) -> None:
    if all(image.correction is None for image in result):
        return
    try:
        draw_shifts(result, path, overwrite=True)
    except ImportError:
        terminal.note("no picture: it needs matplotlib; install it with: pip install 'astroreg[plot]'")


def _status(result: StackResult, outputs: list[Path | None], options: argparse.Namespace) -> Status:
    """Return the worst of all images: a trusted one that was not written has failed."""
    good = [image.ok for image in result]
    lost = not options.dry_run and any(ok and path is None for ok, path in zip(good, outputs, strict=True))
    if lost or not any(good):
        return Status.FAILED
    return Status.TRUSTED if all(good) else Status.FLAGGED
