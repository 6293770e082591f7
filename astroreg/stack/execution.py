"""Where the work of a stack is done: one after the other, in threads, or on the workers of dask."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from itertools import islice
from typing import Any

__all__ = ["check_scheduler", "executor"]

SCHEDULERS = ("threads", "processes")
AHEAD = 3  # tasks in flight for each thread of the workers: no worker waits, and no memory grows
ATTEMPTS = 3  # at a task whose data went with a worker that was killed

# What runs tasks: (function, iterable of (key, arguments)) -> iterator of (key, result or exception).
Runner = Callable[[Callable, Iterable[tuple[Any, tuple]]], Iterator[tuple[Any, Any]]]


def check_scheduler(scheduler: str | None, client: Any, workers: int | None) -> None:
    """Refuse what cannot be had.

    Parameters
    ----------
    scheduler : {"threads", "processes"} or None
        As the user gave it.
    client : distributed.Client or None
        The user's.
    workers : int or None
        How many the user wants.

    Raises
    ------
    ImportError
        If dask is asked for and is not installed.
    ValueError
        If the choice is unknown or contradicts itself.
    """
    if scheduler is not None and not (isinstance(scheduler, str) and scheduler in SCHEDULERS):
        raise ValueError(f"`scheduler` must be 'threads', 'processes' or None, got {scheduler!r}")
    if client is not None and (scheduler is not None or workers is not None):
        raise ValueError("`client` has workers of its own; leave `scheduler` and `workers` None with it")
    asked = scheduler is not None or client is not None
    needed = "distributed" if client is not None or scheduler == "processes" else "dask"
    if asked and find_spec(needed) is None:
        raise ImportError(
            "`client` and `scheduler` need dask; install it with: pip install 'astroreg[dask]', "
            "or leave both out to measure one pair after the other"
        )


@contextlib.contextmanager
def executor(scheduler: str | None, client: Any, workers: int | None) -> Iterator[Runner]:
    """Give what runs tasks, and clean up behind it.

    Parameters
    ----------
    scheduler : {"threads", "processes"} or None
        None: threads where dask is installed.
    client : distributed.Client or None
        The user's; it is left open.
    workers : int or None
        Threads or processes; None: as many as there are processors for this process.

    Yields
    ------
    callable
        Takes a function and an iterable of (key, arguments); iterates over (key, result) in the order in
        which they are finished. What cannot be run at all gives its exception as the result.
    """
    workers = _processors() if workers is None else workers
    if client is not None:
        yield _OnClient(client)
    elif scheduler == "processes":
        with _local_client(workers) as own:
            yield _OnClient(own)
    elif workers == 1 or (scheduler is None and find_spec("dask") is None):
        yield _one_by_one
    else:
        # Threads share the filters of warnings: those who set and restore theirs disturb each other.
        with ThreadPoolExecutor(workers) as pool, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield partial(_in_threads, pool, workers)


def _processors() -> int:
    """Return the number of processors that this process may use."""
    with contextlib.suppress(AttributeError):  # not on all systems
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _attempted(function: Callable, arguments: tuple) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        return error


def _one_by_one(function: Callable, tasks: Iterable[tuple[Any, tuple]]) -> Iterator[tuple[Any, Any]]:
    for key, arguments in tasks:
        yield key, _attempted(function, arguments)


def _in_threads(
    pool: ThreadPoolExecutor, workers: int, function: Callable, tasks: Iterable[tuple[Any, tuple]]
) -> Iterator[tuple[Any, Any]]:
    """Run batch by batch with the threaded scheduler of dask, so that results come while others wait."""
    import dask

    tasks = iter(tasks)
    while batch := list(islice(tasks, AHEAD * workers)):
        # Bound beforehand: dask would walk through the arguments to look for its own collections.
        delayed = [
            dask.delayed(partial(_attempted, function, arguments), pure=False, traverse=False)()
            for _, arguments in batch
        ]
        results = dask.compute(*delayed, scheduler="threads", pool=pool)
        yield from zip((key for key, _ in batch), results, strict=True)


@contextlib.contextmanager
def _local_client(workers: int) -> Iterator[Any]:
    """Start a cluster of processes on this machine, each of one thread; a killed one is started again."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


class _OnClient:
    """Runs tasks on the workers of a `distributed.Client`, and again those that a dead worker lost."""

    def __init__(self, client: Any):
        self.client = client
        self.scattered: dict[int, Any] = {}

    def __call__(self, function: Callable, tasks: Iterable[tuple[Any, tuple]]) -> Iterator[tuple[Any, Any]]:
        from distributed import as_completed

        tasks = iter(tasks)
        running: dict[Any, tuple[Any, tuple, int]] = {}
        finished = as_completed()

        def submit(key: Any, arguments: tuple, attempt: int = 1) -> None:
            future = self.client.submit(function, *map(self._placed, arguments), pure=False)
            running[future] = key, arguments, attempt
            finished.add(future)

        for key, arguments in islice(tasks, self._capacity()):
            submit(key, arguments)
        for future in finished:
            key, arguments, attempt = running.pop(future)
            outcome = _outcome(future)
            if _is_lost(outcome) and attempt < ATTEMPTS:
                submit(key, arguments, attempt + 1)
                continue
            for following in islice(tasks, 1):
                submit(*following)
            yield key, outcome

    def _capacity(self) -> int:
        threads = sum(self.client.nthreads().values())
        return AHEAD * max(threads, 1)

    def _placed(self, argument: Any) -> Any:
        """Send an image that is in memory to the workers once, not with every pair."""
        from astroreg.inputs import Frame

        if not isinstance(argument, Frame):
            return argument
        sent = self.scattered.get(id(argument))
        if sent is None or sent.status != "finished":  # the worker that had it may be gone
            self.scattered[id(argument)] = self.client.scatter(argument, hash=False)
        return self.scattered[id(argument)]


def _outcome(future: Any) -> Any:
    try:
        return future.result()
    except Exception as error:
        return error


def _is_lost(outcome: Any) -> bool:
    """Whether a task was given up because data that it needs are no longer anywhere."""
    return isinstance(outcome, Exception) and "Cancelled" in type(outcome).__name__
