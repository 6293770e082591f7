"""Every FITS file that astropy tests itself with: an answer or a refusal in words, and nothing left over."""

from __future__ import annotations

import contextlib
import signal
import warnings
from pathlib import Path

import astropy
import pytest

from astroreg import AstroregWarning, align, correct_file, measure, register_images

FOLDERS = ("io/fits/tests/data", "wcs/tests/data")
FILES = sorted(
    path
    for folder in FOLDERS
    for path in (Path(astropy.__file__).parent / folder).rglob("*")
    if ".fit" in path.name
)
SECONDS = 120  # far more than any takes, even on a busy machine


class TooSlow(BaseException):
    """Not an error that anything catches."""


@contextlib.contextmanager
def time_limit():
    def stop(*arguments):
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def answer_or_refusal(action):
    """Return whether there was an answer; a refusal is one of three classes, in words."""
    words = None
    with time_limit(), warnings.catch_warnings():
        warnings.simplefilter("ignore", AstroregWarning)
        try:
            action()
        except (OSError, ValueError, TypeError) as error:
            words = str(error)
    assert words is None or len(words) > 15, words
    return words is None


def test_there_are_files():
    assert len(FILES) > 20


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_is_answered(path, correction, tmp_path, record_property):
    output = tmp_path / "out.fits"
    answers = {
        "measure": answer_or_refusal(lambda: measure(path, path, methods=[register_images])),
        "align": answer_or_refusal(lambda: align(path, path, iterations=1)),
        "correct_file": answer_or_refusal(lambda: correct_file(path, correction, output)),
    }
    record_property("shipped files", 1)
    record_property("answers", ", ".join(name for name, answered in answers.items() if answered) or "none")
    assert list(tmp_path.iterdir()) == [output] * answers["correct_file"]
