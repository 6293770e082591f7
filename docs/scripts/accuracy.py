"""Measure how accurate the methods are, and how true their error bars, on every kind of simulated pair.

    OMP_NUM_THREADS=1 python docs/scripts/accuracy.py -n 1000

writes docs/data/accuracy.ecsv, from which docs/accuracy.rst is made. Scenes of which the file holds as many
draws of the noise already are not measured again: an interrupted run goes on where it stopped, and `--fresh`
measures all again. One process a core by default; more threads would only fight for the cores.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
import zlib
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
from accuracy_scenes import SCENES
from astropy import units as u
from astropy.table import Table, vstack

import astroreg
from astroreg import chi2_shift, cross_correlation_shift, register_images
from astroreg.calibration import compare_methods

FILE = Path(__file__).resolve().parents[1] / "data" / "accuracy.ecsv"
METHODS = {
    "chi2_shift": chi2_shift,
    "chi2_shift, empirical": functools.partial(chi2_shift, uncertainty="empirical"),
    "register_images": register_images,
    "cross_correlation_shift": cross_correlation_shift,
}


class Timed:
    """A method that adds up the processor time that it takes."""

    def __init__(self, method):
        self.method, self.seconds = method, 0.0

    def __call__(self, *args, **kwargs):
        start = time.process_time()
        try:
            return self.method(*args, **kwargs)
        finally:
            self.seconds += time.process_time() - start


def measure(name: str, n: int, methods=None) -> Table:
    """Return the figures of one scene over `n` draws of the noise, a row for each method and axis."""
    # The noise of a scene depends on its name alone: not on the order, nor on what else is measured.
    timed = {method: Timed(call) for method, call in (methods or METHODS).items()}
    drawn = compare_methods(SCENES[name].pair(), methods=timed, n_draws=n, rng=zlib.crc32(name.encode()))
    return Table([_figures(name, row, timed[row["method"]].seconds / n) for row in drawn])


def _figures(name, row, seconds):
    """Return one row of the file; bias and quoted errors in units of the rms."""
    pixels = {key: row[key].to_value(u.pixel) for key in ("std", "bias", "limit", "mean_error")}
    kept = int(row["n_draws"] - row["gross"])
    rms = np.hypot(pixels["bias"], pixels["std"] * np.sqrt(max(kept - 1, 0) / max(kept, 1)))
    numbers = {
        "limit": pixels["limit"],
        "efficiency": rms / pixels["limit"],
        "bias": pixels["bias"] / rms,
        "quoted": pixels["mean_error"] / rms,
        "inside": row["coverage"],
        "milliseconds": 1e3 * seconds,
    }
    counts = {key: int(row[key]) for key in ("n_draws", "gross", "flagged")}
    words = {"scene": name, "method": str(row["method"]), "axis": str(row["axis"])}
    return words | counts | {key: float(f"{value:.4g}") for key, value in numbers.items()}


def read(path: Path) -> dict[str, Table]:
    """Return the tables that a file holds, by scene; of scenes that are still known."""
    if not path.exists():
        return {}
    table = Table.read(path)
    return {name: table[table["scene"] == name] for name in SCENES if name in table["scene"]}


def write(path: Path, measured: dict[str, Table], meta=()) -> None:
    """Write the tables in the order of the scenes; what stands there is replaced when all is written."""
    table = vstack([measured[name] for name in SCENES if name in measured], metadata_conflicts="silent")
    table.meta = {"astroreg": astroreg.__version__, "numpy": np.__version__, **dict(meta)}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    table.write(temporary, format="ascii.ecsv", overwrite=True)
    temporary.replace(path)


def run(names, n: int, path: Path, *, processes: int = 1, fresh: bool = False, methods=None, meta=()) -> None:
    """Measure what is missing in the file, and write it after every scene."""
    measured = read(path)
    missing = [name for name in names if fresh or name not in measured or measured[name]["n_draws"].min() < n]
    for done, (name, table) in enumerate(_results(missing, n, processes, methods), start=1):
        measured[name] = table
        write(path, measured, meta)
        print(f"{done}/{len(missing)} {name}", file=sys.stderr, flush=True)


def _results(names, n, processes, methods):
    """Yield (name, table) as they are ready."""
    if processes == 1:
        yield from ((name, measure(name, n, methods)) for name in names)
        return
    with ProcessPoolExecutor(processes) as pool:
        futures = {pool.submit(measure, name, n, methods): name for name in names}
        yield from ((futures[future], future.result()) for future in as_completed(futures))


def main(*, methods=None, output=FILE, draws=1000, description=__doc__, meta=()) -> None:
    """Run from the command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=formatter)
    parser.add_argument(
        "-n", type=int, default=draws, help="draws of the noise a scene (default: %(default)s)"
    )
    names = list(SCENES)
    parser.add_argument(
        "--scenes", nargs="+", choices=names, default=names, metavar="SCENE", help=", ".join(names)
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="default: one a core")
    parser.add_argument("--output", type=Path, default=output, help="default: %(default)s")
    parser.add_argument("--fresh", action="store_true", help="measure again what the file holds already")
    options = parser.parse_args()
    how = {"processes": options.processes, "fresh": options.fresh, "methods": methods, "meta": meta}
    run(options.scenes, options.n, options.output, **how)


if __name__ == "__main__":
    main()
