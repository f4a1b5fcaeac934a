"""Learning on another device than the CPU: nothing is created in the wrong place, and the noise stays the same.

Most of it is shown without a GPU. PyTorch's fake tensors compute shapes and devices only; they stand for another device
under the name "meta", and refuse what a GPU would refuse.
"""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from lightning import Trainer
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call

from mavrl import planning
from mavrl.feedback import rating
from mavrl.feedback.base import FeedbackBatch
from mavrl.model.objective import EvidenceLowerBound, Loss, Objective, RewardInference, WeightedAverages

ALL = {"preference": 4, "demonstration": 2, "rating": 4, "stop": 4}
ELSEWHERE = torch.device("meta")

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture
def fake() -> Iterator[FakeTensorMode]:
    with FakeTensorMode() as mode:
        yield mode


class _Step(nn.Module):
    """One evaluation of an objective, as one module."""

    def __init__(self, inference: RewardInference, objective: Objective) -> None:
        super().__init__()
        self.inference, self.objective = inference, objective

    def forward(self, batches: dict[str, FeedbackBatch], n_models: int) -> Tensor:
        loss = self.objective(self.inference, batches, lambda count: torch.zeros(n_models, count, device=ELSEWHERE))
        return loss.total.sum()


def _elsewhere(tensor: Tensor) -> Tensor:
    """A tensor of the same form on the other device."""
    moved = torch.empty(tensor.shape, dtype=tensor.dtype, device=ELSEWHERE)
    return nn.Parameter(moved) if isinstance(tensor, nn.Parameter) else moved


def _step_elsewhere(inference: RewardInference, objective: Objective, batches: dict[str, FeedbackBatch]) -> None:
    """One forward and one backward pass with everything on the other device."""
    step = _Step(inference, objective)
    state = {name: _elsewhere(tensor) for name, tensor in [*step.named_parameters(), *step.named_buffers()]}
    there = {kind: batch.map(_elsewhere) for kind, batch in batches.items()}
    n_models = len(next(iter(batches.values())).transitions.action)
    loss = functional_call(step, state, (there, n_models))
    loss.backward()
    reached = {name for name, tensor in state.items() if tensor.grad is not None}
    assert all(state[name].grad.device == ELSEWHERE for name in reached)
    assert "inference.posterior.encoder.layers.0.weight" in reached


def _objectives(batches: dict[str, FeedbackBatch]) -> list[Objective]:
    sizes = {kind: batch.valid_samples.sum(-1).float() for kind, batch in batches.items()}
    return [
        EvidenceLowerBound(sizes, 1.0),
        WeightedAverages(sizes, 0.5, 0.03, True),
        WeightedAverages(sizes, 0.5, 0.03, False),
    ]


# Without a GPU -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", [[kind] for kind in ALL] + [list(ALL)], ids="-".join)
@pytest.mark.parametrize("number", range(3), ids=["elbo", "importance", "weighted"])
@pytest.mark.parametrize("domain", ["s", "sas"])
def test_a_step_on_transitions(
    kinds: list[str],
    number: int,
    domain: str,
    control_batches: Any,
    make_control_inference: Any,
    request: pytest.FixtureRequest,
) -> None:
    batches = {kind: control_batches[kind] for kind in kinds}
    inference = make_control_inference(kinds, domain=domain, scale=None, backup="soft" if number else "behaviour")
    objective = _objectives(batches)[number]
    request.getfixturevalue("fake")
    _step_elsewhere(inference, objective, batches)


@pytest.mark.parametrize("q", ["planned", "learned"])
@pytest.mark.parametrize("number", range(3), ids=["elbo", "importance", "weighted"])
def test_a_step_on_states(
    q: str,
    number: int,
    make_feedback: Any,
    make_inference: Any,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    feedback = make_feedback(ALL, [0, 1])
    inference = make_inference(feedback, q=q, scale=None)
    objective = _objectives(feedback.train_sets)[number]

    def improve_once(
        transitions: Any, reward: Any, gamma: Any, actions: Any, evaluate: Any, *limits: Any
    ) -> tuple[Tensor, Tensor]:
        """As many improvements as the rewards' values demand cannot be known here; one shows the devices."""
        before = actions
        for _ in range(2):
            q = planning.action_values(transitions, reward, evaluate(transitions, reward, actions, gamma), gamma)
            actions, before = q.argmax(-1), actions
        return q, before

    monkeypatch.setattr(planning, "_improved", improve_once)
    request.getfixturevalue("fake")
    _step_elsewhere(inference, objective, feedback.train_sets)


@pytest.mark.parametrize("n_outcomes", [1, 3])
def test_policies_are_evaluated_where_the_rewards_are(n_outcomes: int, request: pytest.FixtureRequest) -> None:
    successors = torch.zeros(4, 2, n_outcomes, dtype=torch.int64)
    transitions = planning.TransitionModel(successors, torch.full((4, 2, n_outcomes), 1 / n_outcomes))
    request.getfixturevalue("fake")
    transitions.successors, transitions.probabilities = (
        _elsewhere(tensor) for tensor in (transitions.successors, transitions.probabilities)
    )
    reward = torch.zeros(3, 4, 2, device=ELSEWHERE, requires_grad=True)
    actions = torch.zeros(3, 4, dtype=torch.int64, device=ELSEWHERE)
    value = planning.evaluate_actions(transitions, reward, actions, 0.9)
    value.sum().backward()
    assert value.device == ELSEWHERE
    assert planning.uniform_policy(transitions).device == ELSEWHERE


def test_these_tests_see_a_tensor_in_the_wrong_place(
    control_batches: Any,
    make_control_inference: Any,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    batches = {"rating": control_batches["rating"]}
    inference, (objective, *_) = make_control_inference(batches), _objectives(batches)
    right = rating.segment_mean
    monkeypatch.setattr(rating, "segment_mean", lambda reward, valid: right(reward, valid) + torch.zeros(2, 4))
    request.getfixturevalue("fake")
    with pytest.raises(RuntimeError, match="same device"):
        _step_elsewhere(inference, objective, batches)


@pytest.mark.parametrize("objective", ["elbo", "weighted"])
@pytest.mark.parametrize("q", ["planned", "learned"])
def test_all_that_a_learner_holds_moves_with_it(objective: str, q: str, make_feedback: Any, make_learner: Any) -> None:
    learner = make_learner(make_feedback(ALL, [0]), objective, {"selection": "best"}, q=q).to(ELSEWHERE)
    learner.on_fit_start()
    for name, module in learner.named_modules():
        for attribute, value in _tensors(vars(module)):
            assert value.device == ELSEWHERE, f"{name}.{attribute}"


def _tensors(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, Tensor]]:
    for name, value in values.items():
        if isinstance(value, Tensor):
            yield path + name, value
        elif isinstance(value, dict):
            yield from _tensors(value, f"{path}{name}.")


def test_moving_a_learner_leaves_the_problem_where_it_is(make_feedback: Any, make_learner: Any, problem: Any) -> None:
    make_learner(make_feedback({"stop": 4}, [0])).to(ELSEWHERE)
    assert problem.transitions.successors.device == torch.device("cpu")


def test_batches_follow_the_learner(make_feedback: Any, make_learner: Any) -> None:
    feedback = make_feedback(ALL, [0])
    learner, batches = make_learner(feedback), feedback.train_sets
    together = learner.transfer_batch_to_device(batches, ELSEWHERE, 0)
    alone = learner.transfer_batch_to_device(batches["rating"], ELSEWHERE, 0)
    assert together.keys() == batches.keys()
    for batch in (*together.values(), alone):
        batch.map(lambda tensor: _known_to_be_there(tensor))
    here = learner.transfer_batch_to_device(batches["rating"], torch.device("cpu"), 0)
    assert here.rating is batches["rating"].rating  # nothing is copied in place


def _known_to_be_there(tensor: Tensor) -> Tensor:
    assert tensor.device == ELSEWHERE
    return tensor


def test_noise_is_drawn_on_the_cpu_and_moved(make_feedback: Any, make_learner: Any) -> None:
    feedback = make_feedback({"rating": 4}, [0])
    drawn: list[Tensor] = []

    class Draws(EvidenceLowerBound):
        def forward(self, model: Any, batches: Any, noise: Any) -> Loss:
            drawn.append(noise(5))
            return Loss(torch.zeros(1))

    learner = make_learner(feedback, Draws)
    here = learner._noise["train"].draw(3, 5)
    with torch.device(ELSEWHERE):  # whatever device is the default
        assert learner._noise["train"].draw(3, 5).equal(here)
    learner._loss("train", feedback.train_sets, 3)
    learner.to(ELSEWHERE)._loss("train", feedback.train_sets, 3)
    assert drawn[0].equal(here)
    assert drawn[1].device == ELSEWHERE


# With one ------------------------------------------------------------------------------------------------------------


@needs_gpu
@pytest.mark.parametrize("objective", ["elbo", "weighted"])
@pytest.mark.parametrize("q", ["planned", "learned"])
def test_a_training_on_a_gpu_is_the_one_on_the_cpu(
    objective: str, q: str, make_feedback: Any, make_learner: Any
) -> None:
    weights = []
    for accelerator in ("cpu", "cuda"):
        feedback = make_feedback(ALL, [0, 1], batch_size=3)
        learner = make_learner(feedback, objective, {"lr": 1e-3}, q=q)
        trainer = Trainer(
            max_epochs=5,
            accelerator=accelerator,
            devices=1,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            trainer.fit(learner, datamodule=feedback)
        weights.append({name: parameter.detach().cpu() for name, parameter in learner.named_parameters()})
    for name, expected in weights[0].items():
        torch.testing.assert_close(weights[1][name], expected, rtol=1e-3, atol=1e-4, msg=name)


@needs_gpu
@pytest.mark.parametrize("domain", ["s", "sa", "sas"])
def test_a_loss_on_a_gpu_is_the_one_on_the_cpu(domain: str, control_batches: Any, make_control_inference: Any) -> None:
    noise = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0))
    for objective in _objectives(control_batches):
        losses = []
        for device in ("cpu", "cuda"):
            inference = make_control_inference(control_batches, domain=domain).to(device)
            batches = {kind: batch.to(device) for kind, batch in control_batches.items()}
            losses.append(
                objective.to(device)(inference, batches, lambda count, device=device: noise[:, :count].to(device)).total
            )
        torch.testing.assert_close(losses[1].cpu(), losses[0], rtol=1e-4, atol=1e-4)
