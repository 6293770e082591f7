"""Many calls, many threads, many processes: the same numbers, and no growth."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from astroreg import align, chi2_shift, cross_correlation_shift, register_images
from astroreg.simulation import simulate_pair

ROOT = Path(__file__).parents[2]
METHODS = (chi2_shift, register_images, cross_correlation_shift)

# The numbers of all methods and of `align` in full, from a process of its own.
PRINT_NUMBERS = """
from tests.contract.test_load import METHODS, numbers_of, some_pairs
print([numbers_of(method, pair).hex() for pair in some_pairs(2) for method in METHODS])
"""


def some_pairs(count):
    return [simulate_pair((48, 52), shift=(2.3, -1.4), bad_fraction=0.01, rng=seed) for seed in range(count)]


def numbers_of(method, pair):
    """All numbers of a result as bytes: equal only if all bits are."""
    result = method(pair.reference, pair.image)
    values = [*result.shift.value, *result.covariance.value.ravel(), result.scale.value]
    values += [result.background.value, result.chi2, result.reduced_chi2, result.correlation, result.overlap]
    return np.array(values).tobytes()


def run_python(code, **environment):
    """Return what a new interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_threads_do_not_disturb_each_other(record_property):
    """Eight threads with all methods on pairs of their own, three rounds: as one after the other."""
    pairs = some_pairs(8)
    alone = {(n, m): numbers_of(m, pair) for n, pair in enumerate(pairs) for m in METHODS}
    found, together = {}, threading.Barrier(8)

    def work(number):
        together.wait()
        for turn in range(3):
            for step in range(3):
                method = METHODS[(number + step) % 3]
                found[number, method, turn] = numbers_of(method, pairs[number])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 72
    record_property("calls in threads", len(found))
    assert all(found[n, m, turn] == alone[n, m] for n, m, turn in found)


def test_two_processes_give_the_same_bits():
    """Whatever order their sets and dictionaries have."""
    first, second = (run_python(PRINT_NUMBERS, PYTHONHASHSEED=seed) for seed in ("1", "2"))
    assert first == second
    assert len(first) > 6 * 2 * 8 * 12  # six results of twelve numbers, 16 hexadecimal digits each


def resident_and_open():
    """Return the memory of this process in MB and the number of its open files."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, len(os.listdir("/proc/self/fd"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_2000_registrations_without_growth(tmp_path, record_property):
    """Three methods on arrays, and `align` on files, 500 times each."""
    pairs = some_pairs(5)
    paths = [(tmp_path / f"r{n}.fits", tmp_path / f"i{n}.fits") for n in range(5)]
    for pair, (reference, image) in zip(pairs, paths):
        pair.reference.write(reference)
        pair.image.write(image)

    def once(number):
        pair, (reference, image) = pairs[number % 5], paths[number % 5]
        for method in METHODS:
            assert method(pair.reference, pair.image).ok
        assert align(reference, image).ok

    for number in range(50):
        once(number)
    memory, files = resident_and_open()
    for number in range(50, 500):
        once(number)
    grown = resident_and_open()[0] - memory
    record_property("registrations", 2000)
    record_property("growth of memory in MB", round(grown, 1))
    assert resident_and_open()[1] == files
    # An image kept by each of the 1800 calls would be 36 MB; allocators keep some pages of their own.
    assert grown < 18
