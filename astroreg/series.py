"""A time series: many images against one reference, several of them at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from astroreg.checks import parse_callable
from astroreg.estimators.fourier import limited_threads, threads_at_hand
from astroreg.inputs import Reference, as_frame, parse_positive
from astroreg.memory import memory_share
from astroreg.methods import chi2_shift
from astroreg.results import ShiftResult

__all__ = ["register_series"]

_WORTH_THREADS = 40_000  # pixels: smaller images wait for the interpreter, which serves one thread at a time
_BYTES = 100  # a pixel of the reference that a registration needs, with an image that is waiting


def register_series(
    reference: Any,
    images: Iterable[Any],
    *,
    method: Callable[[Any, Any], ShiftResult] = chi2_shift,
    threads: int | None = None,
) -> Iterator[ShiftResult]:
    """Measure the shifts of many images against one reference, several of them at once.

    Parameters
    ----------
    reference : NDData, CCDData, HDU, HDUList, path, Quantity, array or Reference
        The image that all are compared with; what is computed of it is kept, see `Reference`.
    images : iterable
        What `method` takes as its image, in the order wanted. They are asked for one by one, no more than one
        ahead of the threads: a generator that reads them needs not hold them all.
    method : callable, optional
        What is called with the reference and each image: `chi2_shift` (default), `register_images`,
        `cross_correlation_shift`, `measure`, or any other; use `functools.partial` for options.
    threads : int, optional
        How many images are registered at once. Default: as many as there are processors, fewer where the
        memory does not hold so many, and 1 for images of less than 200 x 200 pixels, where threads gain
        nothing.

    Returns
    -------
    iterator of ShiftResult
        What `method` returns, in the order of the images and to the last bit what it would return alone.
        Nothing for no images.

    Raises
    ------
    TypeError, ValueError
        At once, if the reference cannot be used or an argument is out of its range; when its turn comes,
        whatever an image makes `method` raise, with a note which one it was. The results of those before it
        have then been given.

    Warns
    -----
    AstroregWarning
        As `method` does; which image it was say the flags of its result.

    Examples
    --------
    >>> from astroreg import register_series
    >>> from astroreg.simulation import simulate_pair
    >>> pair = simulate_pair(shift=(3.37, -5.81), rng=1)
    >>> shifts = [result.shift for result in register_series(pair.reference, [pair.image] * 3)]
    >>> len(shifts)
    3
    """
    parse_callable(method, "method", mend="give a method such as chi2_shift")
    numbered = _numbered(images)
    if not isinstance(reference, Reference):
        reference = Reference(as_frame(reference, argument="reference"))
    if threads is None:
        threads = _worthwhile(reference.shape[0] * reference.shape[1])
    else:
        threads = parse_positive(threads, argument="threads", integer=True)
    return _in_turn(partial(_registered, method, reference), numbered, threads)


def _numbered(images):
    """Return the images with their numbers; refuse what does not hold several."""
    try:
        if isinstance(images, (str, bytes)):
            raise TypeError
        return enumerate(images)
    except TypeError:
        name = type(images).__name__
        raise TypeError(f"`images` must be an iterable of images, got {name}; give a list of them") from None


def _worthwhile(pixels: int) -> int:
    """Return how many images of so many pixels are best registered at once."""
    if pixels < _WORTH_THREADS:
        return 1
    return int(min(threads_at_hand(), max(1, memory_share() // (_BYTES * pixels))))


def _registered(method, reference, number, image):
    """Return what a method makes of one image; an error is told which it was."""
    try:
        return method(reference, image)
    except Exception as error:
        error.add_note(f"It was image {number} of the series, counted from 0.")
        raise


def _in_turn(register, numbered, threads) -> Iterator[ShiftResult]:
    """Yield the results in the order of the images."""
    if threads == 1:
        yield from (register(number, image) for number, image in numbered)
        return

    def alone(number, image):
        # The transforms of large images would take the threads of the others.
        with limited_threads(1):
            return register(number, image)

    with ThreadPoolExecutor(threads) as pool:
        running = deque()
        try:
            for number, image in numbered:
                running.append(pool.submit(alone, number, image))
                if len(running) > threads:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for waiting in running:
                waiting.cancel()
