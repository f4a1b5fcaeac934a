"""Searches and sweeps use no private part of another library, and the parts that they lean on are as they were seen."""

import ast
import importlib
import inspect
from importlib.metadata import version
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus

ROOT = Path(__file__).parents[2]
FILES = [path for room in ("sweep", "search", "storage") for path in sorted((ROOT / "mavrl" / room).rglob("*.py"))]


def _private_parts(path: Path) -> list[str]:
    """What a file imports from private modules, and reads of the private attributes of other objects than its own."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id == "self"):
            found.append(node.attr)
    return [name for name in found if any(part.startswith("_") and part[1] != "_" for part in name.split("."))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_private_part_is_used(path: Path) -> None:
    allowed = {"_target_"}  # of Hydra's configurations
    assert set(_private_parts(path)) <= allowed


PARTS = [  # public by their names, but described nowhere: where each is, its arguments, and where it was seen
    (
        "hydra.core.utils.run_job",
        "task_function config job_dir_key job_subdir_key hydra_context",
        "hydra-core 1.4.0rc3",
    ),
    ("hydra.core.utils.setup_globals", "", "hydra-core 1.4.0rc3"),
    ("hydra.core.utils.filter_overrides", "overrides", "hydra-core 1.4.0rc3"),
    ("hydra.core.singleton.Singleton.get_state", "", "hydra-core 1.4.0rc3"),
    ("hydra.core.singleton.Singleton.set_state", "state", "hydra-core 1.4.0rc3"),
    ("hydra.core.plugins.Plugins.register", "clazz", "hydra-core 1.4.0rc3"),
    ("hydra.core.config_loader.ConfigLoader.load_sweep_config", "master_config sweep_overrides", "hydra-core 1.4.0rc3"),
    ("hydra.core.override_parser.types.Override.sweep_iterator", "transformer", "hydra-core 1.4.0rc3"),
    ("hydra.core.override_parser.types.Override.sweep_string_iterator", "", "hydra-core 1.4.0rc3"),
    ("hydra.core.override_parser.types.Transformer.encode", "x", "hydra-core 1.4.0rc3"),
    (
        "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher.__call__",
        "sweep_overrides job_dir_key job_num job_id singleton_state",
        "hydra-submitit-launcher 1.4.0rc3",
    ),
    ("hydra_plugins.hydra_submitit_launcher.config.BaseQueueConf", None, "hydra-submitit-launcher 1.4.0rc3"),
    (
        "optuna.storages.BaseStorage.get_trial_id_from_study_id_trial_number",
        "study_id trial_number",
        "optuna 5.0.0",
    ),
    ("optuna.storages.journal.JournalFileOpenLock.acquire", "", "optuna 5.0.0"),
    ("optuna.storages.journal.JournalFileOpenLock.release", "", "optuna 5.0.0"),
    ("optuna.storages.journal.JournalFileBackend.append_logs", "logs", "optuna 5.0.0"),
]


@pytest.mark.parametrize(("place", "arguments", "seen"), PARTS, ids=[place for place, *_ in PARTS])
def test_a_part_is_as_it_was_seen(place: str, arguments: str | None, seen: str) -> None:
    distribution = seen.split()[0]
    remedy = f"{place} was used as of {seen}; {version(distribution)} is installed: see who uses it in mavrl/"
    parts, owner = place.split("."), None
    for depth in range(len(parts), 0, -1):
        try:
            owner = importlib.import_module(".".join(parts[:depth]))
        except ImportError:
            continue
        for name in parts[depth:]:
            owner = getattr(owner, name, None)
        break
    assert owner is not None, remedy
    if arguments is not None:
        found = [name for name in inspect.signature(owner).parameters if name not in ("self", "cls", "instances")]
        missing = [name for name in arguments.split() if name not in found]
        assert not missing, f"{remedy} (without {missing}, with {found})"


def test_a_failed_job_raises_its_error() -> None:
    job = JobReturn(overrides=["seed=0"], status=JobStatus.FAILED)
    job.return_value = error = ValueError("no")
    with pytest.raises(ValueError, match="no") as caught:
        job.return_value  # noqa: B018
    assert caught.value is error, f"JobReturn was used as of hydra-core 1.4.0rc3; {version('hydra-core')} is installed"
