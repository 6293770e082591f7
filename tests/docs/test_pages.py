"""The pages name what the package offers."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = {".rst", ".ipynb"}


def documented_modules():
    page = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")
    return re.findall(r"^\.\. automodapi:: ([\w.]+)$", page, flags=re.MULTILINE)


def test_changes_name_everything_public():
    changes = (ROOT / "CHANGES.rst").read_text(encoding="utf-8")
    public = {name for module in documented_modules() for name in importlib.import_module(module).__all__}
    missing = {name for name in public if not re.search(rf"``{name}``", changes)} - {"__version__"}
    assert not missing


def test_every_page_can_be_found():
    docs = ROOT / "docs"
    pages = {
        str(path.relative_to(docs).with_suffix("")) for path in docs.rglob("*.*") if path.suffix in PAGES
    }
    pages -= {page for page in pages if page.startswith(("_build/", "api/"))}
    listed = {"index"}
    for index in docs.rglob("index.rst"):
        folder = index.relative_to(docs).parent
        for tree in re.findall(r"^\.\. toctree::\n((?:   .*\n|\n)*)", index.read_text(), flags=re.MULTILINE):
            listed |= {str(folder / line.strip()) for line in tree.splitlines() if line.strip()[:1].isalpha()}
    assert pages == listed
