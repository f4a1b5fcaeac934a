"""Feedback folders: recorded episodes, and what people said about them; docs/feedback-format.md has the format."""
