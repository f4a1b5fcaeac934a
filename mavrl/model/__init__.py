"""The reward model: posterior and prior, where Q comes from, the objectives, the learner, and saved models."""
