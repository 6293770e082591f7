"""What may be doubtful about a field of shifts: every flag once, with its bit, its name and one sentence."""

from __future__ import annotations

import enum

__all__ = ["FieldFlag", "describe_field"]


class FieldFlag(enum.IntFlag):
    """Warnings attached to a field of shifts as a whole; 0 means that all is well.

    The flags in the mask ``FieldFlag.UNTRUSTED`` say that no model may be applied without a look at it. Each
    flag has one sentence of text, ``FieldFlag.DISTORTION.sentence``.

    Examples
    --------
    >>> from astroreg import FieldFlag
    >>> FieldFlag.DISTORTION.trusted
    True
    >>> (FieldFlag.DISTORTION | FieldFlag.NO_TILES).trusted
    False
    """

    def __new__(cls, value: int, sentence: str = "") -> FieldFlag:
        member = int.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member

    NO_TILES = 1, "No tile has a shift that can be trusted: nothing is determined."
    TOO_FEW_TILES = 2, "The tiles with a trusted shift are too few for the model asked for."
    DISTORTION = (
        4,
        "No linear model explains the shifts: distortion, or errors that are too small.",
    )
    OUTLIERS = 8, "The shifts of a few tiles contradict all others and were left out."
    NOT_CONVERGED = 16, "The passes did not settle: model and errors are approximate."

    UNTRUSTED = 1 | 2 | 16, "There is no model that may be applied without a look at it."

    @property
    def trusted(self) -> bool:
        """Whether none of the flags forbids to use the model as it is."""
        return not self & FieldFlag.UNTRUSTED


def describe_field(flags: FieldFlag | int) -> list[str]:
    """Say in words what a combination of flags of a field means.

    Parameters
    ----------
    flags : FieldFlag or int
        The flags of a field of shifts.

    Returns
    -------
    list of str
        One "NAME: sentence" a flag, in the order of the bits; empty for 0.

    Examples
    --------
    >>> from astroreg import describe_field
    >>> describe_field(1)
    ['NO_TILES: No tile has a shift that can be trusted: nothing is determined.']
    """
    return [f"{flag.name}: {flag.sentence}" for flag in FieldFlag(int(flags))]
