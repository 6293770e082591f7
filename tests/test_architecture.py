"""The house of the package: which room may see which, how long things are, what is documented."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from numpydoc import docscrape, validate

import astroreg

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "astroreg"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# Lower rooms know nothing of higher ones; rooms of one rank may see each other. A new module is given a rank.
RANKS = [
    {"exceptions", "flags", "checks", "memory"},
    {"estimators", "inpaint", "grids"},
    {"inputs", "sky", "files"},
    {"resample", "transform", "results"},
    {"prepared", "methods", "spectra", "sources"},
    {"measure", "series"},
    {"align", "tiles"},
    {"stack", "cubes"},
    {"simulation"},
    {"calibration"},
    {"plotting", "report"},
    {"cli"},
]
RANK = {room: rank for rank, rooms in enumerate(RANKS) for room in rooms}

# Imports inside a function that go up all the same: a result draws itself when it is asked to.
DRAWS_ITSELF = {
    (low, high)
    for low in ("results", "spectra", "measure", "align", "tiles", "stack", "calibration")
    for high in ("plotting", "report")
}

# What the estimators may use: arrays in, arrays out.
ARRAY_LIBRARIES = {"numpy", "scipy"}
NOT_FOR_ESTIMATORS = {"warnings", "logging"}

# A module is public when the reference of the documentation has it.
PUBLIC_MODULES = re.findall(
    r"^\.\. automodapi:: (\S+)$", (ROOT / "docs" / "api.rst").read_text(encoding="utf-8"), re.MULTILINE
)


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module):
    """The first name below ``astroreg``: the room that a module belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def imports_of(path):
    """Yield (module, at top level) for every import statement of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = set()
    for node in tree.body:
        inner = node.body + node.orelse if isinstance(node, ast.If) else [node]
        top.update(id(child) for child in inner)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write imports with the package's name"
            # `from astroreg import sky` names the room in the second place.
            for alias in node.names:
                name = f"{node.module}.{alias.name}" if node.module == "astroreg" else node.module
                yield name, id(node) in top


def functions_of(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def body_lines(function):
    """Number of lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return function.end_lineno - body[0].lineno + 1 if body else 0


def public_objects():
    """Every public function and class of the public modules, by full name."""
    found = {}
    for name in PUBLIC_MODULES:
        module = importlib.import_module(name)
        for public in module.__all__:
            thing = getattr(module, public)
            if inspect.isfunction(thing) or inspect.isclass(thing):
                found[f"{thing.__module__}.{thing.__qualname__}"] = thing
    return found


def public_functions():
    """Every public function, and every public method that the package itself defines."""
    found = {}
    for name, thing in public_objects().items():
        if inspect.isfunction(thing):
            found[name] = thing
            continue
        for attribute, value in vars(thing).items():
            function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
            written_here = inspect.isfunction(function) and function.__module__.startswith("astroreg")
            if written_here and not attribute.startswith("_"):
                found[f"{name}.{attribute}"] = function
    return found


def signature_names(function):
    parameters = inspect.signature(function).parameters.values()
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return [stars.get(p.kind, "") + p.name for p in parameters if p.name not in ("self", "cls")]


def documented_names(doc, section):
    return [name.strip() for entry in doc[section] for name in entry.name.split(",")]


def test_every_room_has_a_rank():
    rooms = {room_of(module_name(path)) for path in SOURCES} - {None, "__main__"}
    assert rooms <= set(RANK), f"give a rank to {sorted(rooms - set(RANK))}"


@pytest.mark.parametrize("path", [p for p in SOURCES if room_of(module_name(p)) in RANK], ids=module_name)
def test_arrows_go_one_way(path):
    here = room_of(module_name(path))
    wrong = []
    for module, at_top in imports_of(path):
        there = room_of(module) if module.split(".")[0] == "astroreg" else None
        if there not in RANK or RANK[there] <= RANK[here]:
            continue
        if at_top or (here, there) not in DRAWS_ITSELF:
            wrong.append(module)
    assert not wrong, f"{here} is below what it imports: {wrong}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "estimators").rglob("*.py")), ids=module_name)
def test_estimators_know_arrays_only(path):
    for module, _ in imports_of(path):
        root = module.split(".")[0]
        own = module.startswith(("astroreg.estimators", "astroreg.flags"))
        standard = root in sys.stdlib_module_names and root not in NOT_FOR_ESTIMATORS
        assert own or standard or root in ARRAY_LIBRARIES, f"{module} is not for arrays"


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_files_and_functions_are_short(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 450, f"{lines} lines: there are two concerns in this file"
    long = {f.name: body_lines(f) for f in functions_of(path) if body_lines(f) > 60}
    assert not long, f"bodies of more than 60 lines: {long}"


def test_body_lines_leaves_the_docstring_out():
    function = ast.parse('def f():\n    """One\n    two.\n    """\n    a = 1\n    return a\n').body[0]
    assert body_lines(function) == 2


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_public_names_exist_once(module):
    names = importlib.import_module(module).__all__
    assert len(names) == len(set(names))
    assert all(hasattr(importlib.import_module(module), name) for name in names)


@pytest.mark.parametrize("name", sorted(public_functions()))
def test_documented_parameters_are_the_signature(name):
    function = public_functions()[name]
    doc = docscrape.FunctionDoc(function)
    documented = documented_names(doc, "Parameters") + documented_names(doc, "Other Parameters")
    assert documented == signature_names(function)


@pytest.mark.parametrize("name", sorted(n for n, t in public_objects().items() if inspect.isclass(t)))
def test_classes_document_what_they_are_made_of(name):
    cls = public_objects()[name]
    assert cls.__doc__, "no docstring"
    # Fields that are inherited stand in the docstring of the class that they come from.
    own = set(getattr(cls, "__dataclass_fields__", {})) & set(inspect.get_annotations(cls))
    fields = [field for field in own if not field.startswith("_")]
    doc = docscrape.ClassDoc(cls)
    documented = documented_names(doc, "Parameters") + documented_names(doc, "Attributes")
    assert set(fields) <= set(documented)
    if doc["Parameters"] and not issubclass(cls, Exception):
        assert documented_names(doc, "Parameters") == signature_names(cls)


def validation_errors(name, chosen):
    left_out = {check for check in chosen if check != "all"}
    if not signature_names(public_functions()[name]):
        left_out.add("RT01")  # "Return the inverse correction." of a method without arguments says it all
    return [f"{code} {text}" for code, text in validate.validate(name)["errors"] if code not in left_out]


@pytest.mark.parametrize("name", sorted(public_functions()))
def test_docstrings_are_numpydoc(name):
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "numpydoc_validation"
    ]
    assert settings["checks"][0] == "all", "the other entries are exceptions to `all`"
    assert validation_errors(name, settings["checks"]) == []


# What takes long to load and only some tasks need; of reproject what is more than its name.
HEAVY = (
    *(
        "matplotlib",
        "photutils",
        "dask",
        "distributed",
        "tweakwcs",
        "gwcs",
        "asdf",
        "reproject",
        "tqdm",
        "numba",
    ),
    *("scipy.signal", "scipy.stats", "scipy.optimize", "scipy.interpolate", "astropy.modeling"),
)


def loaded_by(statement):
    """Which of the heavy ones a program has loaded that runs one statement after astropy's nddata and wcs."""
    # Some versions of astropy.nddata import dask themselves, where it is installed.
    program = (
        "import sys, astropy.nddata, astropy.wcs; before = set(sys.modules)\n"
        f"{statement}\n"
        f"print(*(m for m in {HEAVY!r} if m in sys.modules and m not in before))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    return run.stdout.split()


def test_import_is_light():
    assert loaded_by("import astroreg") == []


def test_what_is_loaded_would_be_seen():
    assert loaded_by("import scipy.stats")[:2] == ["scipy.stats", "scipy.optimize"]


def test_every_module_imports():
    names = [info.name for info in pkgutil.walk_packages(astroreg.__path__, "astroreg.")]
    assert names
    for name in names:
        if not name.endswith("__main__"):
            importlib.import_module(name)


def tree_files():
    """Every text file that belongs to the project."""
    kinds = {
        ".py",
        ".toml",
        ".cfg",
        ".ini",
        ".md",
        ".rst",
        ".yml",
        ".yaml",
        ".cff",
        ".html",
        ".css",
        ".js",
        ".in",
        "",
    }
    made = {"build", "dist", "_build", "api", "__pycache__", "generated"}
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        hidden = parts[0].startswith(".") and parts[0] not in (".ci", ".github", ".pre-commit-config.yaml")
        egg = any(part.endswith(".egg-info") for part in parts)
        if path.is_file() and path.suffix in kinds and not (hidden or egg or made & set(parts)):
            yield path


def test_no_path_of_a_machine_in_the_tree():
    pattern = re.compile(r"(?<![\w.:/$}])/(?:work|root|home|Users|tmp)/\w")
    found = []
    for path in tree_files():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert not found, "\n".join(found)
