"""The program as a whole: help, version, errors without tracebacks, bad files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from astroreg.cli import main, program
from astroreg.cli import undo as undo_command
from astroreg.cli.status import Status
from astroreg.cli.terminal import Terminal, one_line, safe

COMMANDS = ["align", "measure", "undo", "stack", "calibrate", "demo"]


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert re.fullmatch(r"astroreg \d+\.\d+\S*\n", capsys.readouterr().out)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_has_examples_and_exit_statuses(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "examples:\n  astroreg " in text
    assert "exit status" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_can_be_parsed(command):
    module = next(module for module in program._COMMANDS if module.__name__.endswith(f".{command}"))
    examples = re.findall(r"^  astroreg (.+)$", module._EPILOG, re.MULTILINE)
    assert examples
    for example in examples:
        assert program.build_parser().parse_args(example.split()).command == command


def test_no_command_shows_them_all(run):
    answer = run()
    assert (answer.status, answer.out) == (2, "")
    assert all(f"\n    {command}" in answer.err for command in COMMANDS)


def test_an_unknown_command(usage):
    assert "invalid choice: 'fly'" in usage("fly")


def test_as_a_module():
    run = subprocess.run(
        [sys.executable, "-m", "astroreg", "align", "a", "b"],
        capture_output=True, text=True, timeout=120, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert run.returncode == 2
    assert run.stdout == ""
    assert "where to?" in run.stderr


def raising(error):
    def fail(options, terminal):
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("`x` is bad;\n  mend it"), "`x` is bad; mend it"),
        (FileNotFoundError(2, "No such file", "a.fits"), "a.fits: No such file"),
        (MemoryError(), "not enough memory"),
        (KeyError("CRVAL1"), "KeyError: 'CRVAL1' (unexpected; --debug shows where)"),
        (ValueError("evil \x1b[2J name"), r"evil \x1b[2J name"),
    ],
)
def test_errors_are_one_line(run, monkeypatch, error, words):
    monkeypatch.setattr(undo_command, "run", raising(error))
    answer = run("undo", "a.fits", "-o", "b.fits")
    assert (answer.status, answer.out) == (1, "")
    assert answer.err == f"astroreg: error: {words}\n"


def test_notes_of_an_error_are_told(run, monkeypatch):
    error = ValueError("no")
    error.add_note("written before: a.fits")
    monkeypatch.setattr(undo_command, "run", raising(error))
    assert "astroreg: error: written before: a.fits\n" in run("undo", "a", "-o", "b").err


def test_debug_shows_the_traceback(capsys, monkeypatch):
    monkeypatch.setattr(undo_command, "run", raising(ValueError("no")))
    assert main(["undo", "a", "-o", "b", "--debug"]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_interrupted(run, monkeypatch):
    monkeypatch.setattr(undo_command, "run", raising(KeyboardInterrupt()))
    assert run("undo", "a", "-o", "b").status == 130


def test_a_reader_that_goes_away(files):
    reader, writer = os.pipe()
    os.close(reader)
    images = [files / "reference.fits", files / "image.fits"]
    run = subprocess.run(
        [sys.executable, "-m", "astroreg", "align", *images, "--dry-run"],
        stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    os.close(writer)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr and "BrokenPipe" not in run.stderr


def test_warnings_are_messages_of_one_line_told_once(run, monkeypatch):
    def warn(options, terminal):
        for _ in range(2):
            warnings.warn("first line\nsecond", AstropyUserWarning, stacklevel=1)
        warnings.warn("inside", RuntimeWarning, stacklevel=1)
        return Status.TRUSTED

    monkeypatch.setattr(undo_command, "run", warn)
    assert run("undo", "a", "-o", "b").err == "astroreg: warning: first line second\n"
    assert "RuntimeWarning: inside" in run("undo", "a", "-o", "b", "-v").err
    assert run("undo", "a", "-o", "b", "-q").err == ""


def test_text_is_safe_for_a_terminal():
    assert safe("a\x1b[1m\x07b\nc é") == "a\\x1b[1m\\x07b\nc é"
    assert one_line("a \n  b\tc\udcff") == "a b\\tc\\udcff"


def test_an_encoding_without_the_character(monkeypatch, tmp_path):
    with open(tmp_path / "out", "w", encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        Terminal().result("größe")
    assert (tmp_path / "out").read_text() == "gr\\xf6\\xdfe\n"


@pytest.mark.parametrize(
    ("statuses", "worst"),
    [([0, 0], 0), ([0, 3], 3), ([3, 1, 0], 1), ([], 0)],
)
def test_the_worst_status(statuses, worst):
    assert Status.of_several([Status(one) for one in statuses]) == worst


# ---- files that are no images ---------------------------------------------------------------


def text(path):
    path.write_text("SIMPLE is not what this is")


def empty(path):
    path.write_bytes(b"")


def folder(path):
    path.mkdir()


def cut_short(path):
    fits.PrimaryHDU(np.ones((100, 100))).writeto(path)
    path.write_bytes(path.read_bytes()[:20000])


def cube(path):
    fits.PrimaryHDU(np.ones((3, 20, 20))).writeto(path)


def table(path):
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([])]).writeto(path)


def without_wcs(path):
    fits.PrimaryHDU(np.random.default_rng(1).normal(size=(30, 30))).writeto(path)


def nothing_good(path):
    fits.PrimaryHDU(np.full((30, 30), np.nan)).writeto(path)


def missing(path):
    return


BAD = [
    (missing, "there is no file"),
    (folder, "is a folder; give a FITS file in it"),
    (text, "is not a FITS file that can be read"),
    (empty, "is not a FITS file that can be read"),
    (cut_short, "the file is damaged"),
    (cube, "is a cube of shape"),
    (table, "holds no image"),
    (without_wcs, "has no WCS"),
    (nothing_good, "has no good pixel"),
]


@pytest.mark.parametrize(("make", "words"), BAD, ids=[make.__name__ for make, _ in BAD])
@pytest.mark.parametrize("place", ["reference", "image"])
def test_bad_files_are_refused_in_words(run, files, sky, make, words, place):
    bad = files / "bad.fits"
    make(bad)
    before = sky.listing(files)
    pair = [bad, files / "image.fits"] if place == "reference" else [files / "reference.fits", bad]
    answer = run("align", *pair, "-o", files / "o.fits")
    assert (answer.status, answer.out) == (1, "")
    assert words in answer.err
    assert answer.err.startswith("astroreg: error: ")
    assert "unexpected" not in answer.err
    assert sky.listing(files) == before


@pytest.mark.parametrize("hdu", ["7", "NOPE", "SCI,3", "1,2,3"])
def test_an_hdu_that_is_not_there(run, files, hdu):
    answer = run("align", files / "reference.fits", files / "image.fits", "--dry-run", "--image-hdu", hdu)
    assert answer.status == 1
    assert "has no HDU" in answer.err


def test_a_disk_that_fills_leaves_nothing(run, files, sky):
    resource = pytest.importorskip("resource", reason="limits of a process are those of POSIX")
    before = sky.listing(files)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))  # bytes; the image has 170 kB
        answer = run("align", files / "reference.fits", files / "image.fits", "-o", files / "o.fits")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert answer.status == 1
    assert "File too large" in answer.err
    assert sky.listing(files) == before
