"""Who acts in the data."""

from mavrl.behaviour.boltzmann import boltzmann_policy

__all__ = ["boltzmann_policy"]
