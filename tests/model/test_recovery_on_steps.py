"""Is the right thing learned from transitions with observations? Rewards and demonstrators that are known."""

from typing import Any

import pytest
import torch

from mavrl.feedback.demonstration import DemonstrationLikelihood
from mavrl.feedback.preference import PreferenceLikelihood
from mavrl.feedback.rating import RatingLikelihood
from mavrl.model.objective import EvidenceLowerBound, RewardInference
from mavrl.model.step_reward import StepRewardModel
from mavrl.streams import StepNoise
from mavrl.types import Transitions

N_FEATURES, N_ACTIONS, N_CATEGORIES = 3, 4, 4  # of the fixtures


def _fit(model: RewardInference, batches: Any, steps: int, bellman_weight: float, lr: float = 0.02) -> None:
    sizes = {kind: batch.valid_samples.sum(-1).float() for kind, batch in batches.items()}
    objective, noise = EvidenceLowerBound(sizes, bellman_weight), StepNoise([(0, 0)], "train")
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    for step in range(steps):
        optimizer.zero_grad()
        objective(model, batches, lambda count, step=step: noise.draw(step, count)).total.sum().backward()
        optimizer.step()


def _observations(*shape: int, stream: torch.Generator) -> Transitions:
    """Independent observations and uniform actions; nothing ends."""
    action = torch.randint(N_ACTIONS, shape, generator=stream)
    state, following = (torch.randn(*shape, N_FEATURES, generator=stream) for _ in range(2))
    never = torch.zeros(shape, dtype=torch.bool)
    return Transitions(state, action, following, torch.zeros_like(action), never, ~never)


def _true_reward(steps: Transitions) -> torch.Tensor:
    of_action = torch.tensor([0.5, -0.5, 0.0, 0.0])
    return steps.state @ torch.tensor([1.0, -0.5, 0.0]) + of_action[steps.action]


@pytest.mark.parametrize("kind", ["preference", "rating"])
def test_a_known_reward_is_recovered(kind: str, make_control_inference: Any) -> None:
    """Linear in observation and action; judged by mean rewards of segments that no label was about."""
    stream = torch.Generator().manual_seed(0)
    steps = _observations(1, 800, *((2,) if kind == "preference" else ()), 4, stream=stream)
    reward = 5 * _true_reward(steps)
    likelihood = (
        PreferenceLikelihood(2.0)
        if kind == "preference"
        else RatingLikelihood.from_quantiles(reward.mean(-1), N_CATEGORIES)
    )
    model = make_control_inference([kind], n_models=1, hidden=(16,), scale=None)
    _fit(model, {kind: likelihood.sample(reward, steps, [stream])}, 250, 1.0)
    fresh = _observations(1, 500, 4, stream=stream)
    with torch.no_grad():
        flat = fresh.flatten()
        mean, _ = model.posterior.transition_moments(flat.state, flat.action, flat.next_state, flat.terminal)
    learned, truth = mean.view(500, 4).mean(-1), _true_reward(fresh)[0].mean(-1)
    assert torch.corrcoef(torch.stack([learned, truth]))[0, 1] > 0.9


def test_known_demonstrators_are_recovered(make_control_inference: Any) -> None:
    """`demonstrator` gives the probabilities that the demonstrated actions were drawn with."""
    stream = torch.Generator().manual_seed(0)
    direction = torch.randn(N_FEATURES, N_ACTIONS, generator=stream)
    drawn = _observations(1, 3000, stream=stream)
    batch = DemonstrationLikelihood(1.0).sample(drawn.state @ direction, drawn, [stream])
    model = make_control_inference(["demonstration"], n_models=1, hidden=(16,))
    _fit(model, {"demonstration": batch}, 300, 0.01)
    nothing = (torch.zeros(1), torch.ones(1))
    description = {"members": 1, "demonstration_rationality": 1.5}  # the fixture's
    learned = StepRewardModel(model.posterior, model.values.network, nothing, description)
    fresh = torch.randn(500, N_FEATURES, generator=stream)
    found, truth = learned.demonstrator(fresh)[0].exp(), torch.softmax(fresh @ direction, dim=-1)
    assert (found - truth).abs().sum(-1).mean() / 2 < 0.08
    assert torch.allclose(found.sum(-1), torch.ones(500), atol=1e-5)
