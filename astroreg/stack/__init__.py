"""Many images at once: the corrections of a stack of exposures, measured by any number of workers."""

from astroreg.stack.flags import StackFlag, describe_stack
from astroreg.stack.pairs import PairShift
from astroreg.stack.result import StackImage, StackResult
from astroreg.stack.stacking import align_stack

__all__ = ["PairShift", "StackFlag", "StackImage", "StackResult", "align_stack", "describe_stack"]
