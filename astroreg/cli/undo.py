"""``astroreg undo``: put the WCS back that a file had before its last correction."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from astroreg.cli import options as opt
from astroreg.cli.status import Status
from astroreg.cli.targets import check_targets
from astroreg.cli.terminal import Terminal, one_line
from astroreg.files import restore_file

__all__ = ["add_parser", "run"]

_EPILOG = """\
examples:
  astroreg undo corrected.fits -o original.fits
  astroreg undo corrected.fits -o corrected.fits --overwrite

All WCS cards are again what they were, to the byte; HISTORY says that the
correction was undone. A file that was corrected twice is undone twice.

exit status: 0 restored, 1 failed, 2 usage.
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
        "undo",
        summary="put the WCS back that a file had before its last correction",
        description="Write a copy of a corrected FITS file with its last correction undone.",
        epilog=_EPILOG,
    )
    parser.add_argument("file", metavar="FILE", help="FITS file that astroreg has corrected")
    parser.add_argument("-o", "--output", metavar="OUT", required=True, help="the file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it exists")
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
        That all is well; errors are raised.
    """
    check_targets([Path(options.output)], reference=None, overwrite=options.overwrite)
    restore_file(options.file, options.output, overwrite=options.overwrite)
    terminal.result(f"written: {one_line(options.output)}")
    return Status.TRUSTED
