"""Bad input: exit status 2, one line that names key, value and what is allowed, and nothing written."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.integration

CASES = {
    "env=grid_trapp": ("env=grid_trapp", "grid_trap", "grid_cliff"),
    "modality=pdsr": ("modality=pdsr", "pdrs"),
    "modality=x": ("modality=x", "allowed are"),
    "modality=sp": ("modality=sp", "did you mean ps?"),
    "env.sise=4": ("env.sise=4", "env.size"),
    "feedback.prefernce.n_samples=3": ("feedback.prefernce.n_samples=3", "feedback.preference.n_samples"),
    "modality=p feedback.preference.n_samples=0": ("modality=p", "no feedback is active", "n_samples"),
    "feedback.rating.n_samples=-1": ("feedback.rating.n_samples=-1", "from 0"),
    "feedback.rating.n_samples=99999999999": ("feedback.rating.n_samples=99999999999", "1000000"),
    "feedback.stop.segment_len=51": ("feedback.stop.segment_len=51", "at most 50"),
    "feedback.preference.n_episodes=2 feedback.preference.n_samples=51": (
        "feedback.preference.n_samples=51", "102", "100"
    ),
    "env.gamma=1.0": ("env.gamma=1.0", "[0, 1)"),
    "env.gamma=-0.5": ("env.gamma=-0.5", "[0, 1)"),
    "env.p_rand=1.5": ("env.p_rand=1.5", "[0, 1]"),
    "env.size=2": ("env.size=2", "from 3"),
    "model.hidden_sizes=[]": ("model.hidden_sizes=[]", "at least one"),
    "replicates=0": ("replicates=0", "from 1"),
    "seed=abc": ("seed=abc", "whole number"),
    "model.objective=elb": ("model.objective=elb", "elbo, weighted"),
    "task=evaluate run_dir=nowhere": ("run_dir=nowhere", "finished run"),
    "task=trian": ("task=trian", "train"),
    "env.size=": ("env.size=", "from 3"),
    "env.size": ("env.size",),
    "selection=best": ("selection=best", "trainer.validation=true"),
    "+env.p_rnd=0.3": ("env.p_rnd=0.3", "no such key (did you mean env.p_rand?)"),
    "++optim.momentum=0.9": ("optim.momentum=0.9", "no such key"),
    "+feedback.preference.rationality=3": ("feedback.preference.rationality=3", "no such key"),
    "+env.size=3": ("env.size=3", "is there already"),
    "~env.sise": ("env.sise", "is not there"),
    "env=grid_trap,grid_cliff": ("env=grid_trap,grid_cliff", "-m"),
    "seed=range(0,3)": ("seed=range(0,3)", "-m"),
    "seed='1'": ("seed='1'", "whole number"),
    "seed=[1": ("seed=[1", "cannot be read"),
    "paths=null": ("paths=null", "must be a mapping"),
    "model=null": ("model=null", "must be an option of this group"),
    "env=null": ("env=null", "must be an option of this group"),
    "modality=null": ("modality=null", "must be an option of this group"),
    "task=null": ("task=null", "must be an option of this group"),
    "logger=null": ("logger=null", "must be an option of this group"),
    "env.layout=maze": ("env.layout=maze", "trap, cliff"),
    "env.name=../../x": ("env.name=../../x", "must be a name"),
    "study=1e3": ("study=1000.0", "in quotes it is text"),
    "study=true": ("study=true", "in quotes it is text"),
    "logger=wandb logger.project=true": ("logger.project=true", "in quotes it is text"),
    "+task._target_=os.system": ("task._target_=os.system", "no such key"),
    "teacher._target_=os.system": ("teacher._target_=os.system", "must be a class of mavrl"),
    "notify.url=mail.example.com/t0p-s3cret": ("notify.url=***", "must be an address"),
}  # fmt: skip
SWEEPS = {
    "seed=range(0)": ("seed=range(0)", "has no value"),
    "seed=range(0,inf)": ("seed=range(0,inf)", "finite ends"),
    "seed=interval(0,1)": ("seed=interval(0,1)", "hydra/sweeper=optuna"),
    "task=list": ("task=list", "leave -m out"),
    "seed=1,2 hydra.sweep.subdir=../../x": ("hydra.sweep.subdir=../../x", "below hydra.sweep.dir"),
    "seed=1,2 hydra.output_subdir=.hydra": ("hydra.output_subdir=.hydra", "must be null"),
    "seed=1,2 +hydra.sweeper.n_jobs=-3": ("hydra.sweeper.n_jobs=-3", "no such key"),
    "seed=1,2 hydra/sweeper=null": ("hydra/sweeper=null", "must be an option of this group"),
    "seed=1,2 hydra/launcher=null": ("hydra/launcher=null", "must be an option of this group"),
    "hydra/launcher=local hydra.launcher.workers=-3": ("hydra.launcher.workers=-3", "from 1"),
    "hydra/launcher=euler hydra.launcher.nodes=x": ("hydra.launcher.nodes=x", "whole number"),
    "hydra/launcher=euler +hydra.launcher.node=2": ("hydra.launcher.node=2", "hydra.launcher.nodes"),
    "+skip.mine={optim.lrr:3} seed=1,2": ("skip.mine", "optim.lrr is no key"),
    "+env.p_rnd=0.1,0.2": ("env.p_rnd=0.1", "did you mean env.p_rand?"),
}
SEARCHES = {
    "search.budgets=null": ("search.budgets=null", "must map"),
    "search.space=null": ("search.space=null", "must map"),
    "search.metric=null": ("search.metric=null", "must be one of"),
    "study=../x": ("study=../x", "must be a name"),
    "optim.lr=interval(3,1)": ("optim.lr=interval(3,1)", "in order"),
    "optim.lr=interval(1,inf)": ("optim.lr=interval(1,inf)", "finite ends"),
    "optim.lr=interval(-1,1)": ("optim.lr=-1", "must be a number in (0, infinity)"),
    "model.q=planned,learnt": ("model.q=learnt", "must be one of"),
    "feedback.preference.n_samples=range(1,5)": ("feedback.preference.n_samples=", "search.allocation=false"),
    "hydra.sweeper.sampler.n_startup_trials=x": ("hydra.sweeper.sampler.n_startup_trials=x", "whole number"),
    "+hydra.sweeper.sampler.nonsense=3": ("hydra.sweeper.sampler",),
    "+hydra.sweeper.n_jobs=-3": ("hydra.sweeper.n_jobs=-3", "no such key"),
    "hydra/sweeper/sampler=null": ("hydra/sweeper/sampler=null", "option of this group"),
}


CONTROL_CASES = {
    "policy=dqn": ("policy=dqn", "task=expert"),
    "policy=sac": ("policy=sac", "needs vectors as actions; cartpole_v1 has 2 actions"),
    "policy=exact": ("policy.name=exact", "ppo, imitation"),
    "policy=imitation modality=pr": ("policy=imitation", "needs demonstrations"),
    "model.backup=behaviour": ("model.backup=behaviour", "is about actions that were taken"),
    "policy.batch_size=9999": ("policy.batch_size=9999", "must be at most policy.n_envs * policy.n_steps"),
    "policy.learning_rate=linear": ("policy.learning_rate=linear", "lin_3e-4"),
    "policy.reward=lower": ("policy.reward=lower", "lower_bound"),
    "policy.kapa=1": ("policy.kapa=1", "did you mean policy.kappa?"),
    "model.q=planned": ("model.q=planned", "must be one of learned"),
    "model.reward_domain=x": ("model.reward_domain=x", "s, sa, sas"),
    "env.normalization.optimal=much": ("env.normalization.optimal=much", "must be a finite number"),
    "env.kwargs=3": ("env.kwargs=3", "mapping"),
    "env.id=CartPole-v7": ("env.id=CartPole-v7", "CartPole-v1"),
    "env.id=Acrobot-v1": ("env.id=Acrobot-v1", "the environment 6 and 3"),
    "env.perturbation.gravity=-1": ("env.perturbation.gravity=-1", "0 to 98"),
    "env.size=4": ("env.size=4", "no such key"),
    "env.baselines=null": ("env.baselines=null", "must be a mapping of positive, negative"),
    "env.perturbation.gravity=inf": ("env.perturbation={", "finite"),
    "+env.experts=null": ("env.experts",),
    "+policy.kapa=1": ("policy.kapa=1", "did you mean policy.kappa?"),
    "feedback.preference.segment_len=32 env.max_steps=20": ("feedback.preference.segment_len=32", "at most 20"),
}  # fmt: skip


def _check(outcome: Any, app: Any, words: tuple[str, ...]) -> None:
    assert outcome.status == 2, outcome.err
    lines = outcome.err.splitlines()
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0], lines[0]
    assert "Traceback" not in outcome.err
    assert {path.name for path in app.directory.rglob("*") if path.is_file()} <= {"status.json", "config.json", ".lock"}


@pytest.mark.parametrize("command", CASES)
def test_bad_input_is_one_clear_line(command: str, fresh_app: Any) -> None:
    _check(fresh_app(*command.split()), fresh_app, CASES[command])


@pytest.mark.parametrize("command", SWEEPS)
def test_bad_sweeps(command: str, fresh_app: Any) -> None:
    _check(fresh_app("-m", *command.split()), fresh_app, SWEEPS[command])


@pytest.mark.parametrize("command", SEARCHES)
def test_bad_searches(command: str, fresh_app: Any) -> None:
    outcome = fresh_app("-m", "hydra/sweeper=optuna", "modality=pd", "dry_run=true", *command.split())
    _check(outcome, fresh_app, SEARCHES[command])


def test_names_that_are_whole_numbers(fresh_app: Any) -> None:
    run = fresh_app("paths.runs=2024", "modality=d")
    assert run.status == 0, run.err
    assert run.run.parts[-4] == "2024"
    search = fresh_app("-m", "hydra/sweeper=optuna", "modality=pd", "search.n_trials=1", "dry_run=true", "study=2024")
    assert search.status == 0, search.err
    assert search.out.startswith("2024/grid_trap/pd: 1 trial ")


def test_secrets_are_written_and_printed_nowhere(fresh_app: Any) -> None:
    secret = "s3cr3t-t0ken"
    words = (f"notify.url=http://127.0.0.1:9/{secret}", "modality=d")
    search = ("hydra/sweeper=optuna", "search.allocation=false", "search.n_trials=1", "study=mine")
    outcomes = [fresh_app(*words), fresh_app("-m", *words, "seed=1,2"), fresh_app("-m", *words, *search)]
    for outcome in outcomes:
        assert outcome.status == 0, outcome.err
        assert secret not in outcome.out + outcome.err
    files = [path for path in fresh_app.directory.rglob("*") if path.is_file()]
    assert len(files) > 20
    assert [path for path in files if secret.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("command", CONTROL_CASES)
def test_bad_input_in_control_environments(command: str, fresh_app: Any, experts: Path) -> None:
    outcome = fresh_app("env=cartpole_v1", f"paths.experts={experts}", *command.split(), tiny=False)
    _check(outcome, fresh_app, CONTROL_CASES[command])


@pytest.mark.parametrize(("wrong", "nearest"), [("env=grid_clif", "grid_cliff"), ("optim.lrr=1", "optim.lr")])
def test_the_nearest_name_is_suggested(wrong: str, nearest: str, fresh_app: Any) -> None:
    outcome = fresh_app(wrong)
    assert outcome.status == 2
    assert f"did you mean {nearest}?" in outcome.err


def test_segments_longer_than_any_simulated_episode(fresh_app: Any) -> None:
    """Without a time limit only the simulation can tell."""
    command = ("modality=r", "env.max_steps=null", "feedback.rating.segment_len=90000", "feedback.rating.n_episodes=2")
    outcome = fresh_app(*command, "env.size=3")
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    assert "feedback.rating.segment_len=90000: at most" in line


def test_help_is_readable(fresh_app: Any) -> None:
    outcome = fresh_app("--help", tiny=False)
    assert outcome.status == 0
    assert outcome.err == ""
    for group in ("env:", "modality:", "model:", "trainer:", "logger:", "experiment:", "task:"):
        assert group in outcome.out
    for word in ("grid_trap", "pdrs", "reference", "tensorboard", "rerun=true", "feedback.<kind>.n_samples"):
        assert word in outcome.out
    lines = outcome.out.splitlines()
    on_one_line = ("task: ", "env: ", "teacher: ")  # as Hydra prints groups
    prose = [line for line in lines if not line.startswith(on_one_line)]
    assert max(map(len, prose)) <= 130
    assert not [line for line in lines if line.startswith("hydra/")]  # groups of Hydra's own
