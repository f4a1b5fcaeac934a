"""The task that measures what normalized returns and baselines are made of."""

import json
from typing import Any

from omegaconf import DictConfig

from mavrl.errors import ConfigurationError


def normalize(config: DictConfig) -> None:
    """Measure the returns of the expert, of the uniform policy and of policies paid a constant, and print them.

    The constant-reward policies are trained by PPO with the settings of `policy`, one for each replicate's seed.
    """
    if config.env.family == "grid":
        found = _of_grid(config)
    else:
        if config.policy.name != "ppo":
            raise ConfigurationError("policy", config.policy.name, "must be ppo, which the baselines are trained with")
        found = _of_control(config)
    print(json.dumps({"env": config.env.name, **found}, indent=1))


def _of_grid(config: DictConfig) -> dict[str, Any]:
    from mavrl.evaluation.returns import ReferenceValues
    from mavrl.families.grid.family import build_problem

    reference = ReferenceValues.of(build_problem(config))
    constants = {"optimal": float(reference.optimal[0]), "uniform": float(reference.uniform[0])}
    return {"normalization": constants, "measured": "exactly, as discounted values at the start"}


def _of_control(config: DictConfig) -> dict[str, Any]:
    import tempfile
    from pathlib import Path

    import numpy as np

    from mavrl.agents.training import PolicyTraining
    from mavrl.configuration.identity import seeds
    from mavrl.families.control.family import ControlSetting, ppo_settings
    from mavrl.policies.network import NetworkPolicy
    from mavrl.workers import workers

    with workers(config.processes) as pool, tempfile.TemporaryDirectory() as scratch:
        setting = ControlSetting(config, pool)
        expert, uniform = setting.expert_returns(), setting.uniform_returns()
        jobs = {
            (name, seed): PolicyTraining(
                environment=setting.environment,
                ppo=ppo_settings(config.policy),
                reward=value,
                seed=seed,
                directory=Path(scratch) / name / str(seed),
                chunks=config.policy.evaluations,
                evaluation_episodes=config.policy.evaluation_episodes,
            )
            for name, value in (("positive", 1.0), ("negative", -1.0))
            for seed in seeds(config)
        }
        setting.train(list(jobs.values()))
        returns = {key: setting.returns(NetworkPolicy.load(job.directory)).mean() for key, job in jobs.items()}

    def baseline(name: str) -> float:
        return round(float(np.mean([value for (who, _), value in returns.items() if who == name])), 3)

    card = setting.demonstration_expert.card
    return {
        "normalization": {"optimal": round(float(expert.mean()), 3), "uniform": round(float(uniform.mean()), 3)},
        "stderr": {
            who: round(float(x.std(ddof=1) / len(x) ** 0.5), 3)
            for who, x in (("optimal", expert), ("uniform", uniform))
        },
        "baselines": {name: baseline(name) for name in ("positive", "negative")},
        "baseline_seeds": seeds(config),
        "episodes": config.evaluation.episodes,
        "expert": {key: card[key] for key in ("algorithm", "return_mean", "steps", "seed") if key in card},
    }
