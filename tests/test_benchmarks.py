"""Every benchmark runs, on small images; none is timed here."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u

from astroreg import align, chi2_shift

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("time_", "timeraw_", "peakmem_")
SMALL = 48  # pixels


@pytest.fixture(scope="module")
def folder():
    """The package of the benchmarks, as asv imports it."""
    sys.path.insert(0, str(ROOT / "tests"))
    try:
        yield lambda name: importlib.import_module(f"benchmarks.{name}")
    finally:
        sys.path.remove(str(ROOT / "tests"))


def benchmarks_of(thing):
    return [getattr(thing, name) for name in dir(thing) if name.startswith(KINDS)]


def test_asv_finds_them():
    settings = json.loads((ROOT / "asv.conf.json").read_text())
    assert settings["project"] == "astroreg"
    assert (ROOT / settings["benchmark_dir"] / "__init__.py").is_file()


def test_every_class_runs_with_its_smallest_parameters(folder):
    registering = folder("registering")
    classes = [
        c for _, c in inspect.getmembers(registering, inspect.isclass) if c.__module__ == registering.__name__
    ]
    assert {c.__name__ for c in classes} == {"Registering", "Inputs", "AllMethods", "Series", "Aligning"}
    for cls in classes:
        assert len(cls.params) == len(cls.param_names)
        for values in combinations(cls.params):
            one = cls()
            one.setup(*values)
            assert benchmarks_of(one)
            for benchmark in benchmarks_of(one):
                benchmark(*values)


def combinations(params):
    """Yield the first of all parameters, and then every other value of each once; images are small here."""
    params = [(SMALL,), *params[1:]]
    first = tuple(values[0] for values in params)
    yield first
    for n, values in enumerate(params):
        yield from ((*first[:n], value, *first[n + 1 :]) for value in values[1:])


def test_imports_can_be_timed(folder):
    for benchmark in benchmarks_of(folder("importing")):
        programs = benchmark()
        for program in [programs] if isinstance(programs, str) else programs[::-1]:
            subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=120)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("scene", ["plain", "uniform", "varying", "masks"])
def test_the_pairs_are_what_they_say(folder, scene, dtype):
    pairs = folder("pairs")
    frames = pairs.make_pair(128, dtype=dtype, scene=scene)
    for frame in frames:
        assert frame.data.shape == (128, 128) and frame.data.dtype == dtype
        assert (frame.uncertainty is None) == (scene == "plain")
        assert (frame.mask is None) == (scene != "masks")
    sigma = pairs.uncertainty(128, scene, dtype)
    # At the corners 1 + 1.5 (1 + 1) = 4 times that of the middle.
    assert sigma[0, 0] / sigma[64, 64] == pytest.approx(4.0 if scene == "varying" else 1.0, rel=1e-3)
    result = chi2_shift(*frames)
    assert result.ok
    assert (abs(result.shift - pairs.SHIFT * u.pixel) < 5 * result.shift_error).all()


@pytest.mark.parametrize("rotation", [0, 20])
def test_the_grids_are_what_they_say(folder, rotation):
    pairs = folder("pairs")
    reference, image = pairs.make_grids(128, rotation=rotation)
    found = align(reference, image)
    # What to add to coordinates that are too large by so many arcseconds, of which those of longitude are
    # arcs at a declination of 20 degrees.
    expected = -np.array(pairs.POINTING) * [np.cos(np.radians(20)), 1]
    told = [v.to_value("arcsec") for v in (found.sky_correction.lon, found.sky_correction.lat)]
    assert found.ok
    assert np.all(np.abs(told - expected) < 5 * found.sky_correction.error.to_value("arcsec"))
    assert (image.mask is None) == (rotation == 0)


def test_masked_pixels_are_wild(folder):
    reference, _ = folder("pairs").make_pair(64, scene="masks")
    assert (reference.data[reference.mask] == 1e3).all()
    assert np.abs(reference.data[~reference.mask]).max() < 10
    assert 0.02 < reference.mask.mean() < 0.06
