"""The two objectives on a finite environment, against straightforward recomputations."""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from mavrl.model.objective import EvidenceLowerBound, RewardInference, WeightedAverages

GAMMA = 0.8
COUNTS = {"preference": 5, "demonstration": 2, "rating": 6, "stop": 4}
READ_Q = ("demonstration", "stop")


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _optimal_q(problem: Any, reward: np.ndarray) -> np.ndarray:
    successor = problem.transitions.successors[..., 0].numpy()
    value = np.zeros(len(reward))
    for _ in range(300):
        q = reward[:, None] + GAMMA * value[successor]
        value = q.max(1)
    return q


def _log_probs(kind: str, batch: Any, likelihood: Any, r: int, reward_at: Any, q: np.ndarray) -> list[float]:
    """Log-likelihood of each valid sample of model r, one step after the other.

    Args:
        reward_at: the reward at an index of the batch's steps.
    """
    steps, found = batch.transitions, []

    def mean(*index: int) -> float:
        rewards = [reward_at((r, *index, t)) for t in range(steps.valid.shape[-1]) if steps.valid[(r, *index, t)]]
        return sum(rewards) / len(rewards)

    for b in range(steps.state.shape[1]):
        if kind == "preference":
            p = _sigmoid(likelihood.rationality * (mean(b, 0) - mean(b, 1)))
            found.append(math.log(p if batch.first_preferred[r, b] else 1 - p))
        elif kind == "rating":
            gaps = [math.log1p(math.exp(float(raw))) for raw in likelihood.raw_increments[r]]
            theta = [float(likelihood.first_cutpoint[r]) + sum(gaps[:k]) for k in range(len(gaps) + 1)]
            below = [0.0, *(_sigmoid(cut - mean(b)) for cut in theta), 1.0]
            y = int(batch.rating[r, b])
            found.append(math.log(below[y + 1] - below[y]))
        elif kind == "demonstration":
            if steps.valid[r, b]:
                scaled = likelihood.rationality * q[int(steps.state[r, b])]
                p = np.exp(scaled - scaled.max())
                found.append(math.log(p[int(steps.action[r, b])] / p.sum()))
        else:
            total, log_p = 0.0, 0.0
            for t in range(int(steps.valid[r, b].sum())):
                s, a = int(steps.state[r, b, t]), int(steps.action[r, b, t])
                total = likelihood.discount * total + q[s].max() - q[s, a]
                hazard = -math.expm1(-(float(likelihood.rate[r]) * total + likelihood.lapse))
                if t == int(batch.stop_step[r, b]):
                    log_p += math.log(hazard)
                    break
                log_p += math.log(1 - hazard)
            found.append(log_p)
    return found


def _bellman(batch: Any, r: int, q: np.ndarray, mean: np.ndarray, logvar: np.ndarray, backup: str) -> list[float]:
    steps, found = batch.transitions, []
    for index in np.ndindex(*steps.state.shape[1:]):
        at = (r, *index)
        if not steps.valid[at]:
            continue
        s, a, following = int(steps.state[at]), int(steps.action[at]), q[int(steps.next_state[at])]
        value = {
            "optimal": following.max(),
            "soft": 0.5 * math.log(np.exp(following / 0.5).mean()),
            "behaviour": following[int(steps.next_action[at])],
        }[backup]
        residual = q[s, a] - (0.0 if steps.terminal[at] else GAMMA * value)
        found.append(0.5 * ((residual - mean[s]) ** 2 / math.exp(logvar[s]) + logvar[s]))
    return found


def _kl(mean: float, logvar: float, prior_mean: float, variance: float) -> float:
    return 0.5 * ((math.exp(logvar) + (mean - prior_mean) ** 2) / variance - 1 + math.log(variance) - logvar)


def _sizes(feedback: Any) -> dict[str, torch.Tensor]:
    return {name: batch.valid_samples.sum(-1).float() for name, batch in feedback.train_sets.items()}


class _Noise:
    """Fixed standard normal numbers, remembered."""

    def __init__(self, n_models: int) -> None:
        self._n_models = n_models

    def __call__(self, count: int) -> torch.Tensor:
        self.drawn = torch.randn(self._n_models, count, generator=torch.Generator().manual_seed(1))
        return self.drawn


def _numbers(model: RewardInference) -> tuple[np.ndarray, np.ndarray]:
    mean, logvar = model.posterior(None)  # type: ignore[arg-type]  # of every state, whatever the feedback
    return mean.detach().double().numpy(), logvar.detach().double().numpy()


def _q(model: RewardInference, problem: Any, reward: np.ndarray, r: int) -> np.ndarray:
    if hasattr(model.values, "network"):
        return model.values.network.on_one_hot()[r].detach().double().numpy()
    return _optimal_q(problem, reward)


@torch.no_grad()
@pytest.mark.parametrize("scale", [0.7, None])
@pytest.mark.parametrize(
    ("q", "backup"), [("planned", "optimal"), ("learned", "optimal"), ("learned", "soft"), ("learned", "behaviour")]
)
def test_the_bound(q: str, backup: str, scale: float | None, problem: Any, make_feedback: Any, make_inference: Any):
    feedback = make_feedback(COUNTS, [0, 1])
    model = make_inference(feedback, q=q, backup=backup, scale=scale)
    noise, batches = _Noise(2), feedback.train_sets
    loss = EvidenceLowerBound(_sizes(feedback), bellman_weight=0.6)(model, batches, noise)
    (mean, logvar), variance = _numbers(model), model.prior.variance.double().flatten().tolist()
    for r in range(2):
        reward = mean[r] + np.exp(0.5 * logvar[r]) * noise.drawn[r].double().numpy()
        q_table = _q(model, problem, reward, r)
        kl = sum(_kl(mean[r, s], logvar[r, s], float(s == 8), variance[r]) for s in range(9))
        total = kl
        assert float(loss.terms["kl"][r]) == pytest.approx(kl, rel=1e-4)
        for kind, batch in batches.items():

            def reward_at(at: tuple[int, ...], batch: Any = batch, reward: np.ndarray = reward) -> float:
                return reward[int(batch.transitions.state[at])]

            log_likelihood = sum(_log_probs(kind, batch, model.likelihoods[kind], r, reward_at, q_table))
            assert float(loss.terms[f"{kind}/log_likelihood"][r]) == pytest.approx(log_likelihood, rel=1e-3)
            total -= log_likelihood
            if q == "learned" and kind in READ_Q:
                bellman = sum(_bellman(batch, r, q_table, mean[r], logvar[r], backup))
                assert float(loss.terms[f"{kind}/bellman"][r]) == pytest.approx(bellman, rel=1e-3)
                total += 0.6 * bellman
        assert float(loss.total[r]) == pytest.approx(total, rel=1e-3)
    tied = {name.removesuffix("/bellman") for name in loss.terms if name.endswith("/bellman")}
    assert tied == (set(READ_Q) if q == "learned" else set())


@torch.no_grad()
@pytest.mark.parametrize("covariance", ["full", "low_rank"])
def test_the_bound_of_correlated_states(covariance: str, problem: Any, make_feedback: Any, make_inference: Any) -> None:
    """One joint draw for all feedback, and the divergence of multivariate normal distributions."""
    feedback = make_feedback(COUNTS, [0, 1])
    model = make_inference(feedback, covariance=covariance, scale=0.7)
    model.posterior.state_correlation.loadings.normal_(0, 0.2)
    noise, batches = _Noise(2), feedback.train_sets
    loss = EvidenceLowerBound(_sizes(feedback), bellman_weight=0.6)(model, batches, noise)
    mean, logvar = model.posterior()
    correlation, std = model.posterior.correlation(mean), (0.5 * logvar).exp()
    covariances = std[..., :, None] * correlation.matrix() * std[..., None, :]
    assert noise.drawn.shape[1] == (9 if covariance == "full" else 12)
    rewards = model.posterior.sample(noise.drawn[None])[0].double().numpy()
    for r in range(2):
        q = MultivariateNormal(mean[r], covariances[r])
        prior = MultivariateNormal((torch.arange(9) == 8).float(), 0.49 * torch.eye(9))
        assert float(loss.terms["kl"][r]) == pytest.approx(float(kl_divergence(q, prior)), rel=1e-4)
        for kind, batch in batches.items():

            def reward_at(at: tuple[int, ...], batch: Any = batch, reward: np.ndarray = rewards[r]) -> float:
                return reward[int(batch.transitions.state[at])]

            q_table = _optimal_q(problem, rewards[r])
            expected = sum(_log_probs(kind, batch, model.likelihoods[kind], r, reward_at, q_table))
            assert float(loss.terms[f"{kind}/log_likelihood"][r]) == pytest.approx(expected, rel=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("importance", [False, True])
@pytest.mark.parametrize(
    ("q", "backup"), [("planned", "optimal"), ("learned", "optimal"), ("learned", "soft"), ("learned", "behaviour")]
)
def test_the_weighted_averages(
    q: str, backup: str, importance: bool, problem: Any, make_feedback: Any, make_inference: Any
) -> None:
    feedback = make_feedback(COUNTS, [0, 1])
    model = make_inference(feedback, q=q, backup=backup)
    sizes, noise, batches = _sizes(feedback), _Noise(2), feedback.train_sets
    loss = WeightedAverages(sizes, 0.6, 0.2, importance)(model, batches, noise)
    mean, logvar = _numbers(model)
    for r in range(2):
        drawn = noise.drawn[r].double().numpy()
        shared = mean[r] + np.exp(0.5 * logvar[r]) * drawn[:9]
        q_table, offset, total = _q(model, problem, shared, r), 9, 0.0
        largest = max(float(n[r]) for n in sizes.values())
        for kind, batch in batches.items():
            state = batch.transitions.state[r].numpy()
            n_draws = state.size if kind in ("preference", "rating") else 0  # only rewards are drawn step by step
            own = drawn[offset : offset + n_draws].reshape(state.shape) if n_draws else state
            offset += n_draws

            def reward_at(at: tuple[int, ...], state: np.ndarray = state, own: np.ndarray = own, r: int = r) -> float:
                s = state[at[1:]]
                return mean[r, s] + math.exp(0.5 * logvar[r, s]) * own[at[1:]]

            average = np.mean(_log_probs(kind, batch, model.likelihoods[kind], r, reward_at, q_table))
            visited = state[batch.transitions.valid[r].numpy()]
            kl = np.mean([_kl(mean[r, s], logvar[r, s], float(s == 8), 1.0) for s in visited])
            term = -average + 0.2 * kl
            if q == "learned":
                term += 0.6 * np.mean(_bellman(batch, r, q_table, mean[r], logvar[r], backup))
            total += term * (float(sizes[kind][r]) / largest if importance else 1.0)
            assert float(loss.terms[f"{kind}/log_likelihood"][r]) == pytest.approx(average, rel=1e-3)
        assert noise.drawn.shape[1] == offset
        assert float(loss.total[r]) == pytest.approx(total, rel=1e-3)


def test_a_mini_batch_stands_for_its_data_set(make_feedback: Any, make_inference: Any) -> None:
    """The mean over the batches of one pass is the full batch's loss."""
    counts = {"preference": 12, "rating": 12, "stop": 12}
    full, parts = make_feedback(counts, [0, 1]), make_feedback(counts, [0, 1], batch_size=4)
    model = make_inference(full, q="learned")
    objective = EvidenceLowerBound(_sizes(full), 1.0)
    with torch.no_grad():
        expected = objective(model, full.train_sets, _Noise(2)).total
        losses = [objective(model, batch, _Noise(2)).total for batch, _, _ in parts.train_dataloader()]
    assert len(losses) == 3
    assert not torch.allclose(losses[0], expected, rtol=1e-3)
    assert torch.allclose(torch.stack(losses).mean(0), expected, rtol=1e-5)


def test_mini_batches_of_unequal_demonstrations_are_unbiased(make_feedback: Any, make_inference: Any) -> None:
    """Replicates have demonstrations of different lengths: averaged over many orders, nothing is lost."""
    parts = make_feedback({"demonstration": 3}, list(range(6)), batch_size=8)
    counts = parts.train_sets["demonstration"].valid_samples.sum(-1)
    assert len(set(counts.tolist())) > 1
    model = make_inference(parts)
    objective, losses = EvidenceLowerBound(_sizes(parts), 1.0), []
    with torch.no_grad():
        expected = objective(model, parts.train_sets, _Noise(6)).terms["demonstration/log_likelihood"]
        for epoch in range(300):
            loader = parts.train_dataloader()
            for part in loader.flattened:
                part.set_epoch(epoch)
            batches = [batch for batch, _, _ in loader]
            losses += [objective(model, batch, _Noise(6)).terms["demonstration/log_likelihood"] for batch in batches]
    found = torch.stack(losses)
    error = found.std(0) / len(found) ** 0.5
    assert ((found.mean(0) - expected).abs() < 5 * error + 0.01 * expected.abs()).all()


@pytest.mark.parametrize("q", ["planned", "learned"])
def test_no_values_are_computed_when_nothing_reads_them(
    q: str, make_feedback: Any, make_inference: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    feedback = make_feedback({"preference": 3}, [0])
    model = make_inference(feedback, q=q)
    monkeypatch.setattr(model.values, "forward", lambda *_: pytest.fail("nothing needs Q"))
    loss = EvidenceLowerBound(_sizes(feedback), 1.0)(model, feedback.train_sets, _Noise(1))
    assert set(loss.terms) == {"kl", "preference/log_likelihood"}


@torch.no_grad()
def test_samples_without_an_answer_count_nowhere(make_feedback: Any, make_inference: Any) -> None:
    feedback = make_feedback({"preference": 6}, [0])
    model, batch = make_inference(feedback), feedback.train_sets["preference"]
    missing = torch.tensor([[True, False, False, True, False, False]])
    skipped = replace(batch, transitions=batch.transitions.without(missing))
    few = batch.take((~missing).nonzero()[None, :, 1])
    losses = []
    for each in (skipped, few):
        sizes = {"preference": each.valid_samples.sum(-1).float()}
        losses.append(EvidenceLowerBound(sizes, 1.0)(model, {"preference": each}, _Noise(1)).total)
    torch.testing.assert_close(*losses)


@torch.no_grad()
@pytest.mark.parametrize("objective", [EvidenceLowerBound, partial(WeightedAverages, kl_weight=0.2)])
def test_nothing_was_answered(objective: Any, make_feedback: Any, make_inference: Any) -> None:
    """Then the loss is the divergence from the prior, as far as there is any."""
    feedback = make_feedback({"preference": 3}, [0])
    model, batch = make_inference(feedback), feedback.train_sets["preference"]
    skipped = replace(batch, transitions=batch.transitions.without(torch.ones(1, 3, dtype=torch.bool)))
    more = {} if objective is EvidenceLowerBound else {"importance_weights": True}
    made = objective({"preference": torch.zeros(1)}, bellman_weight=1.0, **more)
    loss = made(model, {"preference": skipped}, _Noise(1))
    assert loss.terms["preference/log_likelihood"] == 0
    assert loss.total.isfinite().all()
    assert loss.total == (loss.terms["kl"] if objective is EvidenceLowerBound else 0)


def test_the_prior_scale_moves_in_training_only(make_feedback: Any, make_inference: Any) -> None:
    feedback = make_feedback({"preference": 3}, [0])
    model = make_inference(feedback, scale=None)
    objective = EvidenceLowerBound(_sizes(feedback), 1.0)
    before = model.prior.variance.clone()
    objective(model.eval(), feedback.train_sets, _Noise(1))
    assert model.prior.variance.equal(before)
    objective(model.train(), feedback.train_sets, _Noise(1))
    assert not model.prior.variance.equal(before)


def test_models_do_not_share_gradients(make_feedback: Any, make_inference: Any) -> None:
    feedback = make_feedback(COUNTS, [0, 1])
    model = make_inference(feedback, q="learned")
    loss = EvidenceLowerBound(_sizes(feedback), 1.0)(model, feedback.train_sets, _Noise(2))
    loss.total[0].backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert (parameter.grad[1] == 0).all()
