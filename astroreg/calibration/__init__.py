"""How true the quoted errors are: methods run over many draws of the noise, and over a user's own images.

- `compare_methods` runs methods over fresh noise on a simulated pair and tables what came out.
- `calibrate` does the same around two images of the user (parametric bootstrap from the fit).
- `plot_compare_methods` draws either table.
"""

from astroreg.calibration.bootstrap import calibrate, fitted_pair
from astroreg.calibration.comparison import compare_methods
from astroreg.calibration.figure import plot_compare_methods

__all__ = ["calibrate", "compare_methods", "fitted_pair", "plot_compare_methods"]
