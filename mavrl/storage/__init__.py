"""Storage: files that are whole or absent, run directories and their index, checkpoints, answered questions."""
