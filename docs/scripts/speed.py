"""Measure time and memory of the methods, beside other packages and the least that FFTs cost.

    OMP_NUM_THREADS=1 python docs/scripts/speed.py                       # times, 256 to 2048 pixels a side
    OMP_NUM_THREADS=1 python docs/scripts/speed.py --memory --sizes 2048 4096
    OMP_NUM_THREADS=1 python docs/scripts/speed.py --growth              # chi2_shift, 256 to 8192
    OMP_NUM_THREADS=1 python docs/scripts/speed.py --series
    OMP_NUM_THREADS=1 python docs/scripts/speed.py --grids               # align, 512 to 2048

Each writes its rows into docs/data/speed.ecsv, from which docs/speed.rst is made, and leaves the others as
they are. The machine should do nothing else. Times are medians over rounds in which every method has its
turn, and are given as ratios of one run: to the floor (two forward real FFTs and one inverse in the same
precision, which every Fourier method needs at least) and to scikit-image's plain phase_cross_correlation,
where it is installed. The peers are called as in peers.py; what is not installed is left out. Memory is what
a process of its own needs above its images.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.util
import io
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import peers
from astropy.table import Table
from scipy import fft

import astroreg
from astroreg import Reference, align, chi2_shift, cross_correlation_shift, register_images, register_series

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))
from pairs import SCENES, make_grids, make_pair  # noqa: E402

FILE = ROOT / "docs" / "data" / "speed.ecsv"
FLOOR, PLAIN = "floor", "skimage phase_cross_correlation, plain"
OURS = {f.__name__: f for f in (chi2_shift, register_images, cross_correlation_shift)}
MODULES = {
    "image_registration": "image_registration",
    "skimage": "skimage",
    "cv2": "cv2",
    "pystackreg": "pystackreg",
}
GROWTH = (256, 512, 1024, 2048, 4096, 8192)
TURNED = {"shifted": 0.0, "turned": 20.0}  # grids, by degrees
REPROJECT = {"reproject_interp": "bilinear", "reproject_interp, order 5": 5}
SERIES = 12  # images against one reference
KEYS = ("part", "scene", "size", "dtype", "method")
FIGURES = ("floors", "plain", "milliseconds", "bytes", "gain", "reproject")


def floor(planes: dict) -> np.ndarray:
    """Do what every Fourier method does at least."""
    first, second = (fft.rfft2(plane) for plane in planes["data"])
    first *= second.conj()
    return fft.irfft2(first, s=planes["data"][0].shape, overwrite_x=True)


def contestants(n: int, dtype: str, scene: str, chosen=None) -> dict[str, Callable]:
    """Return what is to be measured by name, as functions without arguments; their images are made here."""
    frames = make_pair(n, dtype=dtype, scene=scene)
    good = [np.ones(f.data.shape, bool) if f.mask is None else ~f.mask for f in frames]
    # Other packages get what is under the mask filled, and their noise maps: that is not counted.
    planes = {
        "data": [np.where(g, f.data, f.data.dtype.type(np.median(f.data[g]))) for f, g in zip(frames, good)],
        "variance": [np.square(f.uncertainty.array) for f in frames],
        "good": good,
    }
    found = {FLOOR: partial(floor, planes)}
    found |= {name: partial(method, *frames) for name, method in OURS.items()}
    for name, method in peers.METHODS.items():
        if name != peers.OURS and importlib.util.find_spec(MODULES[name.split(".")[0].split()[0]]):
            found[name] = partial(method.__wrapped__, *planes.values())
    return {name: call for name, call in found.items() if not chosen or name in (FLOOR, PLAIN, *chosen)}


def timed(calls: dict[str, Callable], rounds: int) -> dict[str, float]:
    """Return the median seconds of each; what raises is left out."""
    spent = {}
    for name, call in calls.items():
        try:
            _seconds(call)  # what is loaded or planned at the first call
            spent[name] = []
        except Exception as failed:
            print(f"  {name}: {type(failed).__name__}: {failed}"[:100], file=sys.stderr)
    for _, name in itertools.product(range(rounds), spent):
        spent[name].append(_seconds(calls[name]))
    return {name: statistics.median(seconds) for name, seconds in spent.items()}


def _seconds(call: Callable) -> float:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        call()
        return time.perf_counter() - start


# ---- the parts of the file ------------------------------------------------------------------


def times(options) -> list[dict]:
    """Time all methods on every kind of pair, size and precision."""
    rows = []
    for n, dtype, scene in itertools.product(options.sizes, options.dtypes, options.scenes):
        spent = timed(contestants(n, dtype, scene, options.methods), options.rounds)
        for name, seconds in spent.items():
            plain = seconds / spent[PLAIN] if PLAIN in spent else np.nan
            rows.append(
                _row(
                    "time",
                    scene,
                    n,
                    dtype,
                    name,
                    floors=seconds / spent[FLOOR],
                    plain=plain,
                    milliseconds=1e3 * seconds,
                )
            )
        _tell(rows, spent)
    return rows


def growth(options) -> list[dict]:
    """Time `chi2_shift` and the floor over all sizes."""
    rows = []
    for n in options.sizes:
        calls = contestants(n, "f4", "uniform", ["chi2_shift"])
        calls.pop(PLAIN, None)
        spent = timed(calls, 3 if n > 2048 else options.rounds)
        for name, seconds in spent.items():
            rows.append(
                _row(
                    "growth",
                    "uniform",
                    n,
                    "f4",
                    name,
                    floors=seconds / spent[FLOOR],
                    milliseconds=1e3 * seconds,
                )
            )
        _tell(rows, spent)
    return rows


def series(options) -> list[dict]:
    """Time several images against one reference: repeated calls, with `Reference`, and `register_series`."""
    rows = []
    for n, dtype in itertools.product(options.sizes, options.dtypes):
        reference, image = make_pair(n, dtype=dtype)
        for name, method in OURS.items():
            calls = {
                "repeated": partial(_series, method, None, reference, image),
                "series": partial(_series, method, Reference, reference, image),
                "at once": partial(_at_once, method, reference, image),
            }
            spent = timed(calls, options.rounds)
            for part in ("series", "at once"):
                gain, each = spent["repeated"] / spent[part], 1e3 * spent[part] / SERIES
                rows.append(_row(part, "uniform", n, dtype, name, gain=gain, milliseconds=each))
        _tell(rows, 2 * list(OURS))
    return rows


def _series(method, keeper, reference, image):
    reference = reference if keeper is None else keeper(reference)
    for _ in range(SERIES):
        method(reference, image)


def _at_once(method, reference, image):
    list(register_series(reference, [image] * SERIES, method=method))


def grids(options) -> list[dict]:
    """Time `align` on grids that differ, beside one call of `reproject_interp` on the same images."""
    from reproject import reproject_interp

    rows = []
    for n, dtype, (part, rotation) in itertools.product(options.sizes, options.dtypes, TURNED.items()):
        reference, image = make_grids(n, dtype=dtype, rotation=rotation)
        source = reference.data, reference.wcs
        calls = {name: partial(align, reference, image, method=method) for name, method in OURS.items()}
        for name, order in REPROJECT.items():
            calls[name] = partial(reproject_interp, source, image.wcs, shape_out=(n, n), order=order)
        spent = timed(calls, options.rounds)
        for name, seconds in spent.items():
            ratio = seconds / spent["reproject_interp"]
            rows.append(_row(part, "uniform", n, dtype, name, reproject=ratio, milliseconds=1e3 * seconds))
        _tell(rows, spent)
    return rows


def memory(options) -> list[dict]:
    """Measure the memory of all methods, each in a process of its own."""
    rows = []
    for n, dtype, scene in itertools.product(options.sizes, options.dtypes, options.scenes):
        names = list(contestants(32, dtype, scene, options.methods))
        for name in names:
            command = [
                sys.executable,
                __file__,
                "--alone",
                name,
                "--sizes",
                str(n),
                "--dtypes",
                dtype,
                "--scenes",
                scene,
            ]
            # Every array is given back when it is freed, so that the peak counts what is held, not what was.
            environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
            run = subprocess.run(command, capture_output=True, text=True, env=environment)
            if run.returncode == 0:
                rows.append(_row("memory", scene, n, dtype, name, bytes=json.loads(run.stdout) / n**2))
            else:
                print(f"  {name}: {run.stderr.strip().splitlines()[-1]}"[:100], file=sys.stderr)
        _tell(rows, names)
    return rows


def alone(options) -> None:
    """Print the bytes that one method needs above its images, at its peak."""
    (n,), (dtype,), (scene,) = options.sizes, options.dtypes, options.scenes
    with contextlib.suppress(Exception):
        _seconds(
            contestants(64, dtype, scene)[options.alone]
        )  # what is loaded at the first call is no need of it
    call = contestants(n, dtype, scene, [options.alone])[options.alone]
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here (Linux)
    before = _status("VmRSS")
    _seconds(call)
    print(json.dumps(_status("VmHWM") - before))


def _status(key: str) -> int:
    """Return a memory of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(key))


# ---- the file -------------------------------------------------------------------------------


def _row(*keys, **figures):
    known = {name: float(f"{figures.get(name, np.nan):.4g}") for name in FIGURES}
    return dict(zip(KEYS, keys, strict=True)) | known


def _tell(rows, names):
    for row in rows[-len(names) :]:
        known = {name: row[name] for name in FIGURES if np.isfinite(row[name])}
        print(*(row[key] for key in KEYS), known, file=sys.stderr, flush=True)


def write(rows: list[dict], path: Path = FILE, *, workers: int = 1) -> None:
    """Write rows into the file, in place of those of the same part, kind, size, precision and method."""
    unknown = dict.fromkeys(FIGURES, np.nan)
    old = [unknown | dict(zip(row.colnames, row)) for row in Table.read(path)] if path.exists() else []
    merged = {tuple(str(row[key]) for key in KEYS): row for row in (*old, *rows)}
    order = lambda row: (row["part"], list(SCENES).index(row["scene"]), int(row["size"]), row["dtype"])  # noqa: E731
    table = Table(sorted(merged.values(), key=order))
    versions = {"astroreg": astroreg.__version__, "numpy": np.__version__, "cores": os.cpu_count()}
    table.meta = versions | {"workers": workers, "series": SERIES, "peers": peers.installed()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    table.write(temporary, format="ascii.ecsv", overwrite=True)
    temporary.replace(path)


def main() -> None:
    """Run from the command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        help="pixels a side (default: 256 512 1024 2048; 256 to 8192 for --growth; from 512 for --grids)",
    )
    parser.add_argument("--dtypes", nargs="+", choices=("f8", "f4"), default=("f8", "f4"))
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES))
    parser.add_argument("--methods", nargs="+", help="only these, with what they are compared with")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument(
        "--workers", type=int, default=1, help="threads of scipy's FFTs (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, default=FILE, help="default: %(default)s")
    part = parser.add_mutually_exclusive_group()
    for chosen in (memory, growth, series, grids):
        part.add_argument(
            f"--{chosen.__name__}", dest="part", action="store_const", const=chosen, default=times
        )
    part.add_argument("--alone", help=argparse.SUPPRESS)
    options = parser.parse_args()
    usual = {growth: GROWTH, grids: (512, 1024, 2048)}.get(options.part, (256, 512, 1024, 2048))
    options.sizes = options.sizes or usual
    if options.alone:
        alone(options)
    else:
        with fft.set_workers(options.workers):
            write(options.part(options), options.output, workers=options.workers)


if __name__ == "__main__":
    main()
