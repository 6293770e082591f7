"""A field of shifts over an image, and the linear models of it: rotation, scale, shear, or distortion."""

from astroreg.tiles.flags import FieldFlag, describe_field
from astroreg.tiles.models import LinearModel
from astroreg.tiles.registering import register_tiles
from astroreg.tiles.result import ShiftField, TileShift

__all__ = ["FieldFlag", "LinearModel", "ShiftField", "TileShift", "describe_field", "register_tiles"]
