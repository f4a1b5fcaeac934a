"""Evaluation: returns, distances, calibration and exact posteriors, and the judgements that metrics are read off."""
