"""Configuration: what is allowed in it, what of it makes a result, typed settings, and what can be extended."""
