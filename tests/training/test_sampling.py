"""The exact posterior as a run samples it: against an independent sampler, across a kill, and for each replicate."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from mavrl.configuration.settings import RunSettings
from mavrl.errors import ConfigurationError
from mavrl.evaluation.exact_posterior import FeedbackLogLikelihood, elliptical_slice_sampling
from mavrl.families.grid.family import Grid
from mavrl.model.sampled_reward import SampledRewardModel
from mavrl.storage.checkpoints import Checkpoints
from mavrl.training.building import build_data
from mavrl.training.sampling import PosteriorSampler, sample_posterior
from mavrl.workers import Workers

SMALL = ("experiment=exact", "env.size=3", "env.max_steps=40", "paths.cache=null", "checkpoint_seconds=0")
SHORT = ("model.sampling.warmup=6", "model.sampling.draws=4", "model.sampling.thinning=2", "model.sampling.chains=2")


def _parts(composed: Any, *words: str) -> tuple[RunSettings, Grid, Any]:
    settings = RunSettings.from_config(composed(*SMALL, *words))
    grid = Grid(settings, Workers(1))
    data = build_data(settings, grid)
    data.setup()
    return settings, grid, data


def _sampled(composed: Any, directory: Path, *words: str) -> SampledRewardModel:
    sample_posterior(*_parts(composed, *words), Checkpoints(directory / "checkpoints"), directory)
    return SampledRewardModel.load(directory)


@pytest.mark.slow
def test_it_agrees_with_another_sampler(composed: Any, tmp_path: Path) -> None:
    words = ("modality=p", "model.prior.scale=1", "replicates=2", "env.termination=neutral")
    longer = ("model.sampling.chains=8", "model.sampling.warmup=200", "model.sampling.draws=300")
    model = _sampled(composed, tmp_path, *words, *longer, "model.sampling.thinning=1")
    _, grid, data = _parts(composed, *words, "model.sampling.chains=50")
    batches = {"preference": data.train_sets["preference"].repeat_replicates(50)}
    log_likelihood = FeedbackLogLikelihood(grid.problem, data.likelihoods(), batches)
    generator = torch.Generator().manual_seed(1)
    draws = elliptical_slice_sampling(log_likelihood, torch.zeros(9).double(), 1.0, 100, 300, 100, generator)
    rows = draws.unflatten(1, (2, 50)).transpose(0, 1).flatten(1, 2)
    assert (model.mean_table() - rows.mean(1)).abs().max() < 0.12
    assert (model.std_table() / rows.std(1) - 1).abs().max() < 0.12


def test_a_killed_sampling_goes_on_to_the_same_draws(composed: Any, tmp_path: Path) -> None:
    words = ("modality=pr", "replicates=2", *SHORT)
    whole = _sampled(composed, tmp_path / "whole", *words)
    for stop in (3, 9):  # while the chains warm up, and after
        first = PosteriorSampler(*_parts(composed, *words))
        for _ in range(stop):
            first.go_on()
        checkpoints = Checkpoints(tmp_path / str(stop) / "checkpoints")
        checkpoints.save(first.iteration, first.save)
        sample_posterior(*_parts(composed, *words), checkpoints, tmp_path / str(stop))
        found = SampledRewardModel.load(tmp_path / str(stop))
        assert torch.equal(found.draws, whole.draws)
        assert torch.equal(found.scale, whole.scale)


def test_a_replicate_is_the_single_run_of_its_seed(composed: Any, tmp_path: Path) -> None:
    both = _sampled(composed, tmp_path / "both", "modality=pd", "replicates=2", "seed=5", *SHORT)
    second = _sampled(composed, tmp_path / "second", "modality=pd", "replicates=1", "seed=6", *SHORT)
    torch.testing.assert_close(both.draws[1:], second.draws)
    assert not torch.allclose(both.draws[:1], second.draws)


def test_what_is_kept(composed: Any, tmp_path: Path) -> None:
    model = _sampled(composed, tmp_path, "modality=r", "replicates=2", *SHORT)
    assert model.draws.shape == (2, 2, 4, 9)
    assert model.description["chains"] == 2
    assert (model.scale > 0).all()
    fixed = _sampled(composed, tmp_path / "fixed", "modality=p", "replicates=1", "model.prior.scale=0.5", *SHORT)
    assert fixed.scale.unique().tolist() == [0.5]


def test_cutpoints_move_up_the_likelihood_alike_in_all_chains(composed: Any) -> None:
    settings, grid, data = _parts(composed, "modality=r", "replicates=2", "model.sampling.chains=3")
    sampler = PosteriorSampler(settings, grid, data)
    before = data.likelihoods()["rating"].double()
    for _ in range(15):
        sampler.go_on()
    state = {name.removeprefix("rating."): value for name, value in sampler._learned.state_dict().items()}
    assert not torch.allclose(state["first_cutpoint"], before.first_cutpoint)
    for name, value in state.items():
        rows = value.unflatten(0, (2, 3))
        assert torch.equal(rows[:, :1].expand_as(rows), rows), name
    reward = sampler._mean + sampler._chains.deviation
    batches = {"rating": data.train_sets["rating"].repeat_replicates(3)}
    first = FeedbackLogLikelihood(grid.problem, {"rating": before}, batches)(reward).mean()
    assert sampler._log_likelihood(reward).mean() > first


def test_the_step_is_fitted_to_the_acceptance(composed: Any) -> None:
    sampler = PosteriorSampler(*_parts(composed, "modality=p", "replicates=2"))
    for _ in range(5):
        sampler.go_on()
    assert not torch.allclose(sampler._log_step, torch.full((2, 1), math.log(0.1), dtype=torch.float64))


def test_a_teacher_who_is_learned_has_no_exact_posterior(composed: Any) -> None:
    settings, grid, data = _parts(composed, "modality=p", "teacher=crowd", "replicates=1")
    with pytest.raises(ConfigurationError, match=r"^model.objective=exact: is told what the teacher is like"):
        PosteriorSampler(settings, grid, data)
