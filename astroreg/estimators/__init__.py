"""Arrays in, arrays out: what measures a shift, with no knowledge of units, WCS or warnings.

The pieces, in the order in which a registration uses them:

- `~astroreg.estimators.noise`: the noise level, where none is given;
- `~astroreg.estimators.correlation`: the masked, overlap-normalised correlation and its peak;
- `~astroreg.estimators.overlap`: both images on one canvas, aligned to the whole pixel;
- `~astroreg.estimators.alignment`: the two images brought to a common frame, gaps predicted;
- `~astroreg.estimators.chi_squared`, `~astroreg.estimators.taylor`,
  `~astroreg.estimators.upsampled`: the three fine steps;
- `~astroreg.estimators.covariance`: the errors of any of them;
- `~astroreg.estimators.registration`: all of the above in order.
"""
