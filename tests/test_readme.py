"""What README.md promises is run as it stands there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def test_the_python_example_runs(tmp_path, monkeypatch):
    (example,) = blocks("python")
    assert len(example.splitlines()) <= 7, "five lines and an import are what a reader looks at"
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(example, "README.md", "exec"), names)
    pair, alignment = names["pair"], names["alignment"]
    truth = pair.true_wcs.pixel_to_world(64, 64)
    error = alignment.corrected.wcs.pixel_to_world(64, 64).separation(truth).arcsec
    # 1 arcsec a pixel, and a limit of about 0.01 pixel at the signal to noise of the example: five sigmas.
    assert error < 0.05
    assert (tmp_path / "corrected.fits").exists()


def test_the_two_commands_stand_there():
    commands = [line.removeprefix("$ ") for block in blocks("console") for line in block.splitlines()]
    assert commands[:2] == [
        "pip install '.[all]' && astroreg demo",
        "pip install '.[test]' && pytest -n auto",
    ]


def test_extras_of_the_commands_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = set(re.findall(r"'\.\[([\w,]+)\]'", README))
    assert extras
    assert extras <= set(project["optional-dependencies"])
    assert project["scripts"] == {"astroreg": "astroreg.cli:main"}
