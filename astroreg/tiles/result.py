"""`ShiftField`: the shifts of the tiles of an image, and the linear model that they support."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import QTable

from astroreg.flags import ShiftFlag
from astroreg.tiles import summary
from astroreg.tiles.flags import FieldFlag
from astroreg.tiles.models import LinearModel

__all__ = ["ShiftField", "TileShift"]


@dataclass(frozen=True, eq=False)
class TileShift:
    """The shift of one tile.

    Attributes
    ----------
    x, y : float
        Pixel of the image: the middle of the good pixels of the tile.
    bounds : tuple of int
        (x0, y0, x1, y1): its pixels are x0 <= x < x1 and y0 <= y < y1.
    shift : Quantity
        (dx, dy) in pixel, of the image relative to the reference; NaN where there is none.
    covariance : Quantity
        (2, 2) in pixel2.
    residual : Quantity
        (dx, dy) in pixel: what the chosen model leaves.
    flags : ShiftFlag
        What is doubtful about the shift.
    used : bool
        Whether the models rest on it.
    n_pixels : int
        Number of pixels used.
    reduced_chi2 : float
        Of the pixels of the tile.
    """

    x: float
    y: float
    bounds: tuple[int, int, int, int]
    shift: u.Quantity
    covariance: u.Quantity
    residual: u.Quantity
    flags: ShiftFlag = ShiftFlag(0)
    used: bool = False
    n_pixels: int = 0
    reduced_chi2: float = np.nan

    @property
    def shift_error(self) -> u.Quantity:
        """Marginal 1-sigma errors of the shift, (x, y) in pixel."""
        return np.sqrt(np.diagonal(self.covariance.value)) * u.pixel


@dataclass(frozen=True, eq=False, repr=False)
class ShiftField:
    """The shifts of the tiles of an image, and the linear model that they support.

    Attributes
    ----------
    tiles : tuple of TileShift
        Row by row.
    models : mapping of LinearModel
        All that were fitted, by name.
    geometry : str
        Name of the model that the data support, or that was asked for; empty where there is none.
    flags : FieldFlag
        What is doubtful about the field; 0 = all well.
    pivot_pixel : tuple of float
        Pixel (x, y) of the image at which the shifts of the models are told.
    method : str
        Name of the method that measured the tiles.
    iterations : int
        Number of passes made.
    image_shape : tuple of int
        Rows and columns of the image.
    reference_label, image_label : str
        Names of the two.
    """

    tiles: tuple[TileShift, ...]
    models: Mapping[str, LinearModel] = field(default_factory=dict)
    geometry: str = ""
    flags: FieldFlag = FieldFlag(0)
    pivot_pixel: tuple[float, float] = (np.nan, np.nan)
    method: str = ""
    iterations: int = 0
    image_shape: tuple[int, int] = (0, 0)
    reference_label: str = ""
    image_label: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "models", MappingProxyType(dict(self.models)))

    def __len__(self) -> int:
        return len(self.tiles)

    @property
    def model(self) -> LinearModel | None:
        """The model that was chosen; None where nothing is determined."""
        return self.models.get(self.geometry)

    @property
    def ok(self) -> bool:
        """Whether there is a model that can be used as it is."""
        return self.model is not None and self.flags.trusted

    @property
    def distorted(self) -> bool:
        """Whether no linear model explains the shifts."""
        return FieldFlag.DISTORTION in self.flags

    @property
    def places(self) -> np.ndarray:
        """Pixels (x, y) of the tiles, shape (n, 2)."""
        return np.array([(tile.x, tile.y) for tile in self.tiles])

    @property
    def shifts(self) -> u.Quantity:
        """The shifts of the tiles, shape (n, 2), in pixel; NaN where there is none."""
        return np.array([tile.shift.value for tile in self.tiles]) * u.pixel

    def plot(self, ax: Any = None) -> Any:
        """Draw the shifts as arrows; tiles that were left out are circles.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; the default is a new figure.

        Returns
        -------
        list of Artist
            What was drawn.
        """
        return self._plotted(self.shifts, ax)

    def plot_residuals(self, ax: Any = None) -> Any:
        """Draw what the chosen model leaves of the shifts.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; the default is a new figure.

        Returns
        -------
        list of Artist
            What was drawn.
        """
        return self._plotted([tile.residual.value for tile in self.tiles] * u.pixel, ax)

    def _plotted(self, shifts: u.Quantity, ax: Any) -> Any:
        from astroreg.plotting import plot_shift_field

        return plot_shift_field(*self.places.T, shifts, flagged=[not tile.used for tile in self.tiles], ax=ax)

    def to_table(self) -> QTable:
        """Return one row a tile, which can be written as ECSV and read back.

        Returns
        -------
        QTable
            Columns with units; NaN for what is unknown. Its ``meta`` tells the models and the flags.
        """
        return summary.to_table(self)

    def to_models_table(self) -> QTable:
        """Return one row a model, with all parameters and their errors.

        Returns
        -------
        QTable
            Columns with units; ``chosen`` says which one was taken.
        """
        return summary.to_models_table(self)

    def history(self) -> list[str]:
        """Return what a header should say about the model that was taken.

        Returns
        -------
        list of str
            Lines for HISTORY; none where there is no model.
        """
        return summary.history_lines(self)

    def rows_of_model(self) -> list[tuple[str, str]]:
        """Return the model that was taken, in words, without its shift.

        Returns
        -------
        list of (str, str)
            Names and texts; none where there is no model.
        """
        return summary.rows_of_model(self)

    def __str__(self) -> str:
        return summary.to_text(self)

    def __repr__(self) -> str:
        return f"<ShiftField {str(self).splitlines()[0]}>"

    def _repr_html_(self) -> str:
        return summary.to_html(self)
