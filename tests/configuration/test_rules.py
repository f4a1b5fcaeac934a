"""What each key may be: every rule refuses a bad value and says what is allowed."""

from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.check import check
from mavrl.configuration.identity import is_execution
from mavrl.configuration.rule import Rule, if_there, list_of, mapping, number, one_of, optional, whole
from mavrl.configuration.rules import READING, RULES, rules_of
from mavrl.errors import ConfigurationError


def _rules(family: str, policy: str) -> dict[str, Rule]:
    return rules_of(OmegaConf.create({"env": {"family": family}, "policy": {"name": policy}}))


FINITE, CONTROL = _rules("grid", "exact"), _rules("control", "ppo")
FINITE, CONTROL = ({key: rule for key, rule in rules.items() if rule.required} for rules in (FINITE, CONTROL))
ONLY_CONTROL = {key: rule for key, rule in CONTROL.items() if key not in FINITE or FINITE[key].allowed != rule.allowed}


def _refused(config: DictConfig) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        check(config)
    return caught.value


def _names_it(error: ConfigurationError, key: str, value: Any, rule: Rule) -> None:
    message = str(error)
    assert error.key == key
    assert message.startswith(f"{key}={'***' if key == 'notify.url' else value}: ")
    assert rule.allowed in message
    assert "\n" not in message


def _bad(rule: Rule) -> Any:
    """Lists are no texts, and this text is nothing that a rule allows."""
    return [3] if rule.holds("nonsense") else "nonsense"


@pytest.mark.parametrize("key", FINITE)
def test_every_rule_of_grids_refuses_a_bad_value_and_names_it(default: DictConfig, changed: Any, key: str) -> None:
    bad = _bad(FINITE[key])
    _names_it(_refused(changed(default, {key: bad})), key, bad, FINITE[key])


@pytest.mark.parametrize("key", ONLY_CONTROL)
def test_every_rule_of_control_refuses_a_bad_value_and_names_it(control: DictConfig, changed: Any, key: str) -> None:
    bad = _bad(CONTROL[key])
    _names_it(_refused(changed(control, {key: bad})), key, bad, CONTROL[key])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((f"feedback.{k}.n_samples", -1) for k in ("preference", "demonstration", "rating", "stop")),
        ("feedback.rating.n_samples", 10**12),
        ("feedback.rating.n_samples", 2.5),
        ("feedback.rating.n_samples", True),
        ("feedback.rating.gen_samples", -1),
        ("feedback.rating.cost", 0),
        ("feedback.demonstration.cost", -1.0),
        ("feedback.rating.segment_len", 0),
        ("feedback.rating.n_categories", 1),
        ("feedback.stop.discount", 1.1),
        ("feedback.stop.percentile", 101),
        ("feedback.stop.lapse", 0),
        ("env.gamma", 1),
        ("env.gamma", 1.0),
        ("env.gamma", -0.1),
        ("env.gamma", float("nan")),
        ("env.p_rand", -0.01),
        ("env.p_rand", 1.01),
        ("env.size", 2),
        ("env.size", 4.0),
        ("env.max_steps", 0),
        ("env.termination", "sucess"),
        ("model.hidden_sizes", []),
        ("model.hidden_sizes", [64, 0]),
        ("model.hidden_sizes", 64),
        ("model.prior.scale", 0),
        ("model.kl_weight", -1),
        ("model.kl_weight", float("inf")),
        ("model.importance_weights", 1),
        ("model.reward_domain", "sa"),
        ("policy.name", "ppo"),
        ("replicates", 0),
        ("replicates", True),
        ("members", 0),
        ("seed", -1),
        ("seed", None),
        ("optim.lr", 0),
        ("optim.lr", -1e-3),
        ("optim.batch_size", 0),
        ("optim.demonstration_batch_size", 0),
        ("trainer.max_epochs", -1),
        ("trainer.patience", 0),
        ("trainer.least_steps", 0),
        ("threads", 0),
        ("processes", 0),
        ("evaluation.episodes", 0),
        ("paths.runs", ""),
        ("paths.runs", None),
        ("paths.experts", None),
        ("checkpoint_seconds", -1),
    ],
)
def test_values_beyond_the_limits(default: DictConfig, changed: Any, key: str, value: Any) -> None:
    assert _refused(changed(default, {key: value})).key == key


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("env.id", ""),
        ("env.id", None),
        ("env.fixed_horizon", 1),
        ("env.behaviour_expert", "ppo"),
        ("env.demonstration_expert", "a2c"),
        ("env.normalization.optimal", "500"),
        ("env.normalization.uniform", float("nan")),
        ("env.baselines.positive", "much"),
        ("env.kwargs", 3),
        ("env.wrappers", "FlattenObservation"),
        ("env.wrappers", [3]),
        ("env.wrappers", [{"DelayObservation": 2}]),
        ("env.wrappers", [{"DelayObservation": {}, "FlattenObservation": {}}]),
        ("env.experts.dqn.train_freq", 0),
        ("env.experts.dqn.train_freq", [1, "day"]),
        ("env.experts.dqn.train_freq", [0, "episode"]),
        ("env.experts.dqn.total_steps", "many"),
        ("env.experts.dqn.gamma", 1.5),
        ("env.experts.ppo.hidden_sizes", 64),
        ("env.experts.ppo.learning_rate", "linear"),
        ("env.perturbation", "gravity"),
        ("env.experts", ["dqn"]),
        ("env.experts", {"dqn": 3}),
        ("feedback.demonstration.minimum_return", "high"),
        ("model.q", "planned"),
        ("model.reward_domain", "ss"),
        ("model.kl_count", "samples"),
        ("policy.name", "exact"),
        ("policy.reward", "lower"),
        ("policy.reward", True),
        ("env.teacher_reward", "speed"),
        ("env.teacher_reward", {"observation": 0}),
        ("env.teacher_reward", [3]),
        ("policy.sample_per", "chunk"),
        ("policy.kappa", -1),
        ("policy.clip", 0),
        ("policy.reference_weight", -0.1),
        ("policy.total_steps", 0),
        ("policy.total_steps", 1e5),
        ("policy.parts", 0),
        ("policy.evaluate_every", 0),
        ("policy.n_steps", 1),
        ("policy.updates", 0),
        ("policy.batch_size", 1),
        ("policy.learning_rate", 0),
        ("policy.learning_rate", "3e-4x"),
        ("policy.learning_rate", "lin_"),
        ("policy.learning_rate", "lin_0"),
        ("policy.learning_rate", "lin_-1e-3"),
        ("policy.learning_rate", "linear_1e-3"),
        ("policy.learning_rate", None),
        ("policy.clip_range", "lin_nan"),
        ("policy.gamma", 1.0),
        ("policy.gae_lambda", 1.1),
        ("policy.max_grad_norm", 0),
        ("policy.hidden_sizes", []),
        ("policy.checkpoint", "best"),
        ("policy.stop_below", "never"),
        ("policy.vector", "auto"),
    ],
)
def test_values_beyond_the_limits_of_control(control: DictConfig, changed: Any, key: str, value: Any) -> None:
    assert _refused(changed(control, {key: value})).key == key


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("env.gamma", 0), ("env.p_rand", 0), ("env.p_rand", 1), ("env.size", 3), ("seed", 0), ("paths.cache", None),
        ("feedback.demonstration.n_samples", 0), ("model.prior.scale", 2), ("model.prior.scale", None), ("optim.lr", 1),
        ("model.hidden_sizes", [1]), ("env.max_steps", 10), ("checkpoint_seconds", 0), ("env.max_steps", None),
        ("processes", None),
    ],
)  # fmt: skip
def test_values_within_the_limits(default: DictConfig, changed: Any, key: str, value: Any) -> None:
    check(changed(default, {key: value}))


@pytest.mark.parametrize(
    ("part", "key", "allowed"),
    [
        ({}, "", "must have one of reward, observation, info, action, constant"),
        ({"speed": 1}, "", "must have one of"),
        ({"reward": 0, "action": 1, "weight": 1}, "", "must have one of"),
        ({"observation": 0}, "", "lacks a weight"),
        ({"observation": -1, "weight": 1}, ".observation", "a whole number"),
        ({"observation": 0.5, "weight": 1}, ".observation", "a whole number"),
        ({"observation": "x", "weight": 1}, ".observation", "a whole number"),
        ({"action": True, "weight": 1}, ".action", "a whole number"),
        ({"info": 3, "weight": 1}, ".info", "a text"),
        ({"info": "", "weight": 1}, ".info", "a text"),
        ({"reward": 0, "weight": "much"}, ".weight", "finite"),
        ({"reward": 0, "weight": float("nan")}, ".weight", "finite"),
        ({"reward": 0, "weight": None}, ".weight", "finite"),
        ({"constant": float("inf")}, ".constant", "finite"),
        ({"constant": 1, "weight": 2}, ".weight", "no such key; constant has constant"),
        ({"reward": 0, "weight": 1, "clip": 3}, ".clip", "two finite numbers"),
        ({"reward": 0, "weight": 1, "clip": [1, -1]}, ".clip", "two finite numbers"),
        ({"reward": 0, "weight": 1, "clip": [0, float("inf")]}, ".clip", "two finite numbers"),
        ({"reward": 0, "weight": 1, "clamp": [0, 1]}, ".clamp", "no such key; reward has reward, weight"),
    ],
)
def test_parts_of_a_teacher_s_reward_that_are_none(
    control: DictConfig, changed: Any, part: dict, key: str, allowed: str
) -> None:
    error = _refused(changed(control, {"env.teacher_reward": [{"constant": 1.0}, part]}))
    assert error.key == f"env.teacher_reward[1]{key}"
    assert allowed in error.allowed
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("env.normalization.optimal", None), ("env.normalization.uniform", -1e6), ("env.experts", {}),
        ("env.experts", {"ppo": {"total_steps": 10}}), ("env.experts.dqn.train_freq", [1, "episode"]),
        ("env.wrappers", None), ("env.wrappers", ["FlattenObservation", {"DelayObservation": {"delay": 2}}]),
        ("env.kwargs", {"a": 1}), ("env.baselines.negative", -3),
        ("feedback.demonstration.minimum_return", -200), ("feedback.demonstration.minimum_return", None),
        ("policy.kappa", 0), ("policy.gamma", 0), ("policy.gae_lambda", 1), ("policy.learning_rate", "lin_3e-4"),
        ("policy.learning_rate", 3e-4), ("policy.clip_range", "lin_0.2"), ("policy.stop_below", -1.5),
        ("policy.reward", "sample"), ("policy.reward", "true_reward"), ("policy.reward", "negative"),
        ("env.teacher_reward", None), ("env.teacher_reward", []), ("env.teacher_reward", [{"constant": -1}]),
        ("env.teacher_reward", [{"info": "a.b", "weight": 1, "clip": [0, 1]}, {"action": 0, "weight": -1.5}]),
        ("policy.sample_per", "episode"), ("policy.batch_size", 2048),
        ("policy.vector", "envpool"),
        ("model.reward_domain", "sas"),
    ],
)  # fmt: skip
def test_values_within_the_limits_of_control(control: DictConfig, changed: Any, key: str, value: Any) -> None:
    check(changed(control, {key: value}))


def test_ppo_s_keys_have_rules_only_where_it_is_chosen(composed: Any, changed: Any) -> None:
    imitation = composed("env=cartpole_v1", "policy=imitation")
    check(imitation)
    found = rules_of(imitation)
    assert not found["policy.kappa"].required  # where an experiment says it for other policies
    assert {key for key, rule in found.items() if rule.required} < CONTROL.keys()


@pytest.mark.parametrize(("family", "rules"), [("default", FINITE), ("control", CONTROL)])
def test_every_key_with_a_rule_exists(family: str, rules: dict[str, Rule], request: pytest.FixtureRequest) -> None:
    config, missing = request.getfixturevalue(family), object()
    assert [key for key in rules if OmegaConf.select(config, key, default=missing) is missing] == []


class TestTasksThatReadRuns:
    @pytest.mark.parametrize("task", READING)
    def test_every_rule_of_its_own_refuses_a_bad_value_and_its_key_exists(self, task: str, composed: Any, changed: Any):
        config = composed(f"task={task}")
        check(config)
        rules = rules_of(config)
        assert all(is_execution(key) for key in rules)
        own = {key: rule for key, rule in rules.items() if key in ("paths.runs", "run_dir") or key.startswith("task.")}
        assert {f"task.{name}" for name in config.task} <= own.keys()
        for key, rule in own.items():
            _names_it(_refused(changed(config, {key: _bad(rule)})), key, _bad(rule), rule)

    @pytest.mark.parametrize("key", ["optim.lr", "trainer.patience", "policy.name", "replicates", "modality.active"])
    def test_other_keys_are_conditions_and_have_no_rules(self, key: str, composed: Any, changed: Any):
        check(changed(composed("task=list"), {key: -1}))

    @pytest.mark.parametrize("state", ["failed", "any", ["failed", "completed"]])
    def test_states(self, state: Any, composed: Any, changed: Any):
        check(changed(composed("task=purge"), {"task.state": state}))

    @pytest.mark.parametrize("state", ["pending", [], ["failed", "x"], None, [["failed"]], "fail"])
    def test_what_is_no_state(self, state: Any, composed: Any, changed: Any):
        assert _refused(changed(composed("task=purge"), {"task.state": state})).key == "task.state"


class TestMakers:
    def test_a_number_of_an_open_interval(self):
        rule = number(0, 1, open_low=True, open_high=True)
        assert [rule.holds(value) for value in (0, 0.5, 1, True, "0.5", None)] == [False, True] + [False] * 4
        assert rule.allowed == "must be a number in (0, 1)"

    def test_a_number_without_a_limit_is_still_finite(self):
        rule = number(-float("inf"))
        assert rule.holds(-1e300)
        assert not any(rule.holds(value) for value in (float("inf"), -float("inf"), float("nan")))

    def test_a_whole_number(self):
        rule = whole(2, 3)
        assert [rule.holds(value) for value in (1, 2, 3, 4, 2.0, True)] == [False, True, True, False, False, False]

    def test_one_of_a_few_tells_true_from_1(self):
        assert not one_of(True, False).holds(1)
        assert not one_of(1).holds(True)
        assert one_of("auto", True).allowed == "must be one of auto, true"

    def test_null_where_it_is_allowed(self):
        assert optional(whole(1, 2)).holds(None)
        assert not whole(1, 2).holds(None)
        assert optional(whole(1, 2)).allowed.endswith(", or null")

    def test_a_key_that_need_not_be_there(self):
        assert not if_there(whole(1, 2)).required
        assert whole(1, 2).required

    def test_a_mapping_of_values(self):
        rule = mapping(whole(1, 2), ("a", "b"))
        assert [rule.holds(value) for value in ({}, {"a": 1}, {"a": 3}, {"c": 1}, [], None)] == [True, True] + [
            False
        ] * 4
        assert mapping(whole(1, 2)).holds({"anything": 2})

    def test_a_list_of_values(self):
        rule = list_of(whole(1, 2), "[1]", least=1)
        assert [rule.holds(value) for value in ([1, 2], [], [3], "12", {1: 1})] == [True] + [False] * 4

    def test_numbers_beyond_all_floats(self):
        assert not number(0).holds(10**400)


@pytest.mark.parametrize(("value", "allowed"), [(0, True), (2, True), (1000, True), (1, False), (-1, False)])
def test_one_fold_holds_out_everything(value: Any, allowed: bool) -> None:
    assert RULES["data.folds"].holds(value) is allowed
    assert not RULES["data.folds"].holds(True)
