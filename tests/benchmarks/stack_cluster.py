"""Correct many simulated exposures on a cluster of this machine, kill a worker half-way, and compare.

    python tests/benchmarks/stack_cluster.py --exposures 500 --workers 2

Prints a line for each run: one process, the cluster, and the cluster with a worker killed half-way. The
corrections must be the same to the last bit. Memory is the largest of any process of the run.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np
from astropy import units as u

from astroreg.simulation import SphericalSky, tan_wcs
from astroreg.stack import StackResult, align_stack

HEADER = 60  # lines of an ECSV file before its rows, about


def tell(line: str) -> None:
    """Print a line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def simulate(folder: Path, count: int, side: int) -> list[Path]:
    """Write exposures of 1 arcsec pixels, dithered by a fifth of their width, with errors of 1 arcsec rms."""
    rng = np.random.default_rng(1)
    sky = SphericalSky(radius=side * u.arcsec, smallest=4 * u.arcsec, rng=2)
    paths = []
    for number in range(count):
        centre = sky.centre.spherical_offsets_by(*(rng.uniform(-0.2, 0.2, 2) * side * u.arcsec))
        wcs, claimed = (tan_wcs((side, side), centre=centre) for _ in range(2))
        wrong = centre.spherical_offsets_by(*(rng.normal(size=2) * u.arcsec))
        claimed.wcs.crval = [wrong.ra.deg, wrong.dec.deg]
        image = sky.observe(wcs, fwhm=4 * u.arcsec, noise=0.1, claimed_wcs=claimed, rng=rng)
        paths.append(folder / f"exposure{number:04d}.fits")
        image.write(paths[-1])
    return paths


def rotations(result: StackResult) -> np.ndarray:
    """Return the correction of every image; NaN where there is none."""
    none = np.full(3, np.nan)
    return np.array([none if one.correction is None else one.correction.rotation_vector for one in result])


def peak_memory() -> float:
    """Return the largest memory that this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def kill_half_way(client, journal: Path, wanted: int) -> threading.Thread:
    """Kill a worker once half of the pairs are in the file."""
    process = next(iter(client.run(os.getpid).values()))

    def kill() -> None:
        while not journal.exists() or journal.read_text().count("\n") - HEADER < wanted // 2:
            time.sleep(0.2)
        os.kill(process, signal.SIGKILL)
        tell(f"    killed worker process {process}")

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread


def report(name: str, result: StackResult, seconds: float, memory: float) -> None:
    """Print what one run took."""
    good = sum(image.ok for image in result)
    rate = len(result.pairs) / seconds
    tell(
        f"{name:24s} {seconds:8.1f} s  {rate:6.2f} pairs/s  {memory:6.0f} MB  {good}/{len(result)} images, "
        f"{sum(result.used)}/{len(result.pairs)} pairs, reduced chi2 {result.reduced_chi2:.2f}"
    )


def on_cluster(paths: list[Path], options: dict, workers: int, journal: Path, wanted: int) -> StackResult:
    """Run on a cluster; with `wanted` > 0 pairs, kill a worker half-way."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        thread = kill_half_way(client, journal, wanted) if wanted else None
        start = time.perf_counter()
        result = align_stack(paths, client=client, results_file=journal, **options)
        seconds = time.perf_counter() - start
        if thread is not None:
            thread.join()
        memory = max(peak_memory(), *client.run(peak_memory).values())
        report(f"{workers} workers" + (", one killed" if wanted else ""), result, seconds, memory)
    return result


def main() -> None:
    """Run the three and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exposures", type=int, default=500)
    parser.add_argument("--side", type=int, default=96, help="pixels along each side")
    parser.add_argument("--neighbours", type=int, default=6, help="pairs an image")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    options = {"reference": "joint", "max_shift": 12, "neighbours": arguments.neighbours}
    with tempfile.TemporaryDirectory() as folder:
        paths = simulate(Path(folder), arguments.exposures, arguments.side)
        start = time.perf_counter()
        alone = align_stack(paths, workers=1, **options)
        report("one process", alone, time.perf_counter() - start, peak_memory())
        for wanted in (0, len(alone.pairs)):
            journal = Path(folder) / f"pairs{wanted}.ecsv"
            result = on_cluster(paths, options, arguments.workers, journal, wanted)
            same = np.array_equal(rotations(result), rotations(alone), equal_nan=True)
            tell(f"    the same corrections to the last bit: {same}")


if __name__ == "__main__":
    main()
