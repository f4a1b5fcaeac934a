"""The best trials of a study on seeds that the search did not use."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mavrl.errors import ConfigurationError, StorageError
from mavrl.results.files import read_json, write_json
from mavrl.search.record import StudyRecord, TrialRecord, read_studies
from mavrl.search.storage import open_storage
from mavrl.sweep.combinations import ComposedJob
from mavrl.sweep.repetition import overrides_of
from mavrl.tasks.configuration import config_hash


@dataclass(frozen=True)
class Confirmation:
    """What is confirmed, and where.

    Args:
        study: of one cell.
        trial: its best one.
        folder: of the cell.
        seeds: fresh ones.
    """

    study: StudyRecord
    trial: TrialRecord
    folder: Path
    seeds: range

    @property
    def original(self) -> list[str]:
        """The command line of the trial itself.

        Raises:
            StorageError: its run directory is gone.
        """
        path = Path(str(self.trial.run_directory)) / "config.json"
        config = read_json(path)
        if config is None:
            raise StorageError(f"{path}: missing or damaged; it says what trial {self.trial.number} was")
        return overrides_of(config)

    def check(self, job: ComposedJob) -> None:
        """Refuse to confirm a trial that this version would run differently.

        Raises:
            ConfigurationError: the configuration has changed its meaning since.
        """
        status = read_json(Path(str(self.trial.run_directory)) / "status.json") or {}
        if status.get("config_hash") != config_hash(job.config):
            allowed = f"trial {self.trial.number} was run by a version with other settings, and cannot be repeated"
            raise ConfigurationError("study", self.study.name, allowed)

    @property
    def overrides(self) -> list[str]:
        """The command line of the run that confirms."""
        fresh = [f"++seed={self.seeds.start}", f"++replicates={len(self.seeds)}"]
        name = f"trial={self.trial.number},seeds={self.seeds.start}-{self.seeds.stop - 1}"
        return [*self.original, *fresh, f"hydra.sweep.dir={self.folder}", f"hydra.sweep.subdir='{name}'"]

    def write(self, metrics: dict[str, Any], directory: Path) -> Path:
        """Keep the result beside the study, and print it beside the searched one."""
        metric = self.study.metric
        content = {
            "trial": self.trial.number,
            "metric": metric,
            "searched": self.trial.value,
            "value": metrics["mean"][metric],
            "stderr": metrics["stderr"].get(metric),
            "seeds": list(self.seeds),
            "run_directory": str(directory),
            "final": metrics["final"],
            "n_samples": metrics["n_samples"],
        }
        error = "" if content["stderr"] is None else f" +- {content['stderr']:.4g}"
        print(
            f"{self.study.name} trial {self.trial.number}: {metric} searched {self.trial.value:.4g}, "
            f"confirmed {content['value']:.4g}{error} on seeds {self.seeds.start} to {self.seeds.stop - 1}"
        )
        path = self.folder / "confirmed.json"
        write_json(path, content)
        return path


def confirmations(config: DictConfig, env: str | None, modality: str | None) -> list[Confirmation]:
    """What `task=confirm` runs: the best trial of every cell of `study`, or of some of them.

    Raises:
        ConfigurationError: there is no such study, it has no completed trial, or seeds are those of the search.
    """
    root = Path(config.paths.studies) / config.study
    studies = [
        study for study in _studies(config, root) if env in (None, study.env) and modality in (None, study.modality)
    ]
    if not studies:
        known = sorted(path.name for path in Path(config.paths.studies).glob("*")) if not config.search.storage else []
        raise ConfigurationError(
            "study", config.study, f"has no such cell; studies here are {', '.join(known) or 'none'}"
        )
    found = []
    for study in studies:
        if study.best is None:
            raise ConfigurationError("study", study.name, "has no completed trial yet")
        folder = root / study.env / study.modality
        found.append(Confirmation(study, study.best, folder, _fresh_seeds(config, study)))
    return found


def _studies(config: DictConfig, root: Path) -> list[StudyRecord]:
    if config.search.storage:
        return read_studies(open_storage(config.search.storage), f"{config.study}/")
    journals = sorted(root.glob("*/*/journal.log"))
    return [study for path in journals for study in read_studies(open_storage(str(path)), f"{config.study}/")]


def _fresh_seeds(config: DictConfig, study: StudyRecord) -> range:
    used = range(study.fixed["seed"], study.fixed["seed"] + study.fixed["replicates"])
    first = used.stop if config.task.seed is None else config.task.seed
    fresh = range(first, first + config.task.replicates)
    if fresh.start < used.stop and used.start < fresh.stop:
        allowed = f"the search used the seeds {used.start} to {used.stop - 1}; take others"
        raise ConfigurationError("task.seed", config.task.seed, allowed)
    return fresh
