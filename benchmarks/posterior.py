"""Is the posterior right? Variational against exact, each kind of feedback alone, on 3 x 3 grids.

    python benchmarks/posterior.py
    python benchmarks/posterior.py --figure ranks.png              also draws the histograms of ranks

Rewards of 100 replicates are drawn from the prior N(0, 1). The exact posterior comes from elliptical slice sampling
(for ratings: given the learned cutpoints). Prints one JSON line a kind: how far the means are apart in units of the
exact standard deviation, the ratio of the standard deviations (also to those given all other states, which is what a
posterior of independent states converges to), how often 50 % and 90 % intervals hold the truth, the same of the
differences of all pairs of states, in which a shift that nothing fixes is gone, and simulation-based calibration: the
rank of the true reward of one state of each replicate among 99 draws, in ten bins, with the p-value of a chi-square
test that the ranks are uniform, for the variational and the exact posterior.
"""

import argparse
import dataclasses
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
KINDS = {"p": "preference", "d": "demonstration", "r": "rating", "s": "stop"}
CHAINS = 8  # of each replicate
RANKED, BINS = 99, 10  # draws that the truth is ranked among, and bins of ranks


def compare(letter: str, replicates: int, samples: int, overrides: list[str]) -> dict[str, Any]:
    """Fit one kind of feedback and sample its exact posterior."""
    import torch

    from mavrl.configuration.composition import compose
    from mavrl.configuration.settings import RunSettings
    from mavrl.evaluation.calibration import coverage, probability_below
    from mavrl.evaluation.exact_posterior import FeedbackLogLikelihood, elliptical_slice_sampling
    from mavrl.evaluation.ranks import rank_histogram, ranks, uniformity
    from mavrl.families.grid.family import Grid
    from mavrl.model.tabular_reward import TabularRewardModel
    from mavrl.storage.checkpoints import Checkpoints
    from mavrl.streams import torch_stream
    from mavrl.training.building import build_data, build_learner
    from mavrl.training.fitting import fit
    from mavrl.workers import Workers

    torch.set_num_threads(1)
    fixed = [f"modality={letter}", f"replicates={replicates}", "env.size=3", "env.termination=neutral"]
    fixed += ["env.max_steps=40"]  # a reward that pays for staying away from the goal makes demonstrations endless
    fixed += ["model.prior.scale=1", "paths.cache=null", "seed=900", "feedback.demonstration.n_samples=4"]
    settings = RunSettings.from_config(compose(*fixed, *overrides))
    truth = torch.stack(
        [torch.randn(9, generator=torch_stream(900 + k, "true reward"), dtype=torch.float64) for k in range(replicates)]
    )
    grid = Grid(settings, Workers(1))
    problem = grid.problem = dataclasses.replace(grid.problem, reward=truth)
    data = build_data(settings, grid)
    data.setup()
    learner = build_learner(settings, grid, data)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        fit(settings, learner, data, Checkpoints(Path(directory) / "checkpoints"), Path(directory))
    seconds = time.monotonic() - started
    with torch.no_grad():
        mean, logvar = learner.inference.posterior()
        matrix = learner.inference.posterior.correlation(mean).matrix().double()
    mean, std = mean.double(), (0.5 * logvar.double()).exp()
    first, second = torch.triu_indices(9, 9, 1)
    apart = mean[:, first] - mean[:, second], _std_of_differences(std, matrix, first, second)
    true_apart = truth[:, first] - truth[:, second]

    kind = KINDS[letter]
    likelihood = learner.inference.likelihoods[kind]
    for parameter in (*likelihood.parameters(), *likelihood.buffers()):
        parameter.data = parameter.data.repeat_interleave(CHAINS, dim=0).double()
    batch = data.train_sets[kind].repeat_replicates(CHAINS)
    draws = elliptical_slice_sampling(
        FeedbackLogLikelihood(problem, {kind: likelihood}, {kind: batch}),
        torch.zeros(9, dtype=torch.float64),
        1.0,
        n_chains=replicates * CHAINS,
        n_samples=samples,
        n_warmup=samples // 2,
        generator=torch_stream(900, "chains"),
    )
    draws = draws.unflatten(1, (replicates, CHAINS))
    exact_mean, exact_std = draws.mean((0, 2)), draws.transpose(1, 2).flatten(0, 1).std(0)
    between = draws.mean(0).var(1)  # of the chains' means: their spread says how well the chains agree
    r_hat = ((between + draws.var(0).mean(1)) / draws.var(0).mean(1)).sqrt().max()
    ratio, below = std / exact_std, probability_below(mean, std, truth)
    flat = draws.transpose(1, 2).flatten(0, 1)
    differences = flat[..., first] - flat[..., second]
    model = TabularRewardModel.from_posterior(learner.inference.posterior, {"replicates": replicates, "members": 1})
    state = torch.arange(replicates) % 9  # of each replicate one: ranks of one posterior depend on one another
    row = torch.arange(replicates)
    drawn = torch.stack([model.sample_table(seed) for seed in range(RANKED)], dim=1)
    thinned = flat[torch.linspace(0, len(flat) - 1, RANKED).long()].transpose(0, 1)
    histograms = {
        name: rank_histogram(ranks(each, truth)[row, state].numpy(), RANKED, BINS)
        for name, each in (("ranks", drawn), ("exact_ranks", thinned))
    }
    conditional = torch.stack([torch.linalg.inv(torch.cov(flat[:, r].T)).diagonal() for r in range(replicates)]) ** -0.5
    return {
        "kind": kind,
        "mean_difference_in_std": round(((mean - exact_mean).abs() / exact_std).mean().item(), 3),
        "correlation_of_means": round(
            torch.corrcoef(torch.stack([mean.flatten(), exact_mean.flatten()]))[0, 1].item(), 3
        ),
        "std_ratio_mean": round(ratio.mean().item(), 3),
        "std_ratio_5_95": [round(v, 2) for v in ratio.flatten().quantile(torch.tensor([0.05, 0.95]).double()).tolist()],
        "std_ratio_mean_field": round((std / conditional).mean().item(), 3),
        "coverage_50": round(coverage(below, 0.5).mean().item(), 3),
        "coverage_90": round(coverage(below, 0.9).mean().item(), 3),
        "exact_coverage_50": round(_share(flat, truth, 0.5), 3),
        "exact_coverage_90": round(_share(flat, truth, 0.9), 3),
        "difference_std_ratio": round((apart[1] / differences.std(0)).mean().item(), 3),
        "difference_coverage_90": round(coverage(probability_below(*apart, true_apart), 0.9).mean().item(), 3),
        "exact_difference_coverage_90": round(_share(differences, true_apart, 0.9), 3),
        **{name: counts.tolist() for name, counts in histograms.items()},
        **{f"{name}_p": round(uniformity(counts), 4) for name, counts in histograms.items()},
        "exact_std": round(exact_std.mean().item(), 3),
        "largest_r_hat": round(r_hat.item(), 3),
        "replicates": replicates,
        "seconds_fit": round(seconds, 1),
        "seconds_exact": round(time.monotonic() - started - seconds, 1),
    }


def _std_of_differences(std: Any, matrix: Any, first: Any, second: Any) -> Any:
    """Standard deviation of the difference of each pair of states, from theirs and the correlation of all."""
    covariance = std[..., :, None] * matrix * std[..., None, :]
    variance = covariance.diagonal(dim1=-2, dim2=-1)
    return (variance[:, first] + variance[:, second] - 2 * covariance[:, first, second]).sqrt()


def _share(draws: Any, truth: Any, level: float) -> float:
    """How often the central interval of the draws, along the first axis, holds the truth."""
    below = (draws < truth).double().mean(0)
    return ((below - 0.5).abs() <= level / 2).double().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicates", type=int, default=100)
    parser.add_argument("--samples", type=int, default=400, help="draws kept of each of 8 chains a replicate")
    parser.add_argument("--kinds", default="pdrs")
    parser.add_argument("--figure", help="file for the histograms of ranks")
    parser.add_argument("overrides", nargs="*", help="configuration overrides")
    arguments = parser.parse_intermixed_args()
    found = []
    for letter in arguments.kinds:
        found.append(compare(letter, arguments.replicates, arguments.samples, arguments.overrides))
        print(json.dumps(found[-1]), flush=True)
    if arguments.figure:
        _draw(found, Path(arguments.figure))


def _draw(found: list[dict[str, Any]], path: Path) -> None:
    import numpy as np

    from mavrl.reports.figures.ranks import rank_figure
    from mavrl.reports.figures.save import save_figure

    histograms = {
        each["kind"]: {"variational": np.array(each["ranks"]), "exact": np.array(each["exact_ranks"])} for each in found
    }
    save_figure(rank_figure(histograms, "Ranks of true rewards among draws from their posteriors"), path, pdf=False)


if __name__ == "__main__":
    main()
