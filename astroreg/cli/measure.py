"""``astroreg measure``: all three methods on one pair of images, in a table."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from astroreg.align.noise import with_noise
from astroreg.cli import options as opt
from astroreg.cli.records import document, measurement_record
from astroreg.cli.status import Status
from astroreg.cli.targets import table_target
from astroreg.cli.terminal import Terminal
from astroreg.files import write_table_atomic
from astroreg.inputs import Frame, as_frame, is_celestial
from astroreg.measure import measure
from astroreg.resample import resample_to

__all__ = ["add_parser", "pair_of_files", "run"]

_EPILOG = """\
examples:
  astroreg measure reference.fits image.fits
  astroreg measure reference.fits image.fits --max-shift 20pix --table t.ecsv
  astroreg measure frame1.fits frame2.fits --pixels

Nothing is corrected. Where both files have a celestial WCS, the reference is
first brought onto the pixels of the image by it, so that the shift is what
the WCS does not yet know; --pixels compares pixel by pixel. The methods see
the same noise: their difference is given in units of the larger error of the
two, and is mostly well below 1. More than 5 makes the answer a flagged one.

exit status: 0 all methods trusted and agreed, 1 failed, 2 usage, 3 flagged.

JSON:
  {"program", "version", "command", "exit_status", "reference", "image",
   "trusted", "methods": {name: the numbers of "astroreg align"},
   "agreement": [{"methods": [name, name], "larger_errors": number}]}
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
        "measure",
        summary="measure the shift between two images with all three methods",
        description="Measure the shift between two images with all three methods.",
        epilog=_EPILOG,
    )
    opt.add_images(parser, several=False)
    opt.add_search(parser)
    parser.add_argument("--pixels", action="store_true", help="compare pixel by pixel, whatever the WCS says")
    opt.add_table(parser)
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
        Trusted if all methods may be trusted and agree.
    """
    table = table_target(options)
    measured = measure(*pair_of_files(options, terminal), **opt.search_options(options))
    status = Status.TRUSTED if measured.ok else Status.FLAGGED
    if options.json:
        content = {"reference": options.reference, "image": options.image} | measurement_record(measured)
        terminal.result(document("measure", status, content))
    else:
        terminal.result(str(measured))
    if table is not None:
        write_table_atomic(table, measured.to_table(), overwrite=options.overwrite)
    return status


def pair_of_files(options: argparse.Namespace, terminal: Terminal) -> tuple[Frame, Frame]:
    """Read the two files, and bring the reference onto the pixels of the image by the WCS of both.

    Parameters
    ----------
    options : Namespace
        With reference, image, their HDUs, and ``pixels``: whether to leave the pixels as they are.
    terminal : Terminal
        Where to say what was done.

    Returns
    -------
    reference, image : Frame
        On one grid.

    Raises
    ------
    ValueError
        If the two do not overlap on the sky.
    """
    reference = as_frame(options.reference, argument="reference", hdu=options.reference_hdu)
    image = as_frame(options.image, argument="image", hdu=options.image_hdu)
    if options.pixels or not (is_celestial(reference.wcs) and is_celestial(image.wcs)):
        terminal.detail("compared pixel by pixel")
        return reference, image
    seen, estimated = with_noise(reference)  # before resampling, which correlates it
    if estimated and image.variance is not None:
        terminal.note(f"{options.reference} has no uncertainty; its noise was estimated from its pixels")
    moved = resample_to(seen, image.wcs, image.shape)
    if not moved.covered:
        raise ValueError(
            f"{options.reference} and {options.image} do not overlap on the sky; "
            "--pixels compares them whatever their WCS say"
        )
    terminal.detail(f"the reference on the grid of the image: algorithm {moved.algorithm}")
    data = {"data": moved.data, "variance": moved.variance, "mask": moved.mask, "wcs": image.wcs}
    return replace(reference, **data), image
