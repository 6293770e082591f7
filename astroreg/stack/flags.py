"""What may be doubtful about an image of a stack: every flag once, with its bit, name and one sentence."""

from __future__ import annotations

import enum

__all__ = ["StackFlag", "describe_stack"]


class StackFlag(enum.IntFlag):
    """Warnings attached to an image of a stack; 0 means that all is well.

    The flags in the mask ``StackFlag.UNTRUSTED`` say that the image has no correction, or none that may be
    applied without a look at it. Each flag has one sentence of text, ``StackFlag.UNREADABLE.sentence``.

    Examples
    --------
    >>> from astroreg.stack import StackFlag
    >>> flags = StackFlag.UNCONNECTED | StackFlag.UNCHECKED
    >>> [flag.name for flag in flags]
    ['UNCONNECTED', 'UNCHECKED']
    >>> flags.trusted
    False
    """

    def __new__(cls, value: int, sentence: str = "") -> StackFlag:
        member = int.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member

    UNREADABLE = 1, "The image could not be used at all; its error says why."
    UNCONNECTED = 2, "No trusted shift ties the image to the others: its correction is not determined."
    INCONSISTENT = 4, "Most of the shifts measured with the image contradict the others: it was left out."
    UNCHECKED = 8, "A single shift ties the image to the others: nothing would tell if that one were wrong."
    PAIR_REJECTED = 16, "A shift measured with the image contradicts the others and was not used."

    UNRESOLVED = 32, "Shifts measured with the image contradict each other; which is wrong cannot be told."

    LEFT_OUT = 1 | 2 | 4, "The image has no correction."
    UNTRUSTED = 1 | 2 | 4 | 32, "There is no correction that may be applied without a look at it."

    @property
    def trusted(self) -> bool:
        """Whether the image has a correction that can be used as it is."""
        return not self & StackFlag.UNTRUSTED


def describe_stack(flags: StackFlag | int) -> list[str]:
    """Say in words what a combination of flags means.

    Parameters
    ----------
    flags : StackFlag or int
        The flags of an image of a stack.

    Returns
    -------
    list of str
        One "NAME: sentence" a flag, in the order of the bits; empty for 0.
    """
    return [f"{flag.name}: {flag.sentence}" for flag in StackFlag(int(flags))]
