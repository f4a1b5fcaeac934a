"""Training of many models at once, each on its own."""

import copy
from typing import Any

import pytest
import torch
from lightning import Callback

from mavrl.errors import TrainingError
from mavrl.model.objective import EvidenceLowerBound, Loss

ALL = {"preference": 8, "demonstration": 2, "rating": 8, "stop": 8}


def _weights(learner: Any) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in learner.inference.named_parameters()}


def _same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor], model: int | slice = slice(None)) -> bool:
    return all(left[name][model].equal(right[name][model]) for name in left)


class Recorded(EvidenceLowerBound):
    """The bound, with a script for the losses; remembers what it returned in training and in validation."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.steps = 0
        self.poison_from: dict[int, int] = {}  # model -> first step with a NaN loss
        self.validation: list[torch.Tensor] = []
        self.script: torch.Tensor | None = None  # validation losses, shape (validations, R)
        self.kept: list[dict[str, torch.Tensor]] = []

    def forward(self, model: Any, batches: Any, noise: Any) -> Loss:
        loss = super().forward(model, batches, noise)
        if model.training:
            factor = torch.ones_like(loss.total)
            for poisoned, step in self.poison_from.items():
                if self.steps >= step:
                    factor[poisoned] = torch.nan
            loss.total = loss.total * factor
            self.steps += 1
        elif not torch.is_inference_mode_enabled():  # a validation, and not the look back at the last step
            if self.script is not None:
                loss.total = self.script[len(self.validation)]
            self.validation.append(loss.total.detach().clone())
            self.kept.append({name: p.detach().clone() for name, p in model.named_parameters()})
        return loss


# Independence of the models ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["elbo", "weighted"])
@pytest.mark.parametrize("q", ["planned", "learned"])
@pytest.mark.parametrize("batch_size", [None, 4])
def test_replicate_k_trains_like_the_single_run_of_seed_s_plus_k(
    objective: str, q: str, batch_size: int | None, make_feedback: Any, make_learner: Any, fit: Any
) -> None:
    counts = ALL if batch_size is None else {k: n for k, n in ALL.items() if k != "demonstration"}
    means = []
    for seeds in ([7, 8, 9], [8]):
        feedback = make_feedback(counts, seeds, batch_size=batch_size)
        learner = make_learner(feedback, objective, q=q, scale=None)
        fit(learner, feedback, 15)
        means.append(torch.stack(learner.inference.posterior()))
    together, alone = means
    assert not torch.allclose(together[:, 0], together[:, 1], atol=0.1)
    assert torch.allclose(together[:, 1], alone[:, 0], atol=1e-3)


def test_the_same_command_trains_the_same_weights(make_feedback: Any, make_learner: Any, fit: Any) -> None:
    found = []
    for _ in range(2):
        feedback = make_feedback(ALL, [0, 1], batch_size=4)
        learner = make_learner(feedback)
        fit(learner, feedback, 3)
        found.append(_weights(learner))
    assert _same(*found)


def test_members_are_different_models_on_the_same_data(make_feedback: Any, make_learner: Any, fit: Any) -> None:
    feedback = make_feedback(ALL, [0, 1], members=2)
    learner = make_learner(feedback)
    start = learner.inference.posterior()[0].detach()
    assert not torch.allclose(start[0], start[1], atol=1e-3)
    fit(learner, feedback, 10)
    mean = learner.inference.posterior()[0].detach()
    assert not torch.allclose(mean[0], mean[1], atol=1e-3)
    plain = make_feedback(ALL, [0, 1])
    single = make_learner(plain)
    assert torch.allclose(single.inference.posterior()[0], start[[0, 2]])  # member 0 is the run without members
    fit(single, plain, 10)
    assert torch.allclose(single.inference.posterior()[0], mean[[0, 2]], atol=1e-3)


# One kind alone ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ALL)
def test_the_data_module_of_one_kind_works_alone_with_a_plain_trainer(
    kind: str, make_feedback: Any, make_learner: Any, fit: Any
) -> None:
    """Lightning's own loop has it ask, answer and serve; the result is that of the combination of this one kind."""
    settings = {"batch_size": 4, "demonstration_batch_size": 4, "validation": True}
    combined, together = make_feedback({kind: ALL[kind]}, [0, 1], **settings), []
    alone = make_feedback({kind: ALL[kind]}, [0, 1], **settings).modules[kind]
    learners = [make_learner(combined, settings={"selection": "best"}) for _ in range(2)]
    alone.sets.clear()
    for learner, module in zip(learners, (combined, alone), strict=True):
        fit(learner, module, 3)
        together.append(_weights(learner))
    assert alone.sets.keys() == {"train", "validation"}
    assert _same(*together)
    assert learners[0].best_loss.equal(learners[1].best_loss)


# Gradient clipping ---------------------------------------------------------------------------------------------------


def test_gradients_are_clipped_for_each_model_on_its_own(make_feedback: Any, make_learner: Any) -> None:
    learner = make_learner(make_feedback(ALL, [0, 1, 2]), settings={"gradient_clip": 0.5})
    parameters = list(learner.inference.parameters())
    size = torch.tensor([1e-3, 1.0, 1e3])
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter) * size.view(-1, *[1] * (parameter.ndim - 1))

    def flat() -> torch.Tensor:
        return torch.cat([p.grad.reshape(3, -1) for p in parameters], dim=1).clone()

    before = flat()
    learner.configure_gradient_clipping(None)
    after = flat()
    assert before[0].norm() < 0.5 < before[1].norm()
    assert after[0].equal(before[0])
    for r in (1, 2):
        assert torch.allclose(after[r].norm(), torch.tensor(0.5), rtol=1e-4)
        assert torch.allclose(after[r] / after[r].norm(), before[r] / before[r].norm(), atol=1e-5)


# Faults --------------------------------------------------------------------------------------------------------------


def test_nan_in_the_data_of_one_replicate_leaves_the_others_alone(
    make_feedback: Any, make_learner: Any, fit: Any
) -> None:
    learners = []
    for poisoned in (False, True):
        feedback = make_feedback(ALL, [0, 1, 2])
        if poisoned:
            feedback.modules["stop"]._known_to_model["rate"][1] = torch.nan
        learner = make_learner(feedback, scale=None)
        start = _weights(learner)
        fit(learner, feedback, 8)
        learners.append((learner, start))
    (healthy, _), (hurt, start) = learners
    assert hurt.failed.tolist() == [False, True, False]
    assert not healthy.failed.any()
    for survivor in (0, 2):
        assert _same(_weights(healthy), _weights(hurt), survivor)
    assert _same(_weights(hurt), start, 1)


def test_a_replicate_that_fails_later_gets_back_the_weights_of_its_last_finite_loss(
    make_feedback: Any, make_learner: Any, fit: Any
) -> None:
    def trained(epochs: int, poison: dict[int, int]) -> Any:
        feedback = make_feedback(ALL, [0, 1])
        learner = make_learner(feedback, Recorded)
        learner.objective.poison_from = poison
        fit(learner, feedback, epochs)
        return learner

    hurt, short, long = trained(9, {0: 5}), trained(4, {}), trained(9, {})  # step 5 sees what step 4 has made
    assert hurt.failed.tolist() == [True, False]
    assert _same(_weights(hurt), _weights(short), 0)
    assert _same(_weights(hurt), _weights(long), 1)
    assert all(tensor.isfinite().all() for tensor in _weights(hurt).values())


class Diverging(EvidenceLowerBound):
    """The bound, which is infinite for the first model after the last step."""

    def forward(self, model: Any, batches: Any, noise: Any) -> Loss:
        loss = super().forward(model, batches, noise)
        if not model.training:
            loss.total = loss.total * torch.tensor([torch.inf, 1.0])
        return loss


def test_a_last_step_that_is_not_finite_is_a_failure_too(make_feedback: Any, make_learner: Any, fit: Any) -> None:
    """Nothing comes after it that would notice."""

    def trained(epochs: int, objective: Any) -> Any:
        feedback = make_feedback(ALL, [0, 1])
        learner = make_learner(feedback, objective, scale=None)
        fit(learner, feedback, epochs)
        return learner

    hurt, short, whole = trained(3, Diverging), trained(2, EvidenceLowerBound), trained(3, EvidenceLowerBound)
    assert hurt.failed.tolist() == [True, False]
    assert _same(_weights(hurt), _weights(short), 0)
    assert _same(_weights(hurt), _weights(whole), 1)
    assert hurt.inference.prior.variance.equal(whole.inference.prior.variance)  # looking back changes nothing


@pytest.mark.parametrize("epochs", [1, 2])
def test_weights_that_run_away_are_not_kept(epochs: int, make_feedback: Any, make_learner: Any, fit: Any) -> None:
    feedback = make_feedback(ALL, [0, 1])
    learner = make_learner(feedback, settings={"lr": 1e30})
    with pytest.raises(TrainingError, match=r"step 1: the loss of every replicate"):
        fit(learner, feedback, epochs)
    assert all(tensor.isfinite().all() for tensor in _weights(learner).values())


def test_a_finite_loss_with_an_infinite_gradient_is_a_failure_too(make_feedback: Any, make_learner: Any) -> None:
    learner = make_learner(make_feedback(ALL, [0, 1]))
    for parameter in learner.inference.parameters():
        parameter.grad = torch.ones_like(parameter)
    next(learner.inference.parameters()).grad[1].view(-1)[0] = torch.inf
    learner.configure_gradient_clipping(None)
    assert learner.failed.tolist() == [False, True]
    assert learner.active.tolist() == [True, False]


def test_when_all_replicates_fail_training_ends_with_an_error(make_feedback: Any, make_learner: Any, fit: Any) -> None:
    feedback = make_feedback(ALL, [0, 1])
    learner = make_learner(feedback, Recorded)
    learner.objective.poison_from = {0: 2, 1: 3}
    with pytest.raises(TrainingError, match="step 3"):
        fit(learner, feedback, 9)


def test_curves_leave_out_failed_replicates(make_feedback: Any, make_learner: Any, fit: Any) -> None:
    feedback = make_feedback(ALL, [0, 1], validation=True)
    learner = make_learner(feedback, Recorded)
    learner.objective.poison_from = {0: 2}
    trainer = fit(learner, feedback, 4)
    assert "train/loss" in trainer.callback_metrics
    assert "validation/loss" in trainer.callback_metrics
    assert all(torch.isfinite(value) for value in trainer.callback_metrics.values())


# Selection and early stopping ----------------------------------------------------------------------------------------


def test_best_restores_the_weights_of_the_lowest_validation_loss(
    make_feedback: Any, make_learner: Any, fit: Any
) -> None:
    feedback = make_feedback(ALL, [0, 1, 2], validation=True)
    learner = make_learner(feedback, Recorded, {"selection": "best"})
    learner.objective.script = torch.tensor([[3.0, 1, 5], [2, 2, 4], [1, 3, 9], [4, 1, 4], [5, 9, 3]])
    fit(learner, feedback, 5)
    best = [2, 0, 4]  # the first of equals
    kept = learner.objective.kept
    assert not _same(kept[0], kept[1], 0)
    for model, epoch in enumerate(best):
        assert _same(_weights(learner), kept[epoch], model)
    assert learner.best_loss.tolist() == [1, 1, 3]


def test_last_keeps_the_last_weights(make_feedback: Any, make_learner: Any, fit: Any) -> None:
    feedback = make_feedback(ALL, [0, 1], validation=True)
    learner = make_learner(feedback, Recorded, {"selection": "last"})
    learner.objective.script = torch.arange(8.0).view(4, 2)
    fit(learner, feedback, 4)
    assert _same(_weights(learner), learner.objective.kept[-1])


def test_validation_does_not_change_training(make_feedback: Any, make_learner: Any, fit: Any) -> None:
    found = []
    for validation in (False, True):
        feedback = make_feedback(ALL, [0], validation=validation)
        learner = make_learner(feedback, scale=None)
        fit(learner, feedback, 5)
        found.append(_weights(learner))
    assert _same(*found)


def test_patience_stops_models_one_by_one(make_feedback: Any, make_learner: Any, fit: Any) -> None:
    feedback = make_feedback(ALL, [0, 1], validation=True)
    learner = make_learner(feedback, Recorded, {"patience": 2})
    recorded = learner.objective
    falling = torch.arange(20.0, 0, -1)
    falling[8:] = 20.0  # the first model gets worse from the ninth validation on, the second from its second
    recorded.script = torch.stack([falling, torch.cat([torch.zeros(1), torch.ones(19)])], dim=1)
    trainer = fit(learner, feedback, 20)
    assert len(recorded.validation) == 10  # the eighth was the last improvement, and two more were waited for
    assert trainer.current_epoch == 10
    moving = [
        [not _same(a, b, model) for a, b in zip(recorded.kept, recorded.kept[1:], strict=False)] for model in (0, 1)
    ]
    assert moving[0] == [True] * 9
    assert moving[1] == [True] * 2 + [False] * 7


def test_best_and_last_differ_where_training_overfits(make_feedback: Any, make_learner: Any, fit: Any) -> None:
    """Selection on real losses: the restored weights have the lowest loss seen."""
    feedback = make_feedback({"preference": 6, "rating": 6}, [0, 1], validation=True)
    learner = make_learner(feedback, Recorded, {"selection": "best", "lr": 0.1})
    fit(learner, feedback, 30)
    losses = torch.stack(learner.objective.validation)
    assert learner.best_loss.equal(losses.amin(0))
    for model, epoch in enumerate(losses.argmin(0).tolist()):
        assert _same(_weights(learner), learner.objective.kept[epoch], model)


# Learning rate -------------------------------------------------------------------------------------------------------


class _Rates(Callback):
    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_schedule_of_the_learning_rate(schedule: str, make_feedback: Any, make_learner: Any, fit: Any) -> None:
    feedback = make_feedback({"rating": 8}, [0], batch_size=4)
    learner = make_learner(feedback, settings={"schedule": schedule, "total_steps": 10, "lr": 0.1})
    rates = _Rates()
    fit(learner, feedback, 5, [rates])
    assert len(rates.seen) == 10
    if schedule == "constant":
        assert rates.seen == [0.1] * 10
    else:
        assert rates.seen[0] == 0.1
        assert rates.seen[5] == pytest.approx(0.05)
        assert rates.seen == sorted(rates.seen, reverse=True)
        assert 0 < rates.seen[-1] < 0.005


# Checkpoints ---------------------------------------------------------------------------------------------------------


def test_a_resumed_training_is_the_uninterrupted_one(
    make_feedback: Any, make_learner: Any, fit: Any, tmp_path: Any
) -> None:
    settings = {"selection": "best", "schedule": "cosine", "total_steps": 24, "weight_decay": 0.01}

    def build() -> tuple[Any, Any]:
        feedback = make_feedback(ALL, [0, 1], validation=True, batch_size=4)
        return feedback, make_learner(feedback, settings=settings, q="learned", scale=None)

    class SaveAt(Callback):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            if trainer.current_epoch == 1:
                trainer.save_checkpoint(tmp_path / "a.ckpt")

    feedback, whole = build()
    trainer = fit(whole, feedback, 4, [SaveAt()])
    feedback, resumed = build()
    second = copy.deepcopy(_weights(resumed))
    from lightning import Trainer

    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": False,
    }
    again = Trainer(max_epochs=4, accelerator="cpu", num_sanity_val_steps=0, **quiet)
    again.fit(resumed, datamodule=feedback, ckpt_path=tmp_path / "a.ckpt", weights_only=True)
    assert again.global_step == trainer.global_step
    assert not _same(_weights(resumed), second)
    assert _same(_weights(resumed), _weights(whole))
    assert resumed.best_loss.equal(whole.best_loss)


# Is the right thing learned? -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "count", "least"),
    [("preference", 1500, 0.95), ("rating", 3000, 0.95), ("demonstration", 300, 0.6), ("stop", 1500, 0.6)],
)
def test_a_known_reward_is_recovered_from_plenty_of_feedback(
    kind: str, count: int, least: float, problem: Any, make_feedback: Any, make_learner: Any, fit: Any
) -> None:
    feedback = make_feedback({kind: count}, [0, 1, 2])
    settings = {"total_steps": 250, "schedule": "cosine", "lr": 0.05}
    learner = make_learner(feedback, settings=settings, hidden=(32,), scale=None)
    learner.inference.prior.mean.zero_()  # what is known of the goal comes from the feedback
    fit(learner, feedback, 250)
    mean, logvar = (t.detach() for t in learner.inference.posterior())
    for r in range(3):
        correlation = torch.corrcoef(torch.stack([mean[r].double(), problem.reward[0]]))[0, 1].item()
        assert correlation > least
    assert ((0.5 * logvar).exp().mean(-1) < learner.inference.prior.variance.sqrt().squeeze(-1)).all()
