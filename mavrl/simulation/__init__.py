"""Simulation: episodes and segments that policies yield in an environment, tabular or stepped."""
