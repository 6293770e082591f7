"""Time and peak memory of one registration; `asv run` from the root of the project."""

from __future__ import annotations

import warnings

from reproject import reproject_interp

import astroreg
from astroreg import AstroregWarning, Reference, align, chi2_shift, measure, register_series

from .pairs import make_grids, make_pair

METHODS = ("chi2_shift", "register_images", "cross_correlation_shift")
SIZES = (256, 1024, 2048)
SERIES = 4  # images measured against one reference


class Registering:
    """One registration: over size, precision, kind of pair and method."""

    params = (SIZES, ("f4", "f8"), ("uniform", "varying", "masks"), METHODS)
    param_names = ("size", "dtype", "scene", "method")
    timeout = 300

    def setup(self, size, dtype, scene, method):
        """Make the pair, and load what is loaded at the first use."""
        warnings.simplefilter("ignore", AstroregWarning)
        self.method = getattr(astroreg, method)
        self.method(*make_pair(64, dtype=dtype, scene=scene))
        self.pair = make_pair(size, dtype=dtype, scene=scene)

    def time_register(self, size, dtype, scene, method):
        """Time one registration."""
        self.method(*self.pair)

    def peakmem_register(self, size, dtype, scene, method):
        """Peak memory of the process, images and libraries included."""
        self.method(*self.pair)


class Inputs:
    """The images alone: what to subtract from the memory of `Registering`."""

    params = (SIZES, ("f4", "f8"))
    param_names = ("size", "dtype")
    timeout = 300

    def setup(self, size, dtype):
        """Load the same libraries as `Registering` does."""
        chi2_shift(*make_pair(64, dtype=dtype))
        self.pair = make_pair(size, dtype=dtype)

    def peakmem_inputs(self, size, dtype):
        """Peak memory of the process with nothing but the images."""
        return self.pair


class AllMethods:
    """The three methods on one prepared pair."""

    params = (SIZES,)
    param_names = ("size",)
    timeout = 300

    def setup(self, size):
        """Make the pair."""
        self.pair = make_pair(size)

    def time_measure(self, size):
        """Time `measure`."""
        measure(*self.pair)


class Series:
    """Many images against one reference: with `Reference`, several at once, and by repeated calls."""

    params = (SIZES, METHODS)
    param_names = ("size", "method")
    timeout = 300

    def setup(self, size, method):
        """Make the reference and one image: that the images are equal changes no time."""
        self.method = getattr(astroreg, method)
        self.reference, self.image = make_pair(size)

    def time_reference(self, size, method):
        """Time a series with what is kept."""
        reference = Reference(self.reference)
        for _ in range(SERIES):
            self.method(reference, self.image)

    def time_at_once(self, size, method):
        """Time a series of which several are registered at once."""
        list(register_series(self.reference, [self.image] * SERIES, method=self.method))

    def time_repeated(self, size, method):
        """Time the same without."""
        for _ in range(SERIES):
            self.method(self.reference, self.image)

    def peakmem_reference(self, size, method):
        """Peak memory of the process, images and libraries included."""
        self.time_reference(size, method)


class Aligning:
    """Two images on different grids: `align`, and what it costs to bring one onto the grid of the other."""

    params = ((1024, 2048), (0, 20), METHODS)
    param_names = ("size", "rotation", "method")
    timeout = 300

    def setup(self, size, rotation, method):
        """Make the pair, and load what is loaded at the first use."""
        warnings.simplefilter("ignore", AstroregWarning)
        self.method = getattr(astroreg, method)
        align(*make_grids(64, rotation=rotation), method=self.method)
        self.pair = make_grids(size, rotation=rotation)

    def time_align(self, size, rotation, method):
        """Time `align`."""
        align(*self.pair, method=self.method)

    def time_reproject(self, size, rotation, method):
        """Time `reproject.reproject_interp`, which is bilinear unless told otherwise."""
        reference, image = self.pair
        reproject_interp((reference.data, reference.wcs), image.wcs, shape_out=image.data.shape)

    def peakmem_align(self, size, rotation, method):
        """Peak memory of the process, images and libraries included."""
        align(*self.pair, method=self.method)
