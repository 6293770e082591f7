"""The page on the command line documents every key that ``--json`` prints."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "command_line.rst").read_text(encoding="utf-8")
DOCUMENTED = set(
    re.findall(r"``(\w+)``", PAGE.partition("\nJSON\n====\n")[2].partition("\nThe options\n")[0])
)
# Objects whose keys are names, or the columns of a table that has a page of its own.
BY_NAME = {"methods", "rows"}


def keys_of(value):
    """Yield every key of an object, at any depth."""
    if isinstance(value, list):
        for item in value:
            yield from keys_of(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            inner = list(item.values()) if isinstance(item, dict) else []
            yield from keys_of(inner if key in BY_NAME else item) if key != "rows" else ()


@pytest.mark.parametrize(
    "arguments",
    [
        ["align", "reference.fits", "image.fits", "noise.fits", "missing.fits", "--dry-run"],
        ["measure", "reference.fits", "image.fits"],
        ["stack", "image.fits", "second.fits", "--out-dir", "out", "--joint", "--dry-run"],
        ["calibrate", "reference.fits", "image.fits", "--draws", "2", "--method", "chi2", "--pixels"],
        ["demo", "--out-dir", "demo"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_every_key_stands_on_the_page(run, files, monkeypatch, arguments):
    monkeypatch.chdir(files)
    keys = set(keys_of(json.loads(run(*arguments, "--json").out)))
    assert {"program", "version", "command", "exit_status"} < keys
    assert keys <= DOCUMENTED


def test_keys_are_found_at_any_depth():
    found = {"a": [{"b": 1}], "methods": {"name": {"c": {"d": 2}}}, "rows": [{"column": 3}]}
    assert list(keys_of(found)) == ["a", "b", "methods", "c", "d", "rows"]
