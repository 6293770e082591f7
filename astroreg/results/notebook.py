"""Rows of the tables that results show in notebooks; everything in them is escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence

__all__ = ["html_row"]

# Some pages that hold notebooks give cells no room of their own.
_STYLE = "text-align:left;padding-right:1em"


def html_row(cells: Sequence[str], tag: str = "td") -> str:
    """Return a row of a table.

    Parameters
    ----------
    cells : sequence of str
        What stands in them, as text.
    tag : {"td", "th"}, default "td"
        What they are.

    Returns
    -------
    str
        HTML, with a proper sign for "+-".
    """
    inner = "".join(f"<{tag} style='{_STYLE}'>{html.escape(c.replace('+-', '±'))}</{tag}>" for c in cells)
    return f"<tr>{inner}</tr>"
