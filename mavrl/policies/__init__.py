"""Policies: whoever acts, in the data and on a learned reward."""

from mavrl.policies.boltzmann import boltzmann_policy

__all__ = ["boltzmann_policy"]
