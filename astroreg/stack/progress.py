"""A progress bar of the user's, of tqdm, or of astropy."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from astropy.utils.console import ProgressBar

__all__ = ["check_progress", "progress_of"]


def check_progress(bar: Any) -> None:
    """Refuse what is neither True, False, None nor a function.

    Parameters
    ----------
    bar : callable, bool or None
        As ``progress_bar`` of `astroreg.stack.align_stack`.

    Raises
    ------
    TypeError
        If it is none of them.
    """
    if not (bar is None or isinstance(bar, bool) or callable(bar)):
        raise TypeError(f"`progress_bar` must be True, False or a function such as tqdm.tqdm, got {bar!r}")


def progress_of(items: Iterable, total: int, what: str, bar: Any) -> Iterator:
    """Iterate over items, with a progress bar where one is wanted.

    Parameters
    ----------
    items : iterable
        What to go through.
    total : int
        Their number.
    what : str
        What they are, shown beside the bar.
    bar : callable, bool or None
        As ``progress_bar`` of `astroreg.stack.align_stack`.

    Yields
    ------
    object
        The items.
    """
    if bar is None or bar is False or total == 0:
        yield from items
    elif bar is not True:
        yield from bar(items, total=total, desc=what)
    else:
        yield from _default_bar(items, total, what)


def _default_bar(items: Iterable, total: int, what: str) -> Iterator:
    try:
        from tqdm import tqdm
    except ImportError:
        with ProgressBar(total, file=sys.stderr) as bar:
            for item in items:
                yield item
                bar.update()
        return
    yield from tqdm(items, total=total, desc=what, file=sys.stderr)
