"""Learning about control environments: a reward of every transition, and a Q that is learned beside it."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mavrl.actions import Actions
from mavrl.configuration.settings import RunSettings
from mavrl.families.base import PRIOR_MEAN_AT_TERMINATION
from mavrl.feedback.combined import CombinedDataModule
from mavrl.feedback.rationality import UnknownRationality
from mavrl.model.action_heads import action_head
from mavrl.model.layers import BatchedMLP, Standardization, restandardize
from mavrl.model.objective import RewardInference
from mavrl.model.posterior import InverseStepPosterior, RewardPrior, StepPosterior
from mavrl.model.step_reward import StepRewardModel
from mavrl.model.support import StepSupport
from mavrl.model.values import LearnedStepValues, StepValues
from mavrl.streams import model_streams
from mavrl.types import Transitions

_RESOLUTION = 1e-6  # of float32 sums: a deviation that is a smaller part of the largest value is rounding
_LEAST = 1e-25  # deviation of what is always 0; something else divided by it is still finite in float32
_PART = 4096  # transitions that are evaluated at once

_BACKUP = ("gamma", "backup", "soft_temperature")

ControlInference = RewardInference[StepPosterior, StepValues]


def control_inference(
    settings: RunSettings, n_features: int, actions: Actions, gamma: float, termination: str, data: CombinedDataModule
) -> ControlInference:
    """What is learned from feedback about transitions between observations.

    Args:
        n_features: O.
        actions: of the environment.
        gamma: discount of the learned Q.
        termination: what it means that an episode terminates.
    """
    model, models = settings.model, data.models
    at_termination = PRIOR_MEAN_AT_TERMINATION[termination]
    standardization = standardization_of(data, n_features, settings.members, model.standardize)
    head = action_head(actions)
    network = BatchedMLP(n_features, model.hidden_sizes, head.n_outputs, model_streams(models, "q"))
    of_features = (n_features, head, model.reward_domain, model.hidden_sizes, model_streams(models, "encoder"))
    backup = {"gamma": gamma, "backup": model.backup, "soft_temperature": model.soft_temperature}
    posterior: StepPosterior
    values: StepValues
    if model.q == "inverse":
        posterior = InverseStepPosterior(*of_features, standardization, at_termination, q=network, **backup)
        values = StepValues(network, standardization)
    else:
        posterior = StepPosterior(*of_features, standardization, at_termination)
        values = LearnedStepValues(network, head, standardization=standardization, **backup)
    prior, mean = model.prior, torch.full((1,), at_termination)
    return RewardInference(
        posterior,
        RewardPrior(mean, prior.scale, len(models), prior.hyperprior_shape, prior.hyperprior_rate),
        values,
        data.likelihoods(),
        lambda batches, scales, valued: StepSupport(batches, scales, valued, model.kl_count, head),
    )


def standardization_of(data: CombinedDataModule, n_features: int, members: int, active: bool) -> Standardization:
    """Standardization by mean and standard deviation of each replicate's observations, for all of its members."""
    states, valid = all_states(data)
    if not active:
        return Standardization.identity(len(states) * members, n_features)
    return Standardization(*(x.repeat_interleave(members, dim=0) for x in mean_and_deviation(states, valid)))


@torch.no_grad()
def control_weights(
    inference: ControlInference, data: CombinedDataModule, settings: RunSettings, n_features: int, actions: Actions
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights of a learned reward and of its Q, and what is needed to build them again."""
    posterior, likelihoods = inference.posterior, inference.likelihoods
    inverse = posterior if isinstance(posterior, InverseStepPosterior) else None
    read = inverse is not None or any(likelihood.reads == "q" for likelihood in likelihoods.values())
    network = inference.values.told() if read else None
    demonstrated, of_demonstrators = settings.feedback.get("demonstration"), likelihoods.get("demonstration")
    learned = None
    if demonstrated is not None and isinstance(of_demonstrators, UnknownRationality):
        learned = demonstrated["model_rationality"] * of_demonstrators.factor.drawn().squeeze(1)
    on_feedback = reward_on_feedback(posterior, data, settings.members)
    model = StepRewardModel(posterior, network, on_feedback, {}, rationality=learned)
    form = {
        "kind": "steps",
        "reward_domain": settings.model.reward_domain,
        "n_features": n_features,
        **actions.described,
        "reward_at_termination": posterior.at_termination,
        **({} if inverse is None else {"inverse": {name: getattr(inverse, name) for name in _BACKUP}}),
        "demonstration_rationality": None if demonstrated is None else demonstrated["model_rationality"],
    }
    return {**model.tensors(), "prior.variance": inference.prior.variance}, form


@torch.no_grad()
def go_on(inference: ControlInference, weights: Mapping[str, Tensor]) -> None:
    """Begin a learning with the weights that an earlier one ended with, whose observations had other moments.

    Args:
        weights: of the earlier one, by their names in its state.
    """

    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): t for name, t in weights.items() if name.startswith(prefix)}

    posterior = inference.posterior
    before = Standardization.identity(*posterior.standardization.mean.shape[::2])
    before.load_state_dict(part("posterior.standardization."))
    posterior.go_on_from(part("posterior.encoder."), before)
    network = inference.values.network
    network.load_state_dict(part("values.network."))
    restandardize(network.layers[0], slice(None), before, posterior.standardization)  # type: ignore[arg-type]
    likelihoods = {name: t for name, t in weights.items() if name.startswith("_likelihoods.")}
    inference.load_state_dict(likelihoods, strict=False)
    inference.prior.load_state_dict(part("prior."))


def reward_on_feedback(
    posterior: StepPosterior, data: CombinedDataModule, members: int
) -> tuple[Float[Tensor, "RM"], Float[Tensor, "RM"]]:
    """Mean and standard deviation of each model's mean reward over the transitions of its feedback."""
    rewards, valid = [], []
    for steps in _parts(data):
        part = steps.repeat_replicates(members)
        nowhere = torch.zeros_like(part.terminal)
        rewards.append(posterior.transition_moments(part.state, part.action, part.next_state, nowhere)[0])
        valid.append(part.valid)
    mean, deviation = mean_and_deviation(torch.cat(rewards, dim=1)[..., None], torch.cat(valid, dim=1))
    return mean[..., 0], deviation[..., 0]


def mean_and_deviation(
    values: Float[Tensor, "R N F"], valid: Bool[Tensor, "R N"]
) -> tuple[Float[Tensor, "R F"], Float[Tensor, "R F"]]:
    """Mean and standard deviation of the valid values of each feature, whatever unit they are in.

    The deviation is above 0 also where a feature is constant, and then so small that only what has never been seen is
    far from the mean. Values are divided by a power of 2 near the largest one meanwhile: squares neither overflow nor
    vanish, and no digit changes.
    """
    kept = torch.where(valid[..., None], values, 0.0)
    largest = kept.abs().amax(1)
    mantissa, _ = torch.frexp(largest)
    unit = torch.where(largest > 0, largest / (2 * mantissa), 1.0)
    scaled, count = kept / unit[:, None], valid.sum(1).clamp(min=1)[:, None]
    mean = scaled.sum(1) / count
    variance = torch.where(valid[..., None], (scaled - mean[:, None]).square(), 0.0).sum(1) / count
    deviation = torch.maximum(variance.sqrt() * unit, _RESOLUTION * largest)
    return mean * unit, deviation.clamp(min=_LEAST)


def all_states(data: CombinedDataModule) -> tuple[Float[Tensor, "R N O"], Bool[Tensor, "R N"]]:
    """The states of all feedback to learn from, and which of them are real."""
    steps = [batch.transitions.flatten() for batch in data.train_sets.values()]
    return torch.cat([part.state for part in steps], dim=1), torch.cat([part.valid for part in steps], dim=1)


def _parts(data: CombinedDataModule) -> Iterator[Transitions]:
    """All transitions of the feedback, a few at a time."""
    for batch in data.train_sets.values():
        steps = batch.transitions.flatten()
        for k in range(0, steps.valid.shape[1], _PART):
            yield steps.map(lambda tensor, k=k: tensor[:, k : k + _PART])
