"""``astroreg calibrate``: how true the quoted errors are for two given images."""

from __future__ import annotations

import argparse
from typing import Any

from astropy.table import QTable

from astroreg.calibration import calibrate
from astroreg.cli import options as opt
from astroreg.cli.measure import pair_of_files
from astroreg.cli.records import document, table_record
from astroreg.cli.status import Status
from astroreg.cli.targets import table_target
from astroreg.cli.terminal import Terminal
from astroreg.files import write_table_atomic

__all__ = ["add_parser", "run"]

_EPILOG = """\
examples:
  astroreg calibrate reference.fits image.fits
  astroreg calibrate reference.fits image.fits --draws 400 --method chi2

The shift is fitted once; then noise is drawn many times on the sky that both
images show, and the shift measured again.
  ratio       quoted error over the scatter of the answers; 1 for true errors
  coverage    share of answers within one quoted error; 0.683 for true errors
  efficiency  scatter over the smallest possible one
  gross       number of answers that are off by more than a pixel

exit status: 0 measured, 1 failed, 2 usage, 3 some answer was grossly wrong.

JSON:
  {"program", "version", "command", "exit_status", "reference", "image",
   "rows": [one a method and axis, the columns of the table]}
"""

_COUNTS = ["n_draws", "gross", "flagged", "std", "limit", "efficiency", "mean_error"]
_ERRORS = ["ratio", "ratio_error", "bias", "bias_error", "coverage", "coverage_error"]


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
        "calibrate",
        summary="find how true the error bars are for two images",
        description="Find how true the error bars are for two images, by many draws of noise.",
        epilog=_EPILOG,
    )
    opt.add_images(parser, several=False)
    parser.add_argument("--pixels", action="store_true", help="compare pixel by pixel, whatever the WCS says")
    parser.add_argument(
        "--method",
        choices=tuple(opt.METHODS),
        action="append",
        help="what to calibrate; may be given more than once (default: all three)",
    )
    parser.add_argument(
        "--draws", metavar="N", type=opt.positive_integer, default=100, help="draws of noise (default: 100)"
    )
    parser.add_argument("--seed", type=opt.positive_integer, default=1, help="of the noise (default: 1)")
    opt.add_table(parser, words="write the numbers, every draw's too, as ECSV")
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
        Flagged if any answer was grossly wrong.
    """
    path = table_target(options)
    chosen = options.method or list(opt.METHODS)
    table = calibrate(
        *pair_of_files(options, terminal),
        methods=[opt.METHODS[name] for name in dict.fromkeys(chosen)],
        n_draws=options.draws,
        progress=terminal.shows_progress,
        rng=options.seed,
    )
    status = Status.FLAGGED if any(table["gross"] > 0) else Status.TRUSTED
    if options.json:
        rows = table_record(_columns(table, _COUNTS + _ERRORS))
        content = {"reference": options.reference, "image": options.image, "rows": rows}
        terminal.result(document("calibrate", status, content))
    else:
        terminal.result(_text(table))
    if path is not None:
        write_table_atomic(path, table, overwrite=options.overwrite)
    return status


def _text(table: QTable) -> str:
    """Return the table in two parts, each narrow enough for a terminal."""
    parts = (_columns(table, names) for names in (_COUNTS, _ERRORS))
    return "\n\n".join("\n".join(part.pformat(max_lines=-1, max_width=-1)) for part in parts)


def _columns(table: QTable, names: list[str]) -> QTable:
    return table[["method", "axis", *names]]
