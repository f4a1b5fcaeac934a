"""The task that takes a learned reward to other dynamics."""

import json
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mavrl.errors import ConfigurationError
from mavrl.storage.files import write_json


def transfer(config: DictConfig) -> float:
    """Act on the reward model of `run_dir` under the dynamics of `env`, and compare with the true reward there.

    Grids are planned again; control policies are trained again, on the learned and on the true reward, with the same
    settings and seeds. Writes transfer/<dynamics>.json into the run. Returns the mean normalized return.
    """
    directory = Path(config.run_dir) if config.run_dir else None
    if directory is None or not (directory / "reward_model").is_dir():
        raise ConfigurationError("run_dir", config.run_dir, "must be the directory of a finished run")
    trained = OmegaConf.load(directory / ".hydra" / "config.yaml")
    assert isinstance(trained, DictConfig)
    if trained.env.name != config.env.name:
        allowed = f"{directory} is a run of {trained.env.name}; add env={trained.env.name}"
        raise ConfigurationError("env", config.env.name, allowed)
    changed = _changed_dynamics(trained, config)
    how = {key: config[key] for key in ("progress", "processes", "paths")}
    moved: Any = OmegaConf.merge(trained, {"env": changed, **how})
    found = _of_grid(moved, directory) if config.env.family == "grid" else _of_control(moved, directory, changed)
    result = {"env": config.env.name, "run": str(directory), "dynamics": changed, **found}
    name = "_".join(f"{key}={value}" for key, value in _flat(changed).items())
    write_json(directory / "transfer" / f"{name}.json", result)
    print(json.dumps(result, indent=1))
    print(directory / "transfer" / f"{name}.json")
    return result["mean"]["normalized_return"]


def _changed_dynamics(trained: DictConfig, config: DictConfig) -> dict[str, Any]:
    """The dynamics asked for, where they are not those of the run."""
    if config.env.family == "grid":
        if config.env.p_rand == trained.env.p_rand:
            allowed = "are the dynamics of the run; choose another env.p_rand"
            raise ConfigurationError("env.p_rand", config.env.p_rand, allowed)
        return {"p_rand": config.env.p_rand}
    wanted, before = (OmegaConf.to_container(c.env.perturbation) for c in (config, trained))
    if wanted == before:
        raise ConfigurationError("env.perturbation", wanted, "are the dynamics of the run; perturb something")
    return {"perturbation": wanted}


def _of_grid(config: DictConfig, directory: Path) -> dict[str, Any]:
    from mavrl.evaluation.summary import summarize
    from mavrl.families.grid.family import FiniteSetting
    from mavrl.tasks.evaluate import one_thread

    with one_thread():
        values = FiniteSetting(config).judge(directory)
    return summarize({name: values[name] for name in ("normalized_return", "regret", "discounted_value")})


def _of_control(config: DictConfig, directory: Path, changed: dict[str, Any]) -> dict[str, Any]:
    import dataclasses

    import torch

    from mavrl.evaluation.returns import normalized_return
    from mavrl.evaluation.summary import summarize
    from mavrl.families.control.family import ControlSetting
    from mavrl.model.reward_model import load_reward_model
    from mavrl.model.step_reward import StepRewardModel
    from mavrl.policies.network import NetworkPolicy
    from mavrl.workers import workers

    if config.policy.name != "ppo":
        raise ConfigurationError("policy", config.policy.name, "uses no reward, so there is none to act on")
    model = load_reward_model(directory)
    assert isinstance(model, StepRewardModel)
    name = "_".join(f"{key}={value}" for key, value in _flat(changed).items())
    with workers(config.processes) as pool:
        setting = ControlSetting(config, pool)
        place = directory / "transfer" / name
        learned = [
            dataclasses.replace(setting.job(directory, k, None), directory=place / "learned" / str(k))
            for k in range(len(model))
        ]
        true = [
            dataclasses.replace(job, reward="true", model=None, directory=place / "true" / str(k))
            for k, job in enumerate(learned)
        ]
        setting.train([*learned, *true])
        returns = {
            who: torch.tensor([setting.returns(NetworkPolicy.load(job.directory)).mean() for job in jobs])
            for who, jobs in (("learned", learned), ("true", true))
        }
        before = torch.tensor([setting.returns(setting.policy(directory, model, k)).mean() for k in range(len(model))])
        uniform = float(setting.uniform_returns().mean())
    optimal = float(returns["true"].max())
    values = {
        "normalized_return": normalized_return(returns["learned"], optimal, uniform),
        "mean_return": returns["learned"],
        "normalized_return_of_old_policy": normalized_return(before, optimal, uniform),
        "normalized_return_of_true_reward": normalized_return(returns["true"], optimal, uniform),
    }
    constants = {"optimal": optimal, "uniform": uniform, "optimal_is": "the best policy trained on the true reward"}
    return {**summarize(values), "normalization": constants, "episodes": config.evaluation.episodes}


def _flat(changed: dict[str, Any]) -> dict[str, Any]:
    inner = changed.get("perturbation", changed)
    return {key: value for key, value in inner.items() if value is not None} or {"dynamics": "nominal"}
