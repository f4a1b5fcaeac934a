"""The reward posterior and its prior."""

import math
from typing import Any

import pytest
import torch
from scipy import optimize, stats

from mavrl.model.action_heads import NumberedHead
from mavrl.model.layers import BatchedMLP, Standardization
from mavrl.model.posterior import InverseStepPosterior, RewardPrior, StatePosterior, StepPosterior
from mavrl.model.support import StateSupport, StepSupport

N_FEATURES, N_ACTIONS = 3, 4  # of the fixture's control environment
HEAD = NumberedHead(N_ACTIONS)
STATES = StateSupport({}, {}, [])  # all of them, whatever the feedback


def _generators(n: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(k) for k in range(n)]


def test_the_posterior_of_a_state_is_the_network_at_its_one_hot_vector() -> None:
    posterior = StatePosterior(6, [7, 5], _generators(3))
    mean, logvar = posterior()
    assert mean.shape == logvar.shape == (3, 6)
    x = torch.eye(6).expand(3, -1, -1)
    layers = list(posterior.encoder.layers)
    for number, layer in enumerate(layers):
        x = torch.einsum("rni,rio->rno", x, layer.weight) + layer.bias
        if number < len(layers) - 1:
            x = torch.where(x > 0, x, 0.01 * x)
    assert torch.allclose(mean, x[..., 0], atol=1e-6)
    assert torch.allclose(logvar, x[..., 1], atol=1e-6)


def test_the_log_variance_is_clamped() -> None:
    posterior = StatePosterior(4, [3], _generators(1))
    with torch.no_grad():
        posterior.encoder.layers[-1].bias[..., 1] = 1e4
        assert (posterior()[1] == 2).all()
        posterior.encoder.layers[-1].bias[..., 1] = -1e4
        assert (posterior()[1] == -20).all()


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_kl_is_the_divergence_of_normals(scale: float) -> None:
    prior = RewardPrior(torch.tensor([0.0, 1.0, -1.0]), scale, 2, 4.0, 0.8)
    mean, logvar = torch.randn(2, 3), torch.randn(2, 3)
    kl = prior.kl(mean, logvar, STATES)
    p = torch.distributions.Normal(mean, (0.5 * logvar).exp())
    q = torch.distributions.Normal(torch.tensor([0.0, 1.0, -1.0]), scale)
    assert torch.allclose(kl, torch.distributions.kl_divergence(p, q), atol=1e-5)


def test_a_fixed_scale_stays() -> None:
    prior = RewardPrior(torch.zeros(3), 0.7, 2, 4.0, 0.8)
    prior.fit(torch.randn(2, 3), torch.randn(2, 3), STATES)
    assert torch.allclose(prior.variance, torch.full((2, 1), 0.49))


@pytest.mark.parametrize(("shape", "rate"), [(1.0, 0.1), (3.0, 2.0), (0.01, 0.01)])
def test_a_learned_scale_is_the_optimum_of_bound_and_hyperprior(shape: float, rate: float) -> None:
    n_states = 7
    prior_mean = torch.zeros(n_states)
    prior_mean[-1] = 1.0
    mean, logvar = torch.randn(3, n_states), torch.randn(3, n_states)
    prior = RewardPrior(prior_mean, None, 3, shape, rate)
    prior.fit(mean, logvar, STATES)
    for r in range(3):

        def loss(log_variance: float, r: int = r) -> float:
            variance = math.exp(log_variance)
            kl = 0.0
            for s in range(n_states):
                v, d = math.exp(float(logvar[r, s])), float(mean[r, s] - prior_mean[s])
                kl += 0.5 * ((v + d * d) / variance - 1 + math.log(variance) - math.log(v))
            return kl - float(stats.invgamma.logpdf(variance, shape, scale=rate))

        best = optimize.minimize_scalar(loss, bounds=(-8, 8), method="bounded", options={"xatol": 1e-9})
        assert prior.variance[r].item() == pytest.approx(math.exp(best.x), rel=1e-4)


# Transitions ---------------------------------------------------------------------------------------------------------


def _step_posterior(domain: Any, at_termination: float = 0.0, scale: Standardization | None = None) -> StepPosterior:
    scale = scale or Standardization.identity(2, N_FEATURES)
    return StepPosterior(N_FEATURES, HEAD, domain, [6], _generators(2), scale, at_termination)


def _arguments(n: int = 5) -> dict[str, torch.Tensor]:
    return {
        "state": torch.randn(2, n, N_FEATURES),
        "action": torch.randint(N_ACTIONS, (2, n)),
        "next_state": torch.randn(2, n, N_FEATURES),
        "terminal": torch.zeros(2, n, dtype=torch.bool),
    }


@torch.no_grad()
@pytest.mark.parametrize("domain", ["s", "sa", "sas"])
def test_the_posterior_of_a_transition_is_the_network_at_its_features(domain: Any) -> None:
    scale = Standardization(torch.randn(2, N_FEATURES), torch.rand(2, N_FEATURES) + 0.5)
    posterior, steps = _step_posterior(domain, scale=scale), _arguments()
    steps["terminal"][0, 3] = True
    mean, logvar = posterior.transition_moments(**steps)
    for r in range(2):
        for n in range(5):
            before, after = (
                ((steps[name][r, n] - scale.mean[r, 0]) / scale.std[r, 0]).clamp(-5, 5).tolist()
                for name in ("state", "next_state")
            )
            features = before
            if domain != "s":
                features += [float(a == int(steps["action"][r, n])) for a in range(N_ACTIONS)]
            if domain == "sas":
                features += after
            features += [float(steps["terminal"][r, n])]
            first, last = posterior.encoder.layers
            hidden = torch.tensor(features) @ first.weight[r] + first.bias[r, 0]  # type: ignore[index]
            hidden = torch.where(hidden > 0, hidden, 0.01 * hidden)
            output = hidden @ last.weight[r] + last.bias[r, 0]  # type: ignore[index]
            assert torch.allclose(torch.stack([mean[r, n], logvar[r, n]]), output, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("domain", ["s", "sa", "sas"])
def test_a_reward_depends_on_its_domain_and_nothing_else(domain: Any) -> None:
    posterior, steps = _step_posterior(domain), _arguments()
    before = posterior.transition_moments(**steps)
    changes = {
        "state": steps["state"] + 1,
        "action": (steps["action"] + 1) % N_ACTIONS,
        "next_state": steps["next_state"] + 1,
        "terminal": ~steps["terminal"],
    }
    read = {"s": ["state"], "sa": ["state", "action"], "sas": ["state", "action", "next_state"]}[domain] + ["terminal"]
    for name, changed in changes.items():
        after = posterior.transition_moments(**{**steps, name: changed})
        for moment, other in zip(before, after, strict=True):
            assert (moment == other).all() == (name not in read)
            assert (moment != other).all() == (name in read)


@torch.no_grad()
@pytest.mark.parametrize("at_termination", [-1.0, 0.0, 1.0])
def test_the_prior_mean_is_added_where_a_transition_terminates(at_termination: float) -> None:
    posterior, steps = _step_posterior("sa", at_termination), _arguments()
    ends = torch.tensor([[True, False, False, True, False], [False, False, True, False, True]])
    with_ends = {**steps, "terminal": ends}
    plain, plain_logvar = _step_posterior("sa", 0.0).transition_moments(**with_ends)
    mean, logvar = posterior.transition_moments(**with_ends)
    assert mean.equal(torch.where(ends, plain + at_termination, plain))
    assert logvar.equal(plain_logvar)


@torch.no_grad()
def test_one_transition_for_all_models() -> None:
    posterior, steps = _step_posterior("sas", 1.0), {name: t[:1] for name, t in _arguments().items()}
    steps["terminal"][0, 2] = True
    for found, expected in zip(
        posterior.transition_moments(**steps),
        posterior.transition_moments(**{name: t.repeat_interleave(2, dim=0) for name, t in steps.items()}),
        strict=True,
    ):
        assert found.equal(expected)


@torch.no_grad()
@pytest.mark.parametrize("domain", ["s", "sa", "sas"])
def test_the_posterior_of_a_support_is_that_of_its_steps(domain: Any, control_batches: Any) -> None:
    posterior = _step_posterior(domain, 1.0)
    scales = dict.fromkeys(control_batches, torch.ones(2))
    support = StepSupport(control_batches, scales, ["stop"], "sample", HEAD)
    for moment, number in zip(posterior(support), range(2), strict=True):
        for kind, batch in control_batches.items():
            steps = batch.transitions.flatten()
            alone = posterior.transition_moments(steps.state, steps.action, steps.next_state, steps.terminal)[number]
            torch.testing.assert_close(support.look_up(moment, kind).flatten(1), alone)


@torch.no_grad()
def test_the_log_variance_of_transitions_is_clamped() -> None:
    posterior = _step_posterior("s")
    for bias, expected in ((1e4, 2), (-1e4, -20)):
        posterior.encoder.layers[-1].bias[..., 1] = bias  # type: ignore[index]
        assert (posterior.transition_moments(**_arguments())[1] == expected).all()


@pytest.mark.parametrize("count", ["transition", "sample", "mean"])
def test_a_learned_scale_counts_transitions_like_the_kl(count: Any, control_batches: Any) -> None:
    """It is the optimum of the KL that the bound subtracts, and of the hyperprior."""
    scales = {kind: torch.tensor([2.0, 0.5]) for kind in control_batches}
    support = StepSupport(control_batches, scales, ["stop"], count, HEAD)
    mean, logvar = torch.randn(2, 62), torch.randn(2, 62)
    prior = RewardPrior(torch.tensor([-1.0]), None, 2, 3.0, 0.5)
    prior.fit(mean, logvar, support)
    for r in range(2):

        def loss(log_variance: float, r: int = r) -> float:
            fixed = RewardPrior(torch.tensor([-1.0]), math.exp(log_variance / 2), 2, 0.0, 0.0)
            kl = (support.kl_weights * fixed.kl(mean, logvar, support)).double().sum(-1)[r]
            return float(kl) - float(stats.invgamma.logpdf(math.exp(log_variance), 3.0, scale=0.5))

        best = optimize.minimize_scalar(loss, bounds=(-8, 8), method="bounded", options={"xatol": 1e-9})
        assert prior.variance[r].item() == pytest.approx(math.exp(best.x), rel=1e-2)


def test_the_prior_of_transitions_has_its_mean_where_they_terminate(control_batches: Any) -> None:
    support = StepSupport(control_batches, dict.fromkeys(control_batches, torch.ones(2)), [], "sample", HEAD)
    prior = RewardPrior(torch.tensor([1.0]), 0.5, 2, 4.0, 0.8)
    mean, logvar = torch.randn(2, 62), torch.randn(2, 62)
    p = torch.distributions.Normal(mean, (0.5 * logvar).exp())
    q = torch.distributions.Normal(torch.where(support.terminal, 1.0, 0.0), 0.5)
    expected = torch.distributions.kl_divergence(p, q)
    assert torch.allclose(prior.kl(mean, logvar, support), expected, atol=1e-4)


# The inverse form ----------------------------------------------------------------------------------------------------


def _inverse(backup: Any = "optimal", scale: Standardization | None = None, domain: Any = "sa") -> InverseStepPosterior:
    scale = scale or Standardization.identity(2, N_FEATURES)
    q = BatchedMLP(N_FEATURES, [6], N_ACTIONS, _generators(2))
    return InverseStepPosterior(
        N_FEATURES,
        HEAD,
        domain,
        [6],
        _generators(2),
        scale,
        1.0,
        q=q,
        gamma=0.9,
        backup=backup,
        soft_temperature=0.1,
    )


@torch.no_grad()
def test_the_reward_is_what_q_implies() -> None:
    posterior, steps = _inverse(), _arguments()
    steps["terminal"][0, 2] = True
    mean, _ = posterior.transition_moments(**steps)
    now, following = posterior.q(steps["state"]), posterior.q(steps["next_state"])
    for r in range(2):
        for n in range(5):
            end = bool(steps["terminal"][r, n])
            value = 0.0 if end else 0.9 * max(following[r, n].tolist())
            assert float(mean[r, n]) == pytest.approx(float(now[r, n, steps["action"][r, n]]) - value, abs=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("domain", ["sa", "sas"])
def test_on_a_support_it_is_the_same_reward(domain: Any, control_batches: Any) -> None:
    scale = Standardization(torch.randn(2, N_FEATURES), torch.rand(2, N_FEATURES) + 1)
    posterior = _inverse(scale=scale, domain=domain)
    scales = {kind: torch.ones(2) for kind in control_batches}
    support = StepSupport(control_batches, scales, ["stop", "demonstration"], "sample", HEAD)
    steps = (support.state, support.action, support.next_state, support.terminal)
    valid = torch.cat([support.transitions(kind).valid.flatten(1) for kind in support._slices], dim=1)
    for found, expected in zip(posterior(support), posterior.transition_moments(*steps), strict=True):
        torch.testing.assert_close(found[valid], expected[valid])


@torch.no_grad()
def test_along_a_path_it_telescopes() -> None:
    """The discounted sum is V at the start plus the discounted advantages, whatever the path."""
    posterior, n = _inverse(), 6
    path, action = torch.randn(2, n + 1, N_FEATURES), torch.randint(N_ACTIONS, (2, n))
    end = torch.zeros(2, n, dtype=torch.bool)
    end[:, -1] = True
    mean, _ = posterior.transition_moments(path[:, :-1], action, path[:, 1:], end)
    discount = 0.9 ** torch.arange(n)
    q = posterior.q(path[:, :-1])
    advantage = q.gather(-1, action[..., None]).squeeze(-1) - q.amax(-1)
    assert (advantage <= 0).all()
    torch.testing.assert_close((discount * mean).sum(-1), q[:, 0].amax(-1) + (discount * advantage).sum(-1))


@torch.no_grad()
def test_the_behaviour_backup_implies_no_reward() -> None:
    with pytest.raises(ValueError, match="no function of the state"):
        _inverse("behaviour").transition_moments(**_arguments())


@torch.no_grad()
@pytest.mark.parametrize("domain", ["s", "sa", "sas"])
def test_weights_under_another_standardization_give_the_same_rewards(domain: Any) -> None:
    before = Standardization(torch.randn(2, N_FEATURES), torch.rand(2, N_FEATURES) + 1)
    after = Standardization(torch.randn(2, N_FEATURES), torch.rand(2, N_FEATURES) + 1)
    old, new = _step_posterior(domain, 1.0, before), _step_posterior(domain, 1.0, after)
    steps = {name: x / 4 if x.is_floating_point() else x for name, x in _arguments().items()}  # nothing is clipped
    steps["terminal"][:, 1] = True
    assert not torch.allclose(old.transition_moments(**steps)[0], new.transition_moments(**steps)[0], atol=1e-2)
    new.go_on_from(old.encoder.state_dict(), before)
    for ours, theirs in zip(new.transition_moments(**steps), old.transition_moments(**steps), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
