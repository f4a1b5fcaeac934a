"""The figures of a sweep: those of its metrics, and the learned rewards of each grid in one."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf

from mavrl.errors import StorageError
from mavrl.families.base import family_of
from mavrl.families.grid.family import Grid
from mavrl.metrics import METRICS
from mavrl.model.tabular_reward import TabularRewardModel
from mavrl.reports.figures.panels import panel_figure
from mavrl.reports.figures.save import save_figure
from mavrl.reports.figures.sweep import labels_of, sweep_figures
from mavrl.reports.progress import modality_order
from mavrl.storage.index import Run
from mavrl.tasks.trained import trained_settings
from mavrl.training.evaluation import one_thread
from mavrl.workers import Workers

_REMARKS = ("normalized_return", "epic_distance")


def draw_sweep(config: DictConfig, runs: Sequence[Run], folder: Path) -> list[Path]:
    """Draw what the completed runs of a sweep have to show; returns the paths.

    Args:
        config: of this command, which says where things are.
        runs: the runs.
        folder: of the figures.
    """
    written = []
    with one_thread():
        for name, figure in (*sweep_figures(runs), *_panels(config, runs)):
            written += save_figure(figure, folder / f"{name}.png")
    return written


def _panels(config: DictConfig, runs: Sequence[Run]) -> Iterator[tuple[str, Figure]]:
    """`rewards_<env>` of each grid: of every subset of feedback the run with most labels, mean over its replicates."""
    for env in dict.fromkeys(run.metrics["env"] for run in runs):
        of_env = sorted((run for run in runs if run.metrics["env"] == env), key=labels_of)
        chosen = {run.metrics["modality"]: run for run in of_env}
        if of_env[0].config.get("env", {}).get("family") != "grid" or len(chosen) < 2:
            continue
        here = OmegaConf.merge(config, {"run_dir": str(of_env[-1].path)})
        assert isinstance(here, DictConfig)
        family = family_of(trained_settings(here), Workers(1))
        assert isinstance(family, Grid)
        learned, remarks = {}, {}
        for modality in sorted(chosen, key=modality_order):
            run = chosen[modality]
            try:
                table = TabularRewardModel.load(run.path).mean_table().mean(0)
            except StorageError:
                continue
            if len(table) == len(family.problem.reward[0]):  # of the same size
                learned[modality], mean = table.double().numpy(), run.metrics["mean"]
                known = [METRICS[name] for name in _REMARKS if name in mean]
                remarks[modality] = "\n".join(f"{m.words} {mean[m.name]:.{m.digits}f}" for m in known)
        title = f"{env}: mean learned reward of each subset of feedback"
        yield f"rewards_{env}", panel_figure(family.problem.reward[0].numpy(), learned, remarks, title)
