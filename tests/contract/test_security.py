"""Nothing in a file is run, and nothing is fetched from anywhere."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from astropy.io import fits

import astroreg
from astroreg.simulation import simulate_pair
from tests.contract.test_load import run_python

SOURCES = sorted(Path(astroreg.__file__).parent.rglob("*.py"))

# Modules that unpickle, run programs or open connections.
FORBIDDEN_MODULES = {
    "pickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "socket", "ssl", "http",
    "urllib", "ftplib", "smtplib", "requests", "urllib3", "subprocess", "ctypes", "runpy", "code",
}  # fmt: skip
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "input", "breakpoint"}
FORBIDDEN_METHODS = {"popen", "download_file", "literal_eval", "load_module", "exec_module"}


def called(node):
    """Return the name of what a call calls."""
    return getattr(node.func, "id", None), getattr(node.func, "attr", None)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(SOURCES[0].parent)))
def test_the_source_runs_nothing(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        assert not {name.split(".")[0] for name in names} & FORBIDDEN_MODULES, (path, node.lineno)
        if isinstance(node, ast.Call):
            name, attribute = called(node)
            assert name not in FORBIDDEN_CALLS, (path, node.lineno)
            assert attribute not in FORBIDDEN_METHODS, (path, node.lineno)
            assert ast.unparse(node.func) != "os.system", (path, node.lineno)
            assert "allow_pickle" not in {word.arg for word in node.keywords}, (path, node.lineno)


# Everything once with harmless files, so that all modules are there; then again with hostile ones, under a
# hook that the interpreter calls before it connects, unpickles, compiles, executes or starts anything.
WHOLE_FLOW = """
import sys
from pathlib import Path
import matplotlib
matplotlib.use("Agg")
from astropy.io import fits
from astropy.table import QTable
from astropy.utils.iers import conf
from astroreg import align, apply_correction, correct_file, measure, restore_file
from astroreg.cli import main
from astroreg.stack import align_stack

FORBIDDEN = ("socket.", "pickle.", "os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.fork",
             "subprocess.", "compile", "exec", "ftplib.", "http.", "urllib.", "smtplib.")
forbid, seen = [], []


def hook(event, arguments):
    if forbid and event.startswith(FORBIDDEN):
        seen.append(event)
        raise RuntimeError(f"{event} {arguments!r:.200}")


def flow(folder):
    reference, image = folder / "reference.fits", folder / "image.fits"
    found = align(reference, image)
    assert found.ok
    str(found), found._repr_html_(), measure(reference, image).to_table()
    found.report(folder / "page.html", reference=reference, image=image, overwrite=True)
    found.to_table().write(folder / "table.ecsv", overwrite=True)
    QTable.read(folder / "table.ecsv")
    correct_file(image, found.sky_correction, folder / "out.fits", overwrite=True)
    restore_file(folder / "out.fits", folder / "back.fits", overwrite=True)
    options = {"workers": 1, "max_shift": 6, "results_file": folder / "pairs.ecsv"}
    align_stack([reference, image], resume=True, **options)
    command = ["align", str(reference), str(image), "-o", str(folder / "cli.fits"), "--overwrite"]
    assert main([*command, "--report", str(folder / "cli.html")]) == 0


sys.addaudithook(hook)
flow(Path(sys.argv[1]))
forbid.append(True)
flow(Path(sys.argv[2]))
forbid.clear()
print(seen)
"""

HOSTILE = "__import__('os').system('touch {folder}/RAN')"


@pytest.mark.slow
def test_no_connection_and_no_code_from_files(tmp_path):
    """Headers whose every text is a program."""
    folders = [tmp_path / "harmless", tmp_path / "hostile"]
    for folder, text in zip(folders, ("M 17", HOSTILE.format(folder=tmp_path))):
        folder.mkdir()
        pair = simulate_pair((40, 44), shift=(2.3, -1.4), rng=3)
        for name, frame in (("reference", pair.reference), ("image", pair.image)):
            frame.write(folder / f"{name}.fits")
            with fits.open(folder / f"{name}.fits", mode="update") as hdus:
                for keyword in ("OBJECT", "OBSERVER", "FILTER", "TELESCOP", "DATE-OBS", "AUTHOR"):
                    hdus[0].header[keyword] = text
                hdus[0].header.add_history(text)
    code = f"import sys; sys.argv[1:] = {[str(folder) for folder in folders]!r}\n{WHOLE_FLOW}"
    assert run_python(code, PYTHONDONTWRITEBYTECODE="1").splitlines()[-1] == "[]"
    assert not (tmp_path / "RAN").exists()
