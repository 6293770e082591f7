"""Spectral cubes: one shift from all channels together, or a shift a channel.

`components` turns the channels into a few images that hold all their structure; `joint` solves the equations
of `astroreg.chi2_shift` for all of these with one shift; `register` is the door, `channels` the shift of
each channel.
"""

from astroreg.cubes.channels import register_channels
from astroreg.cubes.register import register_cube
from astroreg.cubes.result import CubeShift

__all__ = ["CubeShift", "register_channels", "register_cube"]
