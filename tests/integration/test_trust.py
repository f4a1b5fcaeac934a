"""Run directories from elsewhere are data: no code that only they name is imported, and no path of theirs is used."""

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.identity import config_hash, recorded
from tests.fixtures.runs import metrics_of

pytestmark = pytest.mark.integration

MODULE = "import pathlib\npathlib.Path('imported').touch()\n"


@pytest.fixture
def foreign(fresh_app: Any, control: DictConfig, changed: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run of an environment in a module that lies beside it, and can be imported."""
    (fresh_app.directory / "theirs.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(fresh_app.directory))
    run = fresh_app.directory / "runs" / "cartpole_v1" / "pd" / "abc"
    for name in ("reward_model", ".hydra"):
        (run / name).mkdir(parents=True)
    elsewhere = {f"paths.{name}": str(fresh_app.directory / "elsewhere") for name in ("runs", "cache", "experts")}
    config = changed(control, {"env.id": "theirs:Theirs-v0", **elsewhere})
    (run / ".hydra" / "config.yaml").write_text(OmegaConf.to_yaml(config))
    options = dict.fromkeys(("model", "optim", "trainer"), "default")
    choices = {**options, "env": "cartpole_v1", "modality": "pdrs", "query": "uniform", "teacher": "simulated"}
    content = {**recorded(config, {**choices, "policy": "ppo"}, []), "hydra": {"output_subdir": "theirs"}}
    (run / "config.json").write_text(json.dumps(content))
    (run / "metrics.json").write_text(json.dumps(metrics_of({"regret": [1.0]})))
    (run / "status.json").write_text(json.dumps({"state": "failed", "config_hash": config_hash(config)}))
    (run / ".lock").touch()
    return run


@pytest.mark.parametrize("task", ["evaluate", "transfer", "retry"])
def test_code_that_only_a_run_names_is_not_imported(task: str, foreign: Path, fresh_app: Any) -> None:
    words = (f"run_dir={foreign}",) if task != "retry" else ()
    env = ("env=cartpole_v1", "env.perturbation.gravity=3") if task == "transfer" else ()
    refused = fresh_app(f"task={task}", *words, *env, tiny=False)
    assert refused.status == 2, refused.err
    (line,) = refused.err.splitlines()
    assert "run_dir=" in line
    assert "code in the module theirs; name the environment (env=...) or add trust=true" in line
    assert not (fresh_app.directory / "imported").exists()
    assert not (fresh_app.directory / "elsewhere").exists()


def test_it_is_when_the_command_says_so(foreign: Path, fresh_app: Any) -> None:
    outcome = fresh_app("task=evaluate", f"run_dir={foreign}", "trust=true", tiny=False)
    assert outcome.err.splitlines()[0] == f"trust=true: imports the module theirs, which {foreign} names"
    assert (fresh_app.directory / "imported").exists()
    assert not (fresh_app.directory / "elsewhere").exists()


def test_its_configuration_is_checked_like_one_of_a_command(foreign: Path, fresh_app: Any) -> None:
    path = foreign / ".hydra" / "config.yaml"
    for text, words in (
        ("teacher: {_target_: os.system, command: touch imported}\n", "teacher._target_=os.system"),
        ("optim: {momentum: 3}\n", "optim."),
        ("env: [\n", "damaged"),
        ("3\n", "damaged"),
    ):
        node = OmegaConf.load(path) if text.startswith(("teacher", "optim")) else None
        kept = path.read_text()
        if node is None:
            path.write_text(text)
        else:
            path.write_text(OmegaConf.to_yaml(OmegaConf.merge(node, OmegaConf.create(text))))
        refused = fresh_app("task=evaluate", f"run_dir={foreign}", tiny=False)
        path.write_text(kept)
        assert refused.status == 2, refused.err
        (line,) = refused.err.splitlines()
        assert words in line
