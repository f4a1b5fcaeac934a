"""Configurations of jobs are those that Hydra composes itself."""

from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from mavrl.configuration.check import register_with_hydra
from mavrl.sweep.composer import Composer

CONF = Path(__file__).parents[2] / "conf"
JOBS = [
    ["env=grid_trap", "modality=p", "seed=3"],
    ["env=grid_trap", "modality=p", "seed=4", "model.hidden_sizes=[8,4]", "optim.lr=1e-3"],
    ["env=cartpole_v1", "seed=4", "policy.learning_rate=lin_3e-4", "env.perturbation.gravity=12"],
    ["seed=4", "env=cartpole_v1", "modality=pd", "model.prior.scale=null"],
    ["env=grid_trap", "+env.extra={a: 1}", "~env.layout", "++seed=7", "optim.lr=0.5"],
    ["experiment=[reference,small]", "model.kl_weight=0.5", "hydra.sweep.dir=elsewhere", "skip.imitate_nobody=null"],
    ["env=grid_trap", "modality=p", "seed=3"],
    [],
]


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> Any:
    register_with_hydra()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF)):
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        yield hydra.config_loader
    GlobalHydra.instance().clear()


def test_every_job_is_what_hydra_composes(loader: Any) -> None:
    master = loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN)
    compose = Composer(loader, master)
    for overrides in JOBS:
        ours, theirs = compose(overrides), loader.load_sweep_config(master, list(overrides))
        assert OmegaConf.to_container(ours) == OmegaConf.to_container(theirs), overrides
        assert ours.hydra.overrides.task == [word for word in overrides if not word.startswith("hydra.")]
        assert OmegaConf.is_struct(ours) == OmegaConf.is_struct(theirs)
        assert OmegaConf.is_readonly(ours) == OmegaConf.is_readonly(theirs)


def test_jobs_do_not_share_what_they_change(loader: Any) -> None:
    compose = Composer(loader, loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN))
    one = compose(["seed=1"])
    one.optim.lr = 99.0
    assert compose(["seed=1"]).optim.lr != 99.0
    assert compose([]).seed == 0


@pytest.mark.parametrize("overrides", [["no.such=1"], ["env=nope"], ["optim.nothing=1"]])
def test_what_hydra_refuses_is_refused(loader: Any, overrides: list[str]) -> None:
    compose = Composer(loader, loader.load_configuration("config", [], run_mode=RunMode.MULTIRUN))
    with pytest.raises(Exception, match=r"no|nothing"):
        compose(overrides)
