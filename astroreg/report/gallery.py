"""The pictures on the page: with captions, alternative texts, or why there is none."""

from __future__ import annotations

import base64
from collections.abc import Callable

from astroreg.inputs import Frame
from astroreg.report import pictures
from astroreg.report.markup import Markup, section, tag
from astroreg.results import ShiftResult

__all__ = ["comparison_section", "residual_section", "surface_section"]

_WHAT = "the image with contours of the reference"


def comparison_section(result: ShiftResult, reference: Frame | None, image: Frame | None) -> Markup:
    """Return the image with the contours of the reference, before and after.

    Parameters
    ----------
    result : ShiftResult
        The result.
    reference, image : Frame or None
        The two images, where they are known.

    Returns
    -------
    Markup
        A section.
    """
    if reference is None or image is None:
        content = _images_missing()
    elif not result.determined:
        content = _drawn(lambda: _as_given(result, reference, image))
    else:
        content = _drawn(lambda: _before_and_after(result, reference, image))
    return section("Before and after", content, name="pictures")


def _as_given(result: ShiftResult, reference: Frame, image: Frame) -> Markup:
    png = pictures.as_given(reference, image, result)
    return tag("div", _figure(png, f"As given: {_WHAT}", f"As given: {_WHAT}, in orange."), class_="single")


def _before_and_after(result: ShiftResult, reference: Frame, image: Frame) -> Markup:
    before, after = pictures.before_and_after(reference, image, result)
    parts = [
        _figure(before, f"Before the shift: {_WHAT}", tag("strong", "Before")),
        _figure(after, f"After the shift: {_WHAT}", tag("strong", "After")),
    ]
    note = "The image, with contours of the reference (orange) where the coordinates put them. "
    note += "After a correction that is right the contours lie on the same features of the image."
    pair = tag("div", *parts, class_="pair compare", data_first="Before", data_second="After")
    return Markup(tag("p", note) + pair)


def residual_section(result: ShiftResult, reference: Frame | None, image: Frame | None) -> Markup:
    """Return the image minus the scaled reference, before and after.

    Parameters
    ----------
    result : ShiftResult
        The result.
    reference, image : Frame or None
        The two images, where they are known.

    Returns
    -------
    Markup
        A section.
    """
    if not result.determined:
        content = _no_picture("there is no shift to compare the images at.")
    elif reference is None or image is None:
        content = _images_missing()
    else:
        content = _drawn(lambda: _residuals(result, reference, image))
    return section("Residuals", content, name="residuals")


def _residuals(result: ShiftResult, reference: Frame, image: Frame) -> Markup:
    before, after = pictures.residuals(reference, image, result)
    parts = [
        _figure(before, "Residual before the shift", tag("strong", "Before")),
        _figure(after, "Residual after the shift, in the same colours", tag("strong", "After")),
    ]
    note = "The image minus the scaled reference, both on one range of colours. "
    note += "After a correction that is right little but noise is left."
    return Markup(tag("p", note) + tag("div", *parts, class_="pair"))


def surface_section(result: ShiftResult) -> Markup:
    """Return the Delta chi-squared map, or the error ellipse where there is none.

    Parameters
    ----------
    result : ShiftResult
        The result.

    Returns
    -------
    Markup
        A section.
    """
    if not result.determined:
        content = _no_picture("no shift was determined.")
    else:
        content = _drawn(lambda: _surface(result))
    return section("Uncertainty", content, name="surface")


def _surface(result: ShiftResult) -> Markup:
    if result.delta_chi2 is None:
        alt = note = (
            "The shift with its error bars and the ellipse that holds the truth with 68.3 % probability."
        )
    else:
        alt = "Map of Delta chi-squared over the shift, with the regions of 1, 2 and 3 sigma."
        note = (
            "Δχ² over the shift: black contours from the map itself, orange ellipses from the quoted errors. "
        )
        note += "Where they agree, the errors are Gaussian."
    return tag("div", _figure(pictures.surface(result), alt, note), class_="single")


# ---- parts ------------------------------------------------------------------------------------


def _drawn(draw: Callable[[], Markup]) -> Markup:
    """A picture, or why there is none."""
    try:
        return draw()
    except (ImportError, ValueError) as error:
        return _no_picture(f"{error}.")


def _no_picture(why: str) -> Markup:
    return tag("p", f"No picture: {why}", class_="soft")


def _images_missing() -> Markup:
    return _no_picture("the images were not given; give them to `report` as `reference` and `image`.")


def _figure(png: bytes, alt: str, caption: object) -> Markup:
    source = Markup("data:image/png;base64," + base64.b64encode(png).decode())
    return tag("figure", tag("img", src=source, alt=alt), tag("figcaption", caption))
