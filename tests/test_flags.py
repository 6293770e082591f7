"""The flags: defined once, each with one bit, one name and one sentence."""

from __future__ import annotations

import copy
import pickle

import pytest

from astroreg.flags import ShiftFlag, describe


def test_every_flag_has_a_bit_of_its_own():
    bits = [int(flag) for flag in ShiftFlag]
    assert bits == [2**k for k in range(len(bits))]


@pytest.mark.parametrize("flag", list(ShiftFlag))
def test_every_flag_has_one_sentence(flag):
    assert flag.sentence.endswith(".")
    assert ". " not in flag.sentence
    assert "\n" not in flag.sentence


def test_bits_are_what_files_hold():
    """Tables and JSON store the number: it must not change between versions."""
    assert {flag.name: int(flag) for flag in ShiftFlag} == {
        "NO_SIGNAL": 1,
        "NO_OVERLAP": 2,
        "SMALL_OVERLAP": 4,
        "AT_SEARCH_BOUND": 8,
        "RIVAL_PEAK": 16,
        "FIXED_PATTERN": 32,
        "BAD_CHI2": 64,
        "NOT_CONVERGED": 128,
        "NOISE_ESTIMATED": 256,
        "ROLL_AMBIGUOUS": 512,
        "LOW_SNR": 1024,
    }


def test_trusted():
    assert ShiftFlag(0).trusted
    assert (ShiftFlag.NOISE_ESTIMATED | ShiftFlag.BAD_CHI2).trusted
    assert not ShiftFlag.LOW_SNR.trusted
    assert not (ShiftFlag.NOISE_ESTIMATED | ShiftFlag.NO_SIGNAL).trusted


def test_describe():
    assert describe(ShiftFlag(0)) == []
    assert describe(17) == [
        f"NO_SIGNAL: {ShiftFlag.NO_SIGNAL.sentence}",
        f"RIVAL_PEAK: {ShiftFlag.RIVAL_PEAK.sentence}",
    ]


def test_flags_can_be_stored():
    flags = ShiftFlag.LOW_SNR | ShiftFlag.NO_SIGNAL
    assert pickle.loads(pickle.dumps(flags)) == flags
    assert copy.deepcopy(flags) == flags
    assert ShiftFlag(int(flags)) == flags
