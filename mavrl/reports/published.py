"""The published figures (ICML 2026): best search trial of each cell, with its tuned settings."""

import json
from functools import cache
from importlib import resources
from typing import Any

from mavrl.configuration.plain import written

_POLICY_KEYS = {"n_timesteps": "total_steps", "reward_thresh": "stop_below"}
_PUBLISHED_POLICY_KEYS = (
    "reward_thresh",
    "n_envs",
    "n_timesteps",
    "learning_rate",
    "clip_range",
    "ent_coef",
    "vf_coef",
    "gae_lambda",
    "max_grad_norm",
    "gamma",
    "n_steps",
    "n_epochs",
    "batch_size",
)


@cache
def published_cells() -> dict[tuple[str, str], dict[str, Any]]:
    """The published cells by environment and modality: normalized_return, stderr, n_seeds, epic_distance, settings."""
    text = resources.files("mavrl.reports").joinpath("published_fixed_allocation.json").read_text(encoding="utf-8")
    return {(cell["env"], cell["modality"]): cell for cell in json.loads(text)["cells"]}


def published_overrides(env: str, modality: str) -> list[str]:
    """The overrides of the command line for the reference protocol with the cell's tuned settings."""
    cell = published_cells()[env, modality]
    model = ("bellman_weight", "kl_weight", "hidden_sizes", "importance_weights")
    tuned = [f"{'model' if key in model else 'optim'}.{key}={written(x)}" for key, x in cell["tuned"].items()]
    policy = [
        f"policy.{_POLICY_KEYS.get(key, key)}={written(x)}"
        for key, x in cell.get("ppo", {}).items()
        if key in _PUBLISHED_POLICY_KEYS
    ]
    return ["experiment=reference", *tuned, *policy]
