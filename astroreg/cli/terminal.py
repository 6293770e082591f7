"""What is printed where: results on stdout, messages on stderr, each line safe for a terminal."""

from __future__ import annotations

import contextlib
import sys
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TextIO

from astropy.utils.exceptions import AstropyWarning

__all__ = ["Terminal", "one_line", "safe"]


def safe(text: str) -> str:
    """Return a text whose control characters, which could steer a terminal, are spelled out.

    Parameters
    ----------
    text : str
        Any text, such as a header value; newlines are kept.

    Returns
    -------
    str
        With escapes such as ``\\x1b``.
    """
    return "".join(c if c == "\n" or c.isprintable() else _escaped(c) for c in text)


def one_line(text: object) -> str:
    """Return a text, a file name or the message of an error, on one line.

    Parameters
    ----------
    text : object
        What to show.

    Returns
    -------
    str
        With escapes for control characters; a line end and the blanks around it become one blank.
    """
    return safe(" ".join(part.strip() for part in str(text).split("\n")).strip())


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


@dataclass
class Terminal:
    """Where a command prints.

    Attributes
    ----------
    quiet : bool
        Only errors on stderr.
    verbose : bool
        Details on stderr.
    debug : bool
        Tracebacks of errors.
    """

    quiet: bool = False
    verbose: bool = False
    debug: bool = False
    _told: set[str] = field(default_factory=set)

    def result(self, text: str) -> None:
        """Print what was asked for, on stdout."""
        _write(sys.stdout, safe(text))

    def detail(self, text: object) -> None:
        """Print on stderr what only a curious user wants to know."""
        if self.verbose and not self.quiet:
            _write(sys.stderr, one_line(text))

    def progress(self, text: object) -> None:
        """Say on stderr what is being done, if somebody is looking."""
        if not self.quiet and (self.verbose or sys.stderr.isatty()):
            _write(sys.stderr, one_line(text))

    @property
    def shows_progress(self) -> bool:
        """Whether a progress bar has a reader."""
        return not self.quiet and sys.stderr.isatty()

    def note(self, text: object) -> None:
        """Print on stderr what a user should know."""
        if not self.quiet:
            _write(sys.stderr, f"astroreg: {one_line(text)}")

    def error(self, text: object) -> None:
        """Print on stderr why there is no answer, or none that can be trusted."""
        _write(sys.stderr, f"astroreg: error: {one_line(text)}")

    def failure(self, error: BaseException, *, subject: str = "") -> None:
        """Print an error that was raised, without its traceback unless that is wanted.

        Parameters
        ----------
        error : BaseException
            What was raised.
        subject : str, optional
            The file that it is about.
        """
        if self.debug:
            traceback.print_exception(error)
        text = _message(error)
        self.error(f"{subject}: {text}" if subject and subject not in text else text)
        for note in getattr(error, "__notes__", ()):
            self.error(note)

    @contextlib.contextmanager
    def telling_warnings(self) -> Iterator[None]:
        """Show warnings as messages of one line, each once."""
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = self._show_warning
            yield

    def _show_warning(self, message, category, filename, lineno, file=None, line=None) -> None:
        text = one_line(message)
        if text in self._told:
            return
        self._told.add(text)
        if issubclass(category, AstropyWarning):
            self.note(f"warning: {text}")
        else:
            self.detail(f"{category.__name__}: {text} ({filename}:{lineno})")


def _message(error: BaseException) -> str:
    """Return an error in words; one that the program did not expect is named by its class."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    text = str(error)
    if isinstance(error, (ValueError, TypeError, OSError, ImportError)) and text:
        return text
    if isinstance(error, MemoryError):
        return f"not enough memory ({text})" if text else "not enough memory"
    return f"{type(error).__name__}: {text} (unexpected; --debug shows where)"


def _write(stream: TextIO, text: str) -> None:
    """Print and flush; what the stream's encoding lacks is spelled out."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
