"""What may be doubtful about a measured shift: every flag once, with its bit, its name and one sentence."""

from __future__ import annotations

import enum

__all__ = ["ShiftFlag", "describe"]


class ShiftFlag(enum.IntFlag):
    """Warnings attached to a measured shift; 0 means that all is well.

    The flags in the mask ``ShiftFlag.UNTRUSTED`` say that the shift must not be applied without
    a look at it (exit status 3 on the command line); the others say how to read its error.
    Each flag has one sentence of text, ``ShiftFlag.NO_SIGNAL.sentence``; `describe` lists
    those of a combination.

    Examples
    --------
    >>> from astroreg.flags import ShiftFlag
    >>> flags = ShiftFlag.LOW_SNR | ShiftFlag.NOISE_ESTIMATED
    >>> [flag.name for flag in flags]
    ['NOISE_ESTIMATED', 'LOW_SNR']
    >>> flags.trusted
    False
    """

    def __new__(cls, value: int, sentence: str = "") -> ShiftFlag:
        member = int.__new__(cls, value)
        member._value_ = value
        member.sentence = sentence
        return member

    NO_SIGNAL = 1, "No structure common to both images stands out of the noise: the shift is not determined."
    NO_OVERLAP = 2, "The images have no usable pixels in common: the shift is not determined."
    SMALL_OVERLAP = 4, "The shift rests on a small part of the images, where usable pixels overlap."
    AT_SEARCH_BOUND = 8, "The best shift lies at the edge of the searched range: the true one may lie beyond."
    RIVAL_PEAK = 16, "Another shift explains the images almost as well: the choice is not safe."
    FIXED_PATTERN = 32, "A pattern fixed to the detector correlates at zero shift: it was set aside."
    BAD_CHI2 = 64, "The residuals are not what the attached uncertainties promise: the errors may be wrong."
    NOT_CONVERGED = 128, "The refinement of the shift did not settle: shift and error are approximate."
    NOISE_ESTIMATED = 256, "No uncertainty was attached: the noise was estimated from the images themselves."
    ROLL_AMBIGUOUS = 512, "The roll, not measured, moves the corners of the field by more than the error."
    LOW_SNR = (
        1024,
        "Noise outweighs structure: the peak may be noise, and the error too small; use chi2_shift.",
    )

    UNTRUSTED = 1 | 2 | 4 | 8 | 16 | 128 | 1024, "The shift must not be applied without a look at it."

    @property
    def trusted(self) -> bool:
        """Whether none of the flags forbids to use the shift as it is."""
        return not self & ShiftFlag.UNTRUSTED


def describe(flags: ShiftFlag | int) -> list[str]:
    """Say in words what a combination of flags means.

    Parameters
    ----------
    flags : ShiftFlag or int
        The flags of a result.

    Returns
    -------
    list of str
        One "NAME: sentence" a flag, in the order of the bits; empty for 0.

    Examples
    --------
    >>> from astroreg.flags import describe
    >>> describe(0)
    []
    >>> describe(256)
    ['NOISE_ESTIMATED: No uncertainty was attached: the noise was estimated from the images themselves.']
    """
    return [f"{flag.name}: {flag.sentence}" for flag in ShiftFlag(int(flags))]
