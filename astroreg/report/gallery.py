"""The pictures on the page: with captions, alternative texts, or why there is none."""

from __future__ import annotations

import base64
from collections.abc import Callable

from astroreg.inputs import Frame
from astroreg.report import pictures
from astroreg.report.markup import Markup, section, tag
from astroreg.report.middle import LARGEST
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
    note = "The image, with contours of the reference (orange, smoothed a little), by the coordinates. "
    note += "After a correction that is right the contours lie on the same features of the image."
    if not result.ok:
        note += " Here the shift is only the best that was found: it was not to be trusted."
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
    if max(image.shape) > LARGEST:
        note += f" Of this large image the middle is shown, {LARGEST} pixels a side."
    return Markup(tag("p", note) + tag("div", *parts, class_="pair"))


def surface_section(result: ShiftResult, reference: Frame | None, image: Frame | None) -> Markup:
    """Return the Delta chi-squared map, or the error ellipse; and the correlation where it tells more.

    It does where there is no map, and where the shift is not to be trusted.

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
    parts = [_drawn(lambda: _surface(result))] if result.determined else []
    if reference is not None and image is not None and (not result.ok or result.delta_chi2 is None):
        parts.append(_drawn(lambda: _correlation(result, reference, image)))
    content = tag("div", *parts, class_="pair") if parts else _no_picture("no shift was determined.")
    return section("Uncertainty", content, name="surface")


def _correlation(result: ShiftResult, reference: Frame, image: Frame) -> Markup:
    png = pictures.correlation(reference, image, result)
    note = "The correlation of the two images over the shift, where at least a tenth of them overlaps. "
    note += "A shift that can be trusted is one peak that stands out."
    return _figure(png, "Correlation of the images over the shift, with the peak and its rival", note)


def _surface(result: ShiftResult) -> Markup:
    if result.delta_chi2 is None:
        alt = "The shift with its error bars and the ellipses of 1, 2 and 3 sigma."
        note = (
            "The shift with its error bars, and the ellipses that hold the truth with 68.3, 95.4 and 99.7 % "
        )
        note += "probability."
    else:
        alt = "Map of Delta chi-squared over the shift, with the regions of 1, 2 and 3 sigma."
        note = (
            "Δχ² over the shift: black contours from the map itself, orange ellipses from the quoted errors. "
        )
        note += "Where they agree, the errors are Gaussian."
    return _figure(pictures.surface(result), alt, note)


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
