"""Who acts in the data."""

from mavrl.policies.boltzmann import boltzmann_policy

__all__ = ["boltzmann_policy"]
