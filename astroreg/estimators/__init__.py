"""Arrays in, arrays out: what measures a shift, with no knowledge of units, WCS or warnings.

In the order in which a registration uses them:

- `~astroreg.estimators.noise`: the noise level, where none is given;
- `~astroreg.estimators.levels`: the images at the resolutions that are needed;
- `~astroreg.estimators.overlap_sums`, `~astroreg.estimators.correlation`,
  `~astroreg.estimators.fixed_pattern`: the coarse shift, its rivals, a detector's own pattern;
- `~astroreg.estimators.overlap`: both images on one canvas, aligned to the whole pixel;
- `~astroreg.estimators.alignment`, `~astroreg.estimators.template`: the two brought to a common frame, gaps
  predicted, the template's low-pass;
- `~astroreg.estimators.chi_squared`, `~astroreg.estimators.peak` with `~astroreg.estimators.taylor` and
  `~astroreg.estimators.upsampled`: the three fine steps;
- `~astroreg.estimators.equations`, `~astroreg.estimators.covariance`, `~astroreg.estimators.delta_chi2`,
  `~astroreg.estimators.detection`: the errors of any of them, and whether there is anything to measure;
- `~astroreg.estimators.registration`: all of the above, in order.
"""
