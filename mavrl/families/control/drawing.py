"""What the figures of a control environment are made of."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure

from mavrl.actions import Actions
from mavrl.evaluation.calibration import coverage_curve, probability_below
from mavrl.feedback.combined import CombinedDataModule
from mavrl.model.reward_model import RewardModel
from mavrl.reports.figures.coverage import coverage_figure
from mavrl.reports.figures.reward_slices import RewardSlice, reward_slice_figure
from mavrl.simulation.base import Simulated

_MOST_STEPS = 600  # of a run's feedback, kept for its figures
_POINTS = 41  # of a slice, each way
_LOOKS = 9  # values of a dimension that tell how much it matters
_RANGE = (0.02, 0.98)  # quantiles of visited states that are drawn, and that dimensions are varied between
_MOST_ACTIONS = 4  # columns of a figure: the actions that the feedback has most often
_CONSTANT = 1e-9  # deviation, as a part of the largest value, of what does not vary

# Dimensions of observations and actions of Gymnasium's environments, by id without the version.
_NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "CartPole": (("cart position", "cart velocity", "pole angle", "pole velocity"), ("left", "right")),
    "Acrobot": (
        ("cos angle 1", "sin angle 1", "cos angle 2", "sin angle 2", "velocity 1", "velocity 2"),
        ("torque -1", "no torque", "torque +1"),
    ),
    "LunarLander": (
        ("x", "y", "x velocity", "y velocity", "angle", "angular velocity", "left leg", "right leg"),
        ("no engine", "left engine", "main engine", "right engine"),
    ),
    "MountainCar": (("position", "velocity"), ("left", "no push", "right")),
    "MountainCarContinuous": (("position", "velocity"), ()),
    "Pendulum": (("cos angle", "sin angle", "angular velocity"), ()),
    "LunarLanderContinuous": (
        ("x", "y", "x velocity", "y velocity", "angle", "angular velocity", "left leg", "right leg"),
        (),
    ),
}


def feedback_steps(data: CombinedDataModule, actions: Actions) -> dict[str, np.ndarray]:
    """State, action and next state of steps of the first replicate's feedback, spread evenly over all of it.

    Args:
        actions: of the environment, in whose units they are given.
    """
    parts = []
    for batch in data.train_sets.values():
        steps = batch.transitions.flatten()
        valid = steps.valid[0]
        parts.append((steps.state[0][valid], steps.action[0][valid], steps.next_state[0][valid]))
    state, action, next_state = (torch.cat(each) for each in zip(*parts, strict=True))
    kept = torch.arange(min(_MOST_STEPS, len(action))) * len(action) // min(_MOST_STEPS, max(1, len(action)))
    arrays = {"state": state.float(), "action": actions.from_unit(action), "next_state": next_state.float()}
    return {name: tensor[kept].numpy() for name, tensor in arrays.items()}


def reward_slices(model: RewardModel, steps: Mapping[str, np.ndarray], environment: str, title: str) -> Figure | None:
    """Draw the reward over the two dimensions along which its mean varies most.

    Each dimension is varied alone, over what the feedback visits of it, while the others are at their median; how much
    it matters is the standard deviation of the mean reward, averaged over actions. Where the reward depends on the next
    state, this is the state and the median step of the feedback with that action. Of many actions the most frequent
    ones are drawn, and of a reward of states alone one column for all. Numbers of a vector as action are dimensions
    like those of the state.

    Args:
        model: of one replicate.
        steps: as `feedback_steps` gives them; None is drawn of none.
        environment: its id, by which dimensions and actions have names.
    """
    if not len(steps.get("action", ())) or steps["state"].shape[1] < 2:
        return None
    state, action = steps["state"], steps["action"]
    vectors = action.ndim > 1
    by_action = not vectors and (model.description["reward_domain"] != "s" or "inverse" in model.description)
    actions = np.zeros(1, dtype=np.int64)
    if not vectors:
        often = np.argsort(-np.bincount(action, minlength=model.description["n_actions"]), kind="stable")
        actions = np.sort(often[:_MOST_ACTIONS]) if by_action else often[:1]
    step = np.stack([_median_step(steps, None if vectors else int(each)) for each in actions])
    n_features = state.shape[1]
    place = np.concatenate([state, action], axis=1) if vectors else state
    low, high = np.quantile(place, _RANGE, axis=0)
    middle = np.median(place, axis=0)

    def moments(points: Float[np.ndarray, "P F"]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the reward, of shape (A, P)."""
        where = np.concatenate([points[:, :n_features]] * len(actions)).astype(np.float32)
        then = where + np.repeat(step, len(points), axis=0).astype(np.float32)
        taken = points[:, n_features:].astype(np.float32) if vectors else np.repeat(actions, len(points))
        found = model.mean(where, taken, then), model.std(where, taken, then)
        return found[0].reshape(len(actions), -1), found[1].reshape(len(actions), -1)

    matters = []
    for k in range(place.shape[1]):
        points = np.repeat(middle[None], _LOOKS, axis=0)
        points[:, k] = np.linspace(low[k], high[k], _LOOKS)
        matters.append(moments(points)[0].std(-1).mean() if high[k] > low[k] else -1.0)
    first, second = sorted(np.argsort(matters, kind="stable")[-2:].tolist())
    x, y = (_places(low[k], high[k]) for k in (first, second))
    points = np.repeat(middle[None], _POINTS**2, axis=0)
    points[:, first], points[:, second] = np.tile(x, _POINTS), np.repeat(y, _POINTS)
    mean, std = (each.reshape(-1, _POINTS, _POINTS) for each in moments(points))
    dimensions, of_actions = _names(environment)
    number = {k: f"action {k - n_features}" if k >= n_features else f"observation {k}" for k in (first, second)}
    named = [dimensions[k] if k < min(len(dimensions), n_features) else number[k] for k in (first, second)]
    columns = [of_actions[k] if k < len(of_actions) else f"action {k}" for k in actions]
    column = np.zeros(len(action), dtype=np.int64) if vectors else action
    reward = RewardSlice((named[0], named[1]), x, y, mean, std, column, place[:, [first, second]].astype(np.float64))
    return reward_slice_figure(reward, columns if by_action else ["median action" if vectors else "all actions"], title)


def coverage(model: RewardModel, steps: Simulated, title: str) -> Figure | None:
    """Draw the calibration of the reward's posterior on held-out steps; None where their true reward is constant."""
    valid, moves = steps.transitions.valid[0], steps.transitions
    truth = steps.reward[0][valid].double()[None]
    if float(truth.std()) <= _CONSTANT * float(truth.abs().max()):
        return None
    where = moves.state[0][valid], model.in_units(moves.action[0][valid]), moves.next_state[0][valid]
    levels, shares = coverage_curve(probability_below(model.mean(*where).double(), model.std(*where).double(), truth))
    return coverage_figure(levels.numpy(), shares.numpy(), "held-out steps", title)


def _median_step(steps: Mapping[str, np.ndarray], action: int | None) -> Float[np.ndarray, "O"]:
    """The median change of the state, with one action or, for None, with any."""
    taken: Any = np.arange(len(steps["action"])) if action is None else np.flatnonzero(steps["action"] == action)
    moved = (steps["next_state"] - steps["state"])[taken]
    return np.median(moved, axis=0) if len(taken) else np.zeros(moved.shape[1])


def _places(low: float, high: float) -> Float[np.ndarray, "P"]:
    aside = 0.5 if high <= low else 0.08 * (high - low)
    return np.linspace(low - aside, high + aside, _POINTS)


def _names(environment: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return _NAMES.get(environment.rpartition("-v")[0].rpartition("/")[2], ((), ()))
