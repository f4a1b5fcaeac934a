"""One page about a run, several runs or a study: one HTML file that needs no network."""
