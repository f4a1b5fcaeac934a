"""Feedback: one file for each kind, and how it is asked for, answered, kept and served."""
