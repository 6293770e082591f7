"""The command line: one file a subcommand, each a thin call of the library."""

from astroreg.cli.program import main

__all__ = ["main"]
