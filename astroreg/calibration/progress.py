"""A progress bar on stderr, if one is wanted."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

from astropy.utils.console import ProgressBar

__all__ = ["tracked"]


def tracked(items: Iterable, total: int, *, progress: bool) -> Iterator:
    """Iterate over `items`, with a progress bar if `progress`: that of tqdm where it is installed."""
    if not progress:
        yield from items
        return
    try:
        from tqdm import tqdm
    except ImportError:
        with ProgressBar(total, file=sys.stderr) as bar:
            for item in items:
                yield item
                bar.update()
        return
    yield from tqdm(items, total=total, unit="draw", file=sys.stderr)
