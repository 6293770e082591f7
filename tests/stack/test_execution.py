"""Where pairs are measured changes nothing: threads, processes, a killed worker, an interrupted run."""

import builtins
import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from astroreg.stack import align_stack, stacking
from astroreg.stack.execution import check_scheduler, executor

SEARCH = {"reference": "joint", "max_shift": 10}


def rotations(result):
    return np.array([image.correction.rotation_vector for image in result])


def covariances(result):
    return result.covariance.value


def assert_same(first, second):
    """To the last bit: the order in which pairs arrive must not matter."""
    np.testing.assert_array_equal(rotations(first), rotations(second))
    np.testing.assert_array_equal(covariances(first), covariances(second))


def double(x):
    if x == 3:
        raise ValueError("three")
    return 2 * x


@pytest.fixture
def no_dask(monkeypatch):
    true = importlib.util.find_spec

    def find_spec(name, *rest):
        return None if name in ("dask", "distributed") else true(name, *rest)

    monkeypatch.setattr("astroreg.stack.execution.find_spec", find_spec)
    imported = builtins.__import__

    def refuse(name, *rest):
        if name.split(".")[0] in ("dask", "distributed"):
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)


@pytest.mark.parametrize(("scheduler", "workers"), [(None, 1), ("threads", 3)])
def test_every_task_gives_its_result_or_its_error(scheduler, workers):
    pytest.importorskip("dask")
    with executor(scheduler, None, workers) as run:
        found = dict(run(double, ((f"task {n}", (n,)) for n in range(20))))
    assert len(found) == 20
    failed = found.pop("task 3")
    assert isinstance(failed, ValueError)
    assert found == {f"task {n}": 2 * n for n in range(20) if n != 3}


def test_tasks_are_taken_as_they_are_needed():
    taken = []

    def tasks():
        for n in range(5):
            taken.append(n)
            yield n, (n,)

    with executor(None, None, 1) as run:
        next(run(double, tasks()))
    assert taken == [0]


def test_without_dask_one_after_the_other(no_dask):
    with executor(None, None, None) as run:
        assert list(run(double, [("a", (1,))])) == [("a", 2)]


@pytest.mark.parametrize(
    "asked", [{"scheduler": "threads"}, {"scheduler": "processes"}, {"client": object()}]
)
def test_without_dask_what_needs_it_says_so(no_dask, asked):
    options = {"scheduler": None, "client": None, "workers": None} | asked
    with pytest.raises(ImportError, match=r"pip install 'astroreg\[dask\]'"):
        check_scheduler(**options)


def test_import_does_not_import_dask():
    # astropy before 7 imports it where it is installed
    program = (
        "import sys, astropy.nddata; before = set(sys.modules); import astroreg.stack; "
        "print([name in set(sys.modules) - before for name in ('dask', 'distributed')])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert run.stdout.strip() == "[False, False]"


def test_threads_and_files_give_the_same(four, four_files):
    pytest.importorskip("dask")
    in_threads = align_stack(four_files, scheduler="threads", workers=3, **SEARCH)
    assert_same(in_threads, align_stack(four_files, workers=1, **SEARCH))
    # The files' headers hold fewer digits of the coordinates than the images in memory.
    in_memory = align_stack(four.images, scheduler="threads", workers=2, **SEARCH)
    np.testing.assert_allclose(rotations(in_memory), rotations(in_threads), atol=1e-12)
    assert [image.label for image in in_threads] == [str(path) for path in four_files]


def test_an_interrupted_run_is_taken_up(four_files, tmp_path, monkeypatch):
    file = tmp_path / "pairs.ecsv"
    whole = align_stack(four_files, workers=1, results_file=file, **SEARCH)
    lines = file.read_text().splitlines(keepends=True)
    # Killed in the middle of writing the fourth of six pairs.
    file.write_text("".join(lines[:-3]) + lines[-3][:40])
    measured = []
    true = stacking.measure_pair

    def counted(*arguments):
        measured.append(arguments[2][:2])
        return true(*arguments)

    monkeypatch.setattr(stacking, "measure_pair", counted)
    again = align_stack(four_files, workers=1, results_file=file, resume=True, **SEARCH)
    assert measured == [(1, 2), (1, 3), (2, 3)]
    assert_same(again, whole)
    measured.clear()
    complete = align_stack(four_files, workers=1, results_file=file, resume=True, **SEARCH)
    assert measured == []
    assert_same(complete, whole)


def test_results_file_is_not_overwritten_nor_mixed(four, tmp_path):
    file = tmp_path / "pairs.ecsv"
    align_stack(four.images[:2], workers=1, results_file=file, **SEARCH)
    with pytest.raises(FileExistsError, match="give resume=True to go on with it"):
        align_stack(four.images[:2], workers=1, results_file=file, **SEARCH)
    with pytest.raises(ValueError, match="was made with max_shift = 10, not 5; give the same settings"):
        align_stack(four.images[:2], workers=1, results_file=file, resume=True, max_shift=5)
    file.write_text("no table\n")
    with pytest.raises(ValueError, match=r"pairs\.ecsv cannot be read|is no list of pairs"):
        align_stack(four.images[:2], workers=1, results_file=file, resume=True, **SEARCH)


def test_an_image_that_has_changed_is_measured_again(four, tmp_path):
    file = tmp_path / "pairs.ecsv"
    align_stack(four.images[:2], workers=1, results_file=file, **SEARCH)
    other = [four.images[0], four.images[2]]
    result = align_stack(other, workers=1, results_file=file, resume=True, **SEARCH)
    assert_same(result, align_stack(other, workers=1, **SEARCH))


# ---- with a cluster ---------------------------------------------------------------------------


@pytest.fixture
def client():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def rows(file):
    """Number of pairs in a results file; the first line after the comments names the columns."""
    lines = file.read_text().splitlines() if file.exists() else []
    return sum(not line.startswith("#") for line in lines) - 1


def kill_one(client, file):
    """Kill a worker as soon as the first pair is known."""
    process = next(iter(client.run(os.getpid).values()))

    def kill():
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and rows(file) < 1:
            time.sleep(0.05)
        os.kill(process, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("in_memory", [False, True], ids=["files", "memory"])
def test_a_killed_worker_costs_only_time(client, four, four_files, tmp_path, in_memory):
    file = tmp_path / "pairs.ecsv"
    images = four.images if in_memory else four_files
    expected = align_stack(images, workers=1, **SEARCH)
    thread = kill_one(client, file)
    result = align_stack(images, client=client, results_file=file, **SEARCH)
    thread.join()
    assert result.ok
    if in_memory:
        # A WCS travels as a header, which holds fewer digits.
        np.testing.assert_allclose(rotations(result), rotations(expected), rtol=0, atol=1e-12)
    else:
        assert_same(result, expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_processes(four_files):
    pytest.importorskip("distributed")
    result = align_stack(four_files, scheduler="processes", workers=2, **SEARCH)
    assert_same(result, align_stack(four_files, workers=1, **SEARCH))
