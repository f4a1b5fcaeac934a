"""Returns beside those of the same agent on the true reward, where such a run is among those that are shown."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from mavrl.statistics import mean_and_stderr
from mavrl.storage.index import Run

_RETURN = "normalized_return"
_PAID = {  # settings of policy that say what is paid of a learned reward: they mean nothing to an agent on the true one
    "reward", "kappa", "sample_per", "standardize", "clip", "termination_weight", "reference_weight", "warm_start",
}  # fmt: skip
_OF_LEARNER = {"termination"}  # settings of env likewise


def relative_returns(runs: Sequence[Run]) -> list[tuple[float, float | None] | None]:
    """The return of each run in percent of the return of the same agent on the true reward, and its standard error.

    Both are counted from the uniform policy, as normalized returns are: 0 is as good as it, 100 as good as the agent
    that is paid the true reward (`policy.reward=true_reward`), in the mean over the seeds of the run. The same agent
    has the same environment, settings of the policy and evaluation. The error is that of the run alone.

    Returns:
        One entry for each run; None where no run of these seeds is such an agent, or where it is no better than the
        uniform policy, and for runs that are paid nothing learned.
    """
    true: dict[str, dict[int, float]] = {}
    for run in runs:
        if _reward(run) == "true_reward":
            true.setdefault(_agent(run), {}).update(_by_seed(run))
    return [_relative(run, true.get(_agent(run), {})) if true else None for run in runs]


def _relative(run: Run, true: Mapping[int, float]) -> tuple[float, float | None] | None:
    values = _by_seed(run)
    if _reward(run) not in ("lower_bound", "mean", "sample") or not values or not values.keys() <= true.keys():
        return None
    mean, error = mean_and_stderr(list(values.values()))
    unit = sum(true[seed] for seed in values) / len(values) / 100
    return (mean / unit, None if error is None else error / unit) if unit > 0 else None


def _reward(run: Run) -> Any:
    """What the run's policy is paid; None where no policy is trained."""
    policy = run.config.get("policy")
    return policy.get("reward") if isinstance(policy, Mapping) else None


def _agent(run: Run) -> str:
    """What the same agent in the same environment has in common, as text."""
    env = {key: value for key, value in run.config.get("env", {}).items() if key not in _OF_LEARNER}
    policy = {key: value for key, value in run.config["policy"].items() if key not in _PAID} if _reward(run) else {}
    return json.dumps([env, policy, run.config.get("evaluation")], sort_keys=True)


def _by_seed(run: Run) -> dict[int, float]:
    """The normalized return of each seed whose training did not fail."""
    metrics = run.metrics
    values, failed = metrics.get("final", {}).get(_RETURN, []), metrics.get("failed_replicates", [])
    return {metrics["seed"] + k: value for k, value in enumerate(values) if k not in failed and math.isfinite(value)}
