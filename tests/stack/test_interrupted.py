"""A stack that is killed at any moment is taken up where it was, to the same result."""

from __future__ import annotations

import os
import signal
import time
import warnings

import numpy as np
import pytest

from astroreg.stack import align_stack

SEARCH = {"reference": "joint", "max_shift": 10, "workers": 1}


def rotations(result):
    return np.array([one.correction.rotation_vector for one in result])


def run_in_a_child(action, delay):
    """Run an action in a process and kill it after so many seconds; return whether it had ended by then."""
    child = os.fork()
    if child == 0:
        try:
            action()
            os._exit(0)
        except BaseException:
            os._exit(1)
    deadline = time.monotonic() + delay
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return True
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


@pytest.mark.parametrize("stacks", [1, pytest.param(12, marks=pytest.mark.slow)])
def test_killed_again_and_again(four_files, stacks, tmp_path, record_property):
    """Each process goes on where the last was killed; what is half written is measured again."""
    start = time.monotonic()
    whole = align_stack(four_files, **SEARCH)
    duration = time.monotonic() - start
    rng = np.random.default_rng(stacks)
    kills = 0
    for number in range(stacks):
        file = tmp_path / f"pairs{number}.ecsv"

        def work(file=file):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                align_stack(four_files, results_file=file, resume=True, **SEARCH)

        # After three kills each process has time enough, so that the loop ends on any machine.
        for attempt in range(20):
            if run_in_a_child(work, rng.uniform(0, 0.4 * duration) if attempt < 3 else 60.0):
                break
            kills += 1
        again = align_stack(four_files, results_file=file, resume=True, **SEARCH)
        assert (rotations(again) == rotations(whole)).all()
        assert (again.covariance == whole.covariance).all()
        assert len(again.pairs) == len(whole.pairs) == 6
    record_property("stacks", stacks)
    record_property("kills of a stack", kills)
    assert kills > 0
