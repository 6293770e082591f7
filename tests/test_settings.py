"""The files around the package say the same thing in every place where they say it."""

from __future__ import annotations

import configparser
import re
import tomllib
from pathlib import Path

import pytest

from astroreg.flags import ShiftFlag

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]


def read_ini(name):
    parser = configparser.ConfigParser()
    parser.read(ROOT / name, encoding="utf-8")
    return parser


def test_oldest_versions_are_those_that_are_tested():
    """To the last digit, and of what is optional too: a newer one might pass where the oldest fails."""
    extras = PROJECT["optional-dependencies"]
    groups = [PROJECT["dependencies"], *(extras[name] for name in ("plot", "gwcs", "dask", "test"))]
    lines = [line for group in groups for line in group if not line.startswith("astroreg[")]
    pins = re.findall(r"^oldestdeps: (\S+)==(\S+)$", read_ini("tox.ini")["testenv"]["deps"], re.MULTILINE)
    assert dict(pins) == dict(line.split(">=") for line in lines)


def test_environments_of_the_support_matrix():
    environments = read_ini("tox.ini")["tox"]["env_list"]
    assert "py{311,312,313}-test" in environments
    assert "py311-test-oldestdeps" in environments
    assert PROJECT["requires-python"] == ">=3.11"
    supported = {c.rsplit("::", 1)[1].strip() for c in PROJECT["classifiers"] if "Python :: 3." in c}
    assert supported == {"3.11", "3.12", "3.13"}


def test_one_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", citation, re.MULTILINE).group(1) == PROJECT["version"]
    released = PROJECT["version"].split(".dev")[0]
    assert (ROOT / "CHANGES.rst").read_text(encoding="utf-8").startswith(f"{released} (")


def test_setup_cfg_holds_only_what_cannot_read_pyproject():
    first = (ROOT / "setup.cfg").read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# Only for tools that cannot read pyproject.toml")
    assert set(read_ini("setup.cfg").sections()) == {"flake8", "pycodestyle"}


@pytest.mark.parametrize("section", ["flake8", "pycodestyle"])
def test_one_length_of_lines(section):
    assert (
        read_ini("setup.cfg")[section].getint("max-line-length") == PYPROJECT["tool"]["ruff"]["line-length"]
    )


def test_all_has_every_optional_dependency():
    extras = PROJECT["optional-dependencies"]
    assert extras["all"][0] == "astroreg[plot,gwcs,dask]"
    assert {"plot", "gwcs", "dask", "all", "test", "docs"} <= set(extras)


def test_ci_runs_the_commands_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert script.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in script
    assert script.count("$(readme_command 1)") and script.count("$(readme_command 2)")


def test_the_documentation_says_what_to_do_about_every_flag():
    page = (ROOT / "docs" / "flags.rst").read_text(encoding="utf-8").split("What to do\n")[1]
    assert [flag.name for flag in ShiftFlag if f"``{flag.name}``" not in page] == []
