"""The best trials of a study on seeds that the search did not use."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mavrl.configuration.identity import config_hash
from mavrl.errors import ConfigurationError, MavrlError, StorageError
from mavrl.metrics import metric_text, what_it_needs
from mavrl.search.reading import find_cells
from mavrl.search.record import StudyRecord, TrialRecord
from mavrl.storage.contents import read_config, read_status
from mavrl.storage.files import write_json
from mavrl.sweep.combinations import ComposedJob
from mavrl.sweep.repetition import result_overrides


@dataclass(frozen=True)
class Confirmation:
    """The confirmation of one cell's best trial, before it is run.

    Args:
        study: the study of the cell.
        trial: the best trial of the study.
        directory: where the trial ran.
        folder: the folder of the cell.
        seeds: seeds that the search did not use.
    """

    study: StudyRecord
    trial: TrialRecord
    directory: Path
    folder: Path
    seeds: range

    @property
    def trial_overrides(self) -> list[str]:
        """The overrides that repeat the trial itself, on the seeds of the search.

        Raises:
            StorageError: the trial's run directory is gone.
        """
        config = read_config(self.directory)
        if not config:
            path = self.directory / "config.json"
            raise StorageError(f"{path}: missing or damaged; it says what trial {self.trial.number} was")
        return result_overrides(config)

    def check(self, job: ComposedJob) -> None:
        """Refuse to confirm a trial that this version would run differently.

        Args:
            job: what `trial_overrides` compose to now.

        Raises:
            ConfigurationError: the configuration has changed its meaning since.
        """
        if read_status(self.directory).get("config_hash") != config_hash(job.config):
            before = (
                f"trial {self.trial.number} was run with other code of its environment, or by another version of MAVRL"
            )
            allowed = f"{before}, and cannot be repeated"
            raise ConfigurationError("study", self.study.name, allowed)

    @property
    def overrides(self) -> list[str]:
        """The overrides of the run that confirms the trial."""
        fresh = [f"++seed={self.seeds.start}", f"++replicates={len(self.seeds)}"]
        name = f"trial={self.trial.number},seeds={self.seeds.start}-{self.seeds.stop - 1}"
        known_as = ["task=confirm", f"study={self.study.study}"]  # to loggers; none of it changes a result
        place = [f"hydra.sweep.dir={self.folder}", f"hydra.sweep.subdir='{name}'"]
        return [*self.trial_overrides, *fresh, *known_as, *place]

    def write(self, metrics: dict[str, Any], directory: Path) -> Path:
        """Write the confirmed result to confirmed.json in the cell's folder, and print it beside the searched one.

        Args:
            metrics: content of metrics.json of the run that confirms.
            directory: where that run is.

        Returns:
            The path of confirmed.json.

        Raises:
            MavrlError: the run has no such metric.
        """
        metric = self.study.metric
        if metric not in metrics.get("mean", {}):
            raise MavrlError(f"{directory}: the run that confirms has no {metric}{what_it_needs(metric)}")
        content = {
            "trial": self.trial.number,
            "metric": metric,
            "searched": self.trial.value,
            "value": metrics["mean"][metric],
            "stderr": metrics["stderr"].get(metric),
            "seeds": list(self.seeds),
            "run_directory": str(directory),
            "final": metrics["final"],
            "failed_replicates": metrics.get("failed_replicates", []),
            "n_samples": metrics["n_samples"],
        }
        error = "" if content["stderr"] is None else f" +- {metric_text(content['stderr'])}"
        print(
            f"{self.study.name} trial {self.trial.number}: {metric} searched {metric_text(self.trial.value)}, "
            f"confirmed {metric_text(content['value'])}{error} on seeds {self.seeds.start} to {self.seeds.stop - 1}"
        )
        path = self.folder / "confirmed.json"
        write_json(path, content)
        return path


def confirmations(config: DictConfig, env: str | None, modality: str | None) -> list[Confirmation]:
    """The confirmations that `task=confirm` runs: of the best trial of every cell of `study`, or of some cells.

    Args:
        config: the configuration of the command.
        env, modality: restrict the cells; None for all.

    Raises:
        ConfigurationError: there is no such study, it has no completed trial, or seeds are those of the search.
    """
    found = []
    for cell in find_cells(Path(config.paths.studies), config.study, config.search.storage, env, modality):
        study, best = cell.record, cell.record.best
        directory = None if best is None else cell.directory(best)
        if best is None or directory is None:
            raise ConfigurationError("study", study.name, "has no completed trial yet")
        found.append(Confirmation(study, best, directory, cell.folder, _fresh_seeds(config, study)))
    return found


def _fresh_seeds(config: DictConfig, study: StudyRecord) -> range:
    used = range(study.fixed["seed"], study.fixed["seed"] + study.fixed["replicates"])
    first = used.stop if config.task.seed is None else config.task.seed
    fresh = range(first, first + config.task.replicates)
    if fresh.start < used.stop and used.start < fresh.stop:
        allowed = f"the search used the seeds {used.start} to {used.stop - 1}; take others"
        raise ConfigurationError("task.seed", config.task.seed, allowed)
    return fresh
