"""Training: the parts of a run, Lightning around them, and the one function that is a run."""
