"""SAC of Stable-Baselines3 and its policies: actor and critics, as `mavrl.policies.gaussian` keeps them."""

from typing import Any

import torch
from stable_baselines3 import SAC
from stable_baselines3.common.vec_env import VecEnv

from mavrl.actions import VectorActions
from mavrl.agents.ppo_settings import schedule
from mavrl.policies.gaussian import GaussianPolicy
from mavrl.policies.storing import Layers


def sac(env: VecEnv, settings: dict[str, Any], seed: int) -> SAC:
    """A SAC with these hyperparameters, before its training.

    Args:
        settings: by the names of Stable-Baselines3, with hidden_sizes of all networks.
        seed: of weights, actions and batches.
    """
    settings = dict(settings)
    policy = {"net_arch": list(settings.pop("hidden_sizes"))}
    if isinstance(frequency := settings.get("train_freq"), list):
        settings["train_freq"] = tuple(frequency)  # as Stable-Baselines3 takes it, which YAML has not
    rate = schedule(settings.pop("learning_rate"))
    return SAC("MlpPolicy", env, learning_rate=rate, policy_kwargs=policy, seed=seed, device="cpu", **settings)


def policy_of_sac(model: SAC, actions: VectorActions) -> GaussianPolicy:
    """A copy of the present actor, with the critics that value its actions."""
    actor = model.actor
    assert isinstance(actor.mu, torch.nn.Linear)
    assert isinstance(actor.log_std, torch.nn.Linear)
    weight, bias = (
        torch.cat([getattr(each, name).detach() for each in (actor.mu, actor.log_std)]) for name in ("weight", "bias")
    )
    critics = tuple(_layers(critic) for critic in model.critic.q_networks)
    return GaussianPolicy.from_layers([*_layers(actor.latent_pi), (weight, bias)], "relu", "tanh", actions, critics)


def _layers(network: torch.nn.Module) -> Layers:
    linear = [module for module in network.modules() if isinstance(module, torch.nn.Linear)]
    return [(module.weight.detach().clone(), module.bias.detach().clone()) for module in linear]
