"""Which tasks and settings make no sense where nobody can run the environment."""

from typing import Any

import pytest

from mavrl.configuration.check import check
from mavrl.configuration.identity import config_hash
from mavrl.errors import ConfigurationError

DATA = ("data.folder=x", "data.digest=y", "modality=p")


@pytest.mark.parametrize("task", ["simulate", "expert", "normalize", "transfer"])
def test_tasks_that_run_an_environment(task: str, composed: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"task={task}: runs an environment; env=recorded is behaviour rec"):
        check(composed("env=recorded", f"task={task}"))


@pytest.mark.parametrize("task", ["train", "data", "evaluate"])
def test_a_folder_is_needed(task: str, composed: Any) -> None:
    check(composed("env=recorded", f"task={task}", *DATA))
    with pytest.raises(ConfigurationError, match=r"env=recorded: is chosen by data=FOLDER, .*; add data=FOLDER"):
        check(composed("env=recorded", f"task={task}"))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("policy=ppo", "policy.name=ppo: must be none: nobody can run the environment"),
        ("task=online", "rounds=online: asks a teacher"),
        ("experiment=reference", "trainer.validation=true: must be false"),
        ("model.q=planned", "model.q=planned: must be one of learned, inverse"),
        ("model.backup=behaviour", "model.backup=behaviour: is about actions that were taken"),
        ("++env.id=CartPole-v1", "env.id=CartPole-v1: no such key"),
    ],
)
def test_what_makes_no_sense_is_one_line(word: str, said: str, composed: Any) -> None:
    with pytest.raises(ConfigurationError) as raised:
        check(composed("env=recorded", *DATA, word))
    assert said in str(raised.value)


def test_a_run_is_named_by_what_is_in_the_folder(composed: Any, changed: Any) -> None:
    config = composed("env=recorded", *DATA)
    assert config_hash(changed(config, {"data.folder": "elsewhere"})) == config_hash(config)
    assert config_hash(changed(config, {"data.digest": "another"})) != config_hash(config)
    assert config_hash(changed(config, {"env.name": "Foo-v0"})) != config_hash(config)
    assert config_hash(changed(config, {"evaluation.episodes": 7})) == config_hash(config)


def test_who_gave_feedback_is_not_asked_where_it_is_recorded(composed: Any) -> None:
    for modality in ("s", "d"):
        words = ["env=recorded_control", "env.id=Foo-v0", f"modality={modality}"]
        check(composed(*words, "data.folder=x", "data.digest=y"))
        with pytest.raises(ConfigurationError, match=r"env\.(behaviour|demonstration)_expert"):
            check(composed(*words))
