"""Where curves, results, figures and the reward model of a run go besides its directory: one file a destination."""
