"""The two objectives on observed transitions: against torch.distributions, and against a finite environment."""

from typing import Any

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Normal, kl_divergence
from torch.nn import functional

from mavrl.model.action_heads import NumberedHead
from mavrl.model.layers import BatchedMLP, Standardization
from mavrl.model.objective import EvidenceLowerBound, RewardInference, WeightedAverages
from mavrl.model.posterior import RewardPrior, StatePosterior, StepPosterior
from mavrl.model.support import StepSupport
from mavrl.model.values import LearnedStateValues, LearnedStepValues
from mavrl.streams import StepNoise
from mavrl.types import Transitions

GAMMA = 0.8
N_FEATURES, N_ACTIONS = 3, 4  # of the fixtures
READ_Q = ["demonstration", "stop"]
SIZES = {
    "preference": torch.tensor([6.0, 3.0]),
    "demonstration": torch.tensor([12.0, 4.0]),
    "rating": torch.tensor([4.0, 8.0]),
    "stop": torch.tensor([10.0, 20.0]),
}


class _Noise:
    """Fixed standard normal numbers, remembered."""

    def __init__(self, n_models: int) -> None:
        self._n_models = n_models

    def __call__(self, count: int) -> torch.Tensor:
        self.drawn = torch.randn(self._n_models, count, generator=torch.Generator().manual_seed(1))
        return self.drawn


def _no_noise(count: int) -> torch.Tensor:
    return torch.zeros(2, count)


def _network(mlp: BatchedMLP, r: int, x: torch.Tensor) -> torch.Tensor:
    for number, layer in enumerate(mlp.layers):
        x = functional.leaky_relu(x) if number else x
        x = functional.linear(x, layer.weight[r].T, layer.bias[r, 0])  # type: ignore[index]
    return x


class _OneModel:
    """One of the models, evaluated step by step."""

    def __init__(self, model: RewardInference, r: int, domain: str, backup: str) -> None:
        self.model, self.r, self.domain, self.backup = model, r, domain, backup
        self.prior_scale = float(model.prior.variance[r].sqrt())

    def posterior(self, steps: Transitions, at: tuple[int, ...]) -> Normal:
        parts = [self._scaled(steps.state[at])]
        if self.domain != "s":
            parts.append(torch.eye(N_ACTIONS)[steps.action[at]])
        if self.domain == "sas":
            parts.append(self._scaled(steps.next_state[at]))
        parts.append(steps.terminal[at].float()[None])
        mean, logvar = _network(self.model.posterior.encoder, self.r, torch.cat(parts))
        return Normal(mean + self._prior_mean(steps, at), torch.exp(logvar.clamp(-20, 2) / 2))

    def kl(self, steps: Transitions, at: tuple[int, ...]) -> float:
        prior = Normal(self._prior_mean(steps, at), self.prior_scale)
        return float(kl_divergence(self.posterior(steps, at), prior))

    def _prior_mean(self, steps: Transitions, at: tuple[int, ...]) -> float:
        return float(self.model.prior.mean) * bool(steps.terminal[at])

    def _scaled(self, state: torch.Tensor) -> torch.Tensor:
        scale: Any = self.model.posterior.standardization
        if scale.std[self.r].isinf().all():
            return state
        return ((state - scale.mean[self.r, 0]) / scale.std[self.r, 0]).clamp(-5, 5)

    def q(self, state: torch.Tensor) -> torch.Tensor:
        return _network(self.model.values.network, self.r, self._scaled(state))  # type: ignore[arg-type]

    def bellman(self, steps: Transitions, at: tuple[int, ...]) -> float:
        following = self.q(steps.next_state[at])
        value = {
            "optimal": following.max(),
            "soft": 0.5 * torch.logsumexp(following / 0.5, 0) - 0.5 * torch.tensor(float(N_ACTIONS)).log(),
            "behaviour": following[steps.next_action[at]],
        }[self.backup]
        target = self.q(steps.state[at])[steps.action[at]] - (0.0 if steps.terminal[at] else GAMMA * value)
        constant = 0.5 * torch.log(torch.tensor(2 * torch.pi))
        return float(-self.posterior(steps, at).log_prob(target) - constant)

    def log_prob(self, kind: str, batch: Any, b: int, reward: Any) -> float:
        """Of one sample, given the reward that was drawn at each step."""
        steps, likelihood = batch.transitions, self.model.likelihoods[kind]

        def mean(*segment: int) -> torch.Tensor:
            length = int(steps.valid[(self.r, *segment)].sum())
            return torch.stack([torch.as_tensor(reward((self.r, *segment, t))) for t in range(length)]).mean()

        if kind == "preference":
            logit = likelihood.rationality * (mean(b, 0) - mean(b, 1))
            return float(Bernoulli(logits=logit).log_prob(batch.first_preferred[self.r, b].float()))
        if kind == "demonstration":
            scores = likelihood.rationality * self.q(steps.state[self.r, b])
            return float(Categorical(logits=scores).log_prob(steps.action[self.r, b]))
        if kind == "rating":
            gaps = functional.softplus(likelihood.raw_increments[self.r])
            cuts = likelihood.first_cutpoint[self.r] + torch.cat([torch.zeros(1), gaps.cumsum(0)])
            at_most = torch.cat([torch.zeros(1), torch.sigmoid(cuts - mean(b)), torch.ones(1)])
            return float(Categorical(probs=at_most.diff()).log_prob(batch.rating[self.r, b]))
        total, log_prob = torch.zeros(()), 0.0
        for t in range(int(steps.valid[self.r, b].sum())):
            q, stopped = self.q(steps.state[self.r, b, t]), t == int(batch.stop_step[self.r, b])
            total = likelihood.discount * total + q.max() - q[steps.action[self.r, b, t]]
            hazard = 1 - torch.exp(-(likelihood.rate[self.r] * total + likelihood.lapse))
            log_prob += float(Bernoulli(probs=hazard.double()).log_prob(torch.tensor(float(stopped)).double()))
            if stopped:
                break
        return log_prob


def _steps(batch: Any, r: int) -> list[tuple[int, ...]]:
    """Every valid step of a replicate."""
    return [(r, *index) for index in batch.transitions.valid[r].nonzero().tolist()]


def _scaling() -> Standardization:
    stream = torch.Generator().manual_seed(5)
    return Standardization(torch.randn(2, N_FEATURES, generator=stream), torch.rand(2, N_FEATURES, generator=stream))


SETTINGS = [
    {"domain": "s", "count": "transition", "backup": "optimal", "at_termination": 0.0, "scale": 0.7},
    {"domain": "sa", "count": "sample", "backup": "soft", "at_termination": -1.0, "scale": 1.3},
    {"domain": "sas", "count": "mean", "backup": "behaviour", "at_termination": 1.0, "scale": 1.0},
    {"domain": "sa", "count": "sample", "backup": "optimal", "at_termination": 1.0, "scale": None},
]
SUBSETS = [["preference"], ["rating", "demonstration"], ["preference", "demonstration", "rating", "stop"]]


@torch.no_grad()
@pytest.mark.parametrize("kinds", SUBSETS)
@pytest.mark.parametrize("settings", SETTINGS)
def test_the_bound(kinds: list[str], settings: Any, control_batches: Any, make_control_inference: Any) -> None:
    batches, noise = {kind: control_batches[kind] for kind in kinds}, _Noise(2)
    model = make_control_inference(kinds, standardization=_scaling(), **settings)
    loss = EvidenceLowerBound(SIZES, bellman_weight=0.6)(model, batches, noise)
    read_reward = [kind for kind in kinds if kind not in READ_Q]
    for r in range(2):
        one, offset, total, kl = _OneModel(model, r, settings["domain"], settings["backup"]), 0, 0.0, 0.0
        for kind, batch in batches.items():
            steps, samples = batch.transitions, batch.valid_samples[r].nonzero().flatten().tolist()
            scale = float(SIZES[kind][r]) / len(samples)

            def weight(at: tuple[int, ...], count: str, steps: Any = steps, scale: float = scale) -> float:
                if count == "mean":
                    return 1 / int(steps.valid[at[0]].sum())
                return scale / (1 if count == "transition" else int(steps.valid[at[:2]].sum()))

            own = torch.zeros(steps.action.shape[1:])
            if kind in read_reward:  # noise is for the steps whose reward is read, kind by kind
                own = noise.drawn[r, offset : offset + own.numel()].view(own.shape)
                offset += own.numel()

            def reward(at: tuple[int, ...], steps: Any = steps, own: Any = own, one: _OneModel = one) -> torch.Tensor:
                posterior = one.posterior(steps, at)
                return posterior.mean + posterior.stddev * own[at[1:]]

            log_likelihood = scale * sum(one.log_prob(kind, batch, b, reward) for b in samples)
            assert float(loss.terms[f"{kind}/log_likelihood"][r]) == pytest.approx(log_likelihood, rel=1e-4)
            kl += sum(weight(at, settings["count"]) * one.kl(steps, at) for at in _steps(batch, r))
            total -= log_likelihood
            if kind in READ_Q:
                bellman = sum(weight(at, "sample") * one.bellman(steps, at) for at in _steps(batch, r))
                assert float(loss.terms[f"{kind}/bellman"][r]) == pytest.approx(bellman, rel=1e-4)
                total += 0.6 * bellman
        assert offset == noise.drawn.shape[1]
        assert float(loss.terms["kl"][r]) == pytest.approx(kl, rel=1e-4)
        assert float(loss.total[r]) == pytest.approx(total + kl, rel=1e-4)
    assert set(loss.terms) == {
        "kl", *(f"{kind}/log_likelihood" for kind in kinds), *(f"{kind}/bellman" for kind in kinds if kind in READ_Q)
    }  # fmt: skip


@torch.no_grad()
@pytest.mark.parametrize("importance", [False, True])
@pytest.mark.parametrize("kinds", SUBSETS)
@pytest.mark.parametrize("settings", SETTINGS[:3])
def test_the_weighted_averages(
    kinds: list[str], settings: Any, importance: bool, control_batches: Any, make_control_inference: Any
) -> None:
    """Averages over samples and over steps; how a transition counts in the bound is no matter."""
    batches, noise = {kind: control_batches[kind] for kind in kinds}, _Noise(2)
    model = make_control_inference(kinds, standardization=_scaling(), **settings)
    sizes = {kind: SIZES[kind] for kind in kinds}
    loss = WeightedAverages(sizes, 0.6, 0.2, importance)(model, batches, noise)
    for r in range(2):
        one, offset, total = _OneModel(model, r, settings["domain"], settings["backup"]), 0, 0.0
        for kind, batch in batches.items():
            steps, samples = batch.transitions, batch.valid_samples[r].nonzero().flatten().tolist()
            own = torch.zeros(steps.action.shape[1:])
            if kind not in READ_Q:
                own = noise.drawn[r, offset : offset + own.numel()].view(own.shape)
                offset += own.numel()

            def reward(at: tuple[int, ...], steps: Any = steps, own: Any = own, one: _OneModel = one) -> torch.Tensor:
                posterior = one.posterior(steps, at)
                return posterior.mean + posterior.stddev * own[at[1:]]

            valid = _steps(batch, r)
            nll = -sum(one.log_prob(kind, batch, b, reward) for b in samples) / len(samples)
            kl = sum(one.kl(steps, at) for at in valid) / len(valid)
            bellman = sum(one.bellman(steps, at) for at in valid) / len(valid)
            assert float(loss.terms[f"{kind}/log_likelihood"][r]) == pytest.approx(-nll, rel=1e-4)
            assert float(loss.terms[f"{kind}/kl"][r]) == pytest.approx(kl, rel=1e-4)
            assert float(loss.terms[f"{kind}/bellman"][r]) == pytest.approx(bellman, rel=1e-4)
            weight = float(sizes[kind][r] / max(n[r] for n in sizes.values())) if importance else 1.0
            total += weight * (nll + 0.2 * kl + 0.6 * bellman)
        assert offset == noise.drawn.shape[1]
        assert float(loss.total[r]) == pytest.approx(total, rel=1e-4)


# Replicates ----------------------------------------------------------------------------------------------------------


def _objective(name: str, rows: Any = slice(None)) -> Any:
    sizes = {kind: size[rows] for kind, size in SIZES.items()}
    return EvidenceLowerBound(sizes, 0.5) if name == "elbo" else WeightedAverages(sizes, 0.5, 0.1, True)


@torch.no_grad()
@pytest.mark.parametrize("objective", ["elbo", "weighted"])
def test_a_replicate_has_the_loss_that_it_has_alone(
    objective: str, control_batches: Any, make_control_inference: Any
) -> None:
    """Also its noise, although another replicate has more demonstrated steps."""
    together = make_control_inference(control_batches)
    alone = make_control_inference(control_batches, n_models=1)
    rows = dict(together.state_dict())
    alone.load_state_dict({name: t if name == "prior.mean" else t[1:] for name, t in rows.items()})
    batches = {kind: batch.map(lambda t: t[1:]) for kind, batch in control_batches.items()}
    batches["demonstration"] = batches["demonstration"].map(lambda t: t[:, :4])
    assert batches["demonstration"].transitions.valid.all()
    assert control_batches["demonstration"].transitions.valid[0].all()
    noise, own_noise = StepNoise([(0, 0), (1, 0)], "train"), StepNoise([(1, 0)], "train")
    expected = _objective(objective)(together, control_batches, lambda count: noise.draw(3, count))
    found = _objective(objective, slice(1, 2))(alone, batches, lambda count: own_noise.draw(3, count))
    for name, term in found.terms.items():
        torch.testing.assert_close(term, expected.terms[name][1:])
    torch.testing.assert_close(found.total, expected.total[1:])


@pytest.mark.parametrize("objective", ["elbo", "weighted"])
def test_models_do_not_share_gradients(objective: str, control_batches: Any, make_control_inference: Any) -> None:
    model = make_control_inference(control_batches)
    _objective(objective)(model, control_batches, _Noise(2)).total[0].backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert (parameter.grad[0] != 0).any()
        assert (parameter.grad[1] == 0).all()


@pytest.mark.parametrize("objective", ["elbo", "weighted"])
def test_padding_changes_nothing(objective: str, control_batches: Any, make_control_inference: Any) -> None:
    """What padded steps hold neither changes the loss nor gets a gradient."""
    model, losses = make_control_inference(control_batches, domain="sas"), []
    for filling in (0.0, 7.0):
        batches = {}
        for kind, batch in control_batches.items():
            steps, padding = batch.transitions, ~batch.transitions.valid[..., None]
            changed = Transitions(
                torch.where(padding, filling, steps.state),
                steps.action,
                torch.where(padding, -filling, steps.next_state),
                steps.next_action,
                steps.terminal,
                steps.valid,
            )
            labels = {f: getattr(batch, f) for f in ("first_preferred", "rating", "stop_step") if hasattr(batch, f)}
            batches[kind] = type(batch)(changed, **labels)
        model.zero_grad()
        loss = _objective(objective)(model, batches, _Noise(2)).total
        loss.sum().backward()
        losses.append((loss.detach(), [p.grad.clone() for p in model.parameters()]))
    torch.testing.assert_close(losses[0], losses[1])


# A finite environment, seen as observations -------------------------------------------------------------------------


def _one_hot(batch: Any) -> Any:
    steps = batch.transitions
    observed = Transitions(
        torch.eye(9)[steps.state],
        steps.action,
        torch.eye(9)[steps.next_state],
        steps.next_action,
        steps.terminal,
        steps.valid,
    )
    labels = {f: getattr(batch, f) for f in ("first_preferred", "rating", "stop_step") if hasattr(batch, f)}
    return type(batch)(observed, **labels)


@torch.no_grad()
@pytest.mark.parametrize("backup", ["optimal", "soft", "behaviour"])
@pytest.mark.parametrize("objective", ["elbo", "weighted"])
def test_one_hot_observations_are_states(objective: str, backup: Any, make_feedback: Any) -> None:
    """The same weights, domain s and no noise: what the data decide is the same, but for how often a step counts."""
    counts = {"preference": 5, "demonstration": 2, "rating": 6, "stop": 4}
    feedback = make_feedback(counts, [0, 1])
    batches, likelihoods = feedback.train_sets, feedback.likelihoods()
    sizes = {kind: batch.valid_samples.sum(-1).float() for kind, batch in batches.items()}
    streams, none = [torch.Generator() for _ in range(2)], Standardization.identity(2, 9)
    posterior = StatePosterior(9, [8], streams)
    of_steps = StepPosterior(9, NumberedHead(5), "s", [8], streams, none)
    weights, first = posterior.encoder.state_dict(), "layers.0.weight"
    ends_count_nothing = torch.nn.functional.pad(weights[first], (0, 0, 0, 1))
    of_steps.encoder.load_state_dict({**weights, first: ends_count_nothing})
    network = BatchedMLP(9, [8], 5, streams)
    states = RewardInference(
        posterior,
        RewardPrior(torch.zeros(9), 0.8, 2, 4.0, 0.8),
        LearnedStateValues(network, NumberedHead(5), GAMMA, backup, 0.5),
        likelihoods,
    )
    steps = RewardInference(
        of_steps,
        RewardPrior(torch.zeros(1), 0.8, 2, 4.0, 0.8),
        LearnedStepValues(network, NumberedHead(5), GAMMA, backup, 0.5, standardization=none),
        likelihoods,
        lambda b, scales, valued: StepSupport(b, scales, valued, "transition", NumberedHead(5)),
    )
    chosen = EvidenceLowerBound(sizes, 0.5) if objective == "elbo" else WeightedAverages(sizes, 0.5, 0.1, True)
    expected = chosen(states, batches, _no_noise)
    found = chosen(steps, {kind: _one_hot(batch) for kind, batch in batches.items()}, _no_noise)
    assert set(found.terms) == set(expected.terms)
    counted_otherwise = ("kl", "stop/bellman") if objective == "elbo" else ()
    for name in set(found.terms).difference(counted_otherwise):
        torch.testing.assert_close(found.terms[name], expected.terms[name], rtol=1e-4, atol=1e-4)
    if objective == "weighted":
        torch.testing.assert_close(found.total, expected.total, rtol=1e-4, atol=1e-4)
