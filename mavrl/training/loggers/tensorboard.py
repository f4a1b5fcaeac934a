"""TensorBoard: curves, final metrics, figures and the card, in event files in the run directory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger

from mavrl.configuration.plain import flatten
from mavrl.reports.escaping import markdown_text
from mavrl.training.loggers.conclusion import Conclusion, Table, rounds_by_name

_FOLDER = "tensorboard"


class RunTensorBoardLogger(TensorBoardLogger):
    """Event files of a run.

    Args:
        directory: in which their folder is.
        facts: what tells the run from others.
        parameters: settings by key, for the tab of hyperparameters.
    """

    def __init__(self, directory: Path, facts: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
        super().__init__(directory, name="", version=_FOLDER)
        self._facts, self._parameters = dict(facts), dict(parameters)

    def conclude(self, conclusion: Conclusion) -> None:
        """Write what is known at the end of the run."""
        writer = self.experiment
        writer.add_text("run", "\n".join(f"- {name}: `{value}`" for name, value in self._facts.items()))
        for name, value in conclusion.numbers.items():
            writer.add_scalar(name, value)
        for name, table in conclusion.tables.items():
            writer.add_text(name, _markdown(table))
        for replicate, rows in enumerate(conclusion.policy_curves):
            for row in rows:
                writer.add_scalar(f"policy/{replicate}/true_return", row["true_return"], int(row["step"]))
        for number, figures in rounds_by_name(conclusion.rounds):
            for name, value in figures.items():
                writer.add_scalar(name, value, number)
        self._add_pictures(conclusion)
        if conclusion.card:
            writer.add_text("reward_model/card", conclusion.card)
        self._add_hyperparameters({k: v for k, v in conclusion.numbers.items() if k.startswith("final/")})

    def close(self) -> None:
        """Finish the event file."""
        self.experiment.close()

    def _add_pictures(self, conclusion: Conclusion) -> None:
        from matplotlib.image import imread

        for name, path in conclusion.pictures.items():
            self.experiment.add_image(name, imread(path)[..., :3], dataformats="HWC")

    def _add_hyperparameters(self, final: Mapping[str, float]) -> None:
        from torch.utils.tensorboard.summary import hparams

        kept = {
            key: value if isinstance(value, (bool, int, float)) else str(value)
            for key, value in flatten(self._parameters).items()
            if value is not None and not key.endswith("_target_")
        }
        for summary in hparams(kept, dict(final)):
            self.experiment.file_writer.add_summary(summary)


def _markdown(table: Table) -> str:
    rows = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "\n".join(f"| {' | '.join(map(_entry, row))} |" for row in rows)


def _entry(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else value if value == "---" else markdown_text(str(value))
