"""The program: its parser, and what every subcommand is run in."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from typing import NoReturn

from astroreg import __version__
from astroreg.cli import align, calibrate, demo, measure, stack, undo
from astroreg.cli import options as opt
from astroreg.cli.status import Status
from astroreg.cli.terminal import Terminal

__all__ = ["build_parser", "main"]

_COMMANDS = (align, measure, undo, stack, calibrate, demo)

_EPILOG = """\
examples:
  astroreg demo
  astroreg align reference.fits image.fits -o corrected.fits
  astroreg align reference.fits a.fits b.fits --out-dir corrected
  astroreg measure reference.fits image.fits
  astroreg undo corrected.fits -o original.fits

exit status:
  0  an answer that can be trusted
  1  failed; the message says why
  2  wrong usage
  3  an answer that must not be applied without a look: see its flags
Of several images the worst counts. Results go to stdout, messages to stderr.
A file name that begins with a dash is written behind "--", or as ./-name.
"""


class _Parser(argparse.ArgumentParser):
    """Wrong usage is told in a line, and where to read more; not all options at once."""

    def error(self, message: str) -> NoReturn:
        self.exit(int(Status.USAGE), f"{self.prog}: error: {message}\n(help: {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; default: those of the process.

    Returns
    -------
    int
        The exit status.

    Raises
    ------
    SystemExit
        After ``--help`` and ``--version`` (0) and for wrong usage (2).
    """
    parser = build_parser()
    options = parser.parse_args(argv)
    if options.command is None:
        parser.print_help(sys.stderr)
        return int(Status.USAGE)
    options.call = shlex.join(["astroreg", *(sys.argv[1:] if argv is None else argv)])
    terminal = Terminal(options.quiet, options.verbose, options.debug)
    with terminal.telling_warnings():
        try:
            return int(options.run(options, terminal))
        except BrokenPipeError:
            # The reader of stdout went away; what is still buffered must not complain at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return int(Status.FAILED)
        except KeyboardInterrupt:
            terminal.error("interrupted; no incomplete file was left")
            return 130  # 128 + SIGINT, the shell's custom
        except Exception as error:
            terminal.failure(error)
            return int(Status.FAILED)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the program.

    Returns
    -------
    ArgumentParser
        With a subparser a command.
    """
    parser = _Parser(
        prog="astroreg",
        description="Measure the offset between two images of extended emission, and correct\n"
        "the WCS with it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"astroreg {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for command in _COMMANDS:
        subparser = command.add_parser(commands)
        opt.add_general(subparser)
        subparser.set_defaults(run=command.run, parser=subparser)
    return parser
