"""HTML that cannot be injected: whatever is not made here, by `tag`, is escaped."""

from __future__ import annotations

import html

__all__ = ["Markup", "details", "escaped", "printable", "section", "table", "tag"]

_VOID = ("img", "meta", "input")
_LONGEST = 20_000  # characters of one piece of text; a header can hold megabytes


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def printable(text: object) -> str:
    """Return a text whose control, direction and unpaired characters are spelled out.

    Parameters
    ----------
    text : object
        Any text, such as a header value or a file name; newlines are kept.

    Returns
    -------
    str
        Cut where it is very long.
    """
    words = str(text)
    if len(words) > _LONGEST:
        words = f"{words[:_LONGEST]}... ({len(words)} characters)"
    return "".join(c if c == "\n" or c.isprintable() else _spelled(c) for c in words)


def _spelled(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def escaped(content: object) -> Markup:
    """Return HTML for a content: itself where it is HTML, escaped where it is anything else."""
    if isinstance(content, Markup):
        return content
    return Markup(html.escape(printable(content), quote=True))


def tag(name: str, /, *content: object, **attributes: object) -> Markup:
    """Return an element.

    Parameters
    ----------
    name : str
        Of the element.
    *content : object
        What is in it; text is escaped, `Markup` is not.
    **attributes : object
        ``class_`` is written ``class`` and ``data_x`` ``data-x``; None is left out, True has no value.

    Returns
    -------
    Markup
        The element.
    """
    words = [name]
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            words.append(key)
        elif value is not None and value is not False:
            value = value if isinstance(value, Markup) else html.escape(printable(value), quote=True)
            words.append(f'{key}="{value}"')
    start = f"<{' '.join(words)}>"
    if name in _VOID:
        return Markup(start)
    return Markup(f"{start}{''.join(escaped(part) for part in content)}</{name}>")


def table(rows: list[tuple], *, heads: tuple = (), caption: str = "") -> Markup:
    """Return a table whose rows begin with their name; empty without rows.

    Parameters
    ----------
    rows : list of tuple
        The first cell of each is its head.
    heads : tuple, default ()
        Heads of the columns.
    caption : str, default ""
        What it is.

    Returns
    -------
    Markup
        The table.
    """
    if not rows:
        return Markup("")
    wide = len(heads) > 2  # a phone shows the heads of its columns beside the cells
    parts = [tag("caption", caption)] if caption else []
    if heads:
        cells = (tag("th", head, scope="col") for head in heads)
        parts.append(tag("thead", tag("tr", *cells)))
    labels = heads[1:] if wide else [None] * len(rows[0][1:])
    lines = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            *(tag("td", cell, data_label=label) for cell, label in zip(cells, labels, strict=True)),
        )
        for name, *cells in rows
    ]
    parts.append(tag("tbody", *lines))
    return tag("div", tag("table", *parts, class_="wide" if wide else None), class_="scroll")


def section(title: str, *content: object, name: str) -> Markup:
    """Return a section with a heading; `name` is what a link to it says behind #."""
    return tag(
        "section", tag("h2", title, id=f"{name}-title"), *content, id=name, aria_labelledby=f"{name}-title"
    )


def details(summary: str, *content: object) -> Markup:
    """Return what is shown when it is asked for; paper shows it always."""
    return tag("details", tag("summary", summary), *content)
