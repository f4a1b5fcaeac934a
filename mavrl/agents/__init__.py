"""Agents: what a policy is paid, its training by PPO, experts and imitation."""
