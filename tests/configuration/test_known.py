"""Keys that nothing reads are refused wherever they come from; what is open stays open."""

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.check import check, register_with_hydra
from mavrl.errors import ConfigurationError
from tests.conftest import CONF


@pytest.mark.parametrize(
    ("words", "key", "nearest"),
    [
        (["+env.p_rnd=0.3"], "env.p_rnd", "env.p_rand"),
        (["++env.p_rnd=0.3"], "env.p_rnd", "env.p_rand"),
        (["+optim.momentum=0.9"], "optim.momentum", ""),
        (["+feedback.preference.rationality=3"], "feedback.preference.rationality", "rationality"),
        (["+trainer={max_epoch: 3}"], "trainer.max_epoch", "trainer.max_epochs"),
        (["+model.prior.scal=1"], "model.prior.scal", "model.prior.scale"),
        (["+paths.run=x"], "paths.run", "paths.runs"),
        (["+replicate=3"], "replicate", "replicates"),
        (["+task.confirm=true"], "task.confirm", ""),
        (["+evaluation.episode=3"], "evaluation.episode", "evaluation.episodes"),
        (["+policy.kapa=3"], "policy.kapa", "policy.kappa"),
        (["env=cartpole_v1", "+policy.kapa=3"], "policy.kapa", "policy.kappa"),
        (["env=cartpole_v1", "+env.size=3"], "env.size", ""),
        (["+env.kwargs={a: 1}"], "env.kwargs.a", ""),
        (["+teacher.rationality=3"], "teacher.rationality", ""),
        (["+teacher._args_=[1]"], "teacher._args_", ""),
        (["+query.samples=3"], "query.samples", "env.samples"),
        (["query=disagreement", "+query.sample=3"], "query.sample", "query.samples"),
        (["+query.candidate=3"], "query.candidate", "query.candidates"),
        (["+search.budgt=3"], "search.budgt", "search.budget"),
        (["+env.feedback.segment_length=3"], "env.feedback.segment_length", "env.feedback.segment_len"),
        (["logger=wandb", "+logger.projekt=x"], "logger.projekt", "logger.project"),
        (["task=list", "+task.stat=failed"], "task.stat", "task.state"),
        (["task=list", "+paths.run=x"], "paths.run", "paths.runs"),
        (["+task._target_=os.system"], "task._target_", ""),
    ],
)
def test_a_key_that_nothing_reads(words: list[str], key: str, nearest: str, composed: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check(composed(*words))
    assert caught.value.key == key
    assert "no such key" in str(caught.value)
    assert f"did you mean {nearest}" in str(caught.value) or nearest in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        ["env=cartpole_v1", "+env.kwargs.sutton_barto_reward=true"],
        ["env=cartpole_v1", "+env.perturbation.mine=null"],
        ["env=cartpole_v1", "+env.kwargs={a: {b: [1]}}"],
        ["+skip.mine={optim.lr: 0.1, policy.kappa: 3, env.size: [3, 4]}"],
        ["+search.budgets.mine=7"],
        ["experiment=reference"],
        ["env=cartpole_v1", "experiment=reference"],
        ["task=list", "+env.p_rnd=0.3"],  # a condition on runs, which may have been made by another version
    ],
)
def test_what_is_open(words: list[str], composed: Any) -> None:
    check(composed(*words))


def test_conditions_of_skip_are_about_keys_that_there_are(composed: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"skip\.mine=.*optim\.lrr is no key.*did you mean optim\.lr\?"):
        check(composed("+skip.mine={optim.lrr: 0.1}"))


@pytest.mark.parametrize("rule", [3, "nonsense", [1]])
def test_a_rule_of_skip_has_conditions(rule: Any, default: DictConfig, changed: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^skip\.imitate_nobody=.*: must map keys to values"):
        check(changed(default, {"skip.imitate_nobody": rule}))


class TestFiles:
    """An environment and an experiment in a directory of the user's."""

    @pytest.fixture
    def composed_with(self, tmp_path: Path) -> Any:
        def get(files: dict[str, str], *words: str) -> DictConfig:
            for name, text in files.items():
                (tmp_path / name).parent.mkdir(exist_ok=True)
                (tmp_path / name).write_text(text)
            register_with_hydra()
            GlobalHydra.instance().clear()
            with initialize_config_dir(str(CONF)):
                return compose("config", [f"hydra.searchpath=[file://{tmp_path}]", *words])

        return get

    ENV = "defaults: [base/grid@_here_, _self_]\nname: mine\nlayout: trap\n"

    def test_a_typo_in_an_environment(self, composed_with: Any):
        check(composed_with({"env/mine.yaml": self.ENV}, "env=mine"))
        with pytest.raises(ConfigurationError, match=r"^env\.terminaton=neutral: no such key \(did you mean env\.term"):
            check(composed_with({"env/mine.yaml": self.ENV + "terminaton: neutral\n"}, "env=mine"))

    def test_a_typo_in_an_experiment(self, composed_with: Any):
        files = {"experiment/mine.yaml": "# @package _global_\noptim: {learning_rate: 1}\n"}
        with pytest.raises(ConfigurationError, match=r"^optim\.learning_rate=1: no such key"):
            check(composed_with(files, "experiment=mine"))

    def test_an_experiment_calls_no_function(self, composed_with: Any):
        files = {"experiment/mine.yaml": "# @package _global_\ntask: {_target_: os.system}\n"}
        with pytest.raises(ConfigurationError, match=r"^task\._target_=os\.system: no such key"):
            check(composed_with(files, "experiment=mine"))

    def test_names_that_yaml_does_not_read_as_text(self, composed_with: Any):
        number = composed_with({"env/mine.yaml": self.ENV.replace("mine", "2024")}, "env=mine")
        check(number)
        assert number.env.name == "2024"
        switch = composed_with({"env/mine.yaml": self.ENV.replace("mine", "on")}, "env=mine")
        with pytest.raises(ConfigurationError, match=r"^env\.name=true: must be a name.*in quotes it is text"):
            check(switch)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("env.name", "../../x"), ("env.name", "a/b"), ("env.name", ".."), ("env.name", "x" * 200),
        ("modality.name", "../x"), ("study", "../x"), ("study", "a/../b"), ("study", "/a"), ("study", 1e3),
        ("study", True), ("study", None), ("paths.runs", 1.5), ("env.name", None),
    ],
)  # fmt: skip
def test_one_rule_for_names(key: str, value: Any, default: DictConfig, changed: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check(changed(default, {key: value}))
    assert caught.value.key == key


@pytest.mark.parametrize("key", ["study", "paths.runs", "paths.studies", "env.name", "run_dir"])
def test_whole_numbers_are_read_as_names(key: str, default: DictConfig, changed: Any) -> None:
    config = changed(default, {key: 2024})
    check(config)
    assert OmegaConf.select(config, key) == "2024"


def test_text_that_looks_like_something_else_is_shown_in_quotes(default: DictConfig, changed: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^seed='1': must be a whole number"):
        check(changed(default, {"seed": "1"}))


@pytest.mark.parametrize("part", ["env", "modality", "model", "paths", "task", "logger", "search", "skip", "feedback"])
def test_a_part_that_is_null(part: str, default: DictConfig, changed: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{part}=null: must be"):
        check(changed(default, {part: None}))


def test_the_section_of_a_section(control: DictConfig, changed: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^env\.baselines=null: must be a mapping of positive, negative"):
        check(changed(control, {"env.baselines": None}))
