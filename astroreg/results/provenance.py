"""The checksum by which a reference is recognised whatever its name."""

from __future__ import annotations

import hashlib
import os
import re
from functools import lru_cache

import numpy as np

__all__ = ["file_checksum", "pixel_checksum"]

# Half of a SHA-256: a card holds no more beside the words.
_DIGITS = 24


def file_checksum(label: str) -> str:
    """Return the beginning of the SHA-256 of the file that a label names.

    Parameters
    ----------
    label : str
        A path, with the HDU in brackets behind it where it is not the first.

    Returns
    -------
    str
        Hexadecimal digits; empty where there is no such file now.
    """
    for path in (label, re.sub(r"\[[^\[\]]*\]$", "", label)):
        try:
            if os.path.isfile(path):
                status = os.stat(path)
                return _digest(path, status.st_size, status.st_mtime_ns)
        except (OSError, ValueError):  # ValueError: no path at all
            continue
    return ""


@lru_cache(maxsize=32)
def _digest(path: str, size: int, time: int) -> str:
    """Read a file once, as long as its size and time stay the same."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]


def pixel_checksum(data: np.ndarray) -> str:
    """Return the beginning of the SHA-256 of the bytes of an array, in the order of its rows.

    Parameters
    ----------
    data : ndarray
        The pixels.

    Returns
    -------
    str
        Hexadecimal digits.
    """
    return hashlib.sha256(np.ascontiguousarray(data).data).hexdigest()[:_DIGITS]
