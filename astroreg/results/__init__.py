"""What a measurement gives: `ShiftResult`, the small records in it, and how it is shown and applied."""

from astroreg.flags import ShiftFlag
from astroreg.results.corrected import correct_nddata
from astroreg.results.records import ConfidenceEllipse, DeltaChi2Map, RivalPeak
from astroreg.results.shift import ShiftResult
from astroreg.results.summary import format_measurement

__all__ = [
    "ConfidenceEllipse",
    "DeltaChi2Map",
    "RivalPeak",
    "ShiftFlag",
    "ShiftResult",
    "correct_nddata",
    "format_measurement",
]
