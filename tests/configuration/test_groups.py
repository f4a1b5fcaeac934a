"""The groups of conf/: every choice composes with the others, and every target exists."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_class, get_method
from omegaconf import DictConfig, ListConfig, OmegaConf

from mavrl.configuration.check import check
from mavrl.configuration.identity import active_kinds, config_hash
from mavrl.configuration.registry import OWN_TASKS, TASKS, resolve, subsets
from mavrl.envs.perturbation import PERTURBATIONS
from mavrl.errors import ConfigurationError
from mavrl.reports.published import published_cells, published_overrides

CONF = Path(__file__).parents[2] / "conf"
OPTIONS, EXPERIMENTS = (sorted(path.stem for path in (CONF / group).glob("*.yaml")) for group in ("env", "experiment"))
OF_FOLDERS = ["recorded", "recorded_control"]  # chosen by data=FOLDER, which says the rest
ENVS = [env for env in OPTIONS if env not in OF_FOLDERS]
MODALITIES = sorted(name for name, _ in subsets())
OF_ALL = [name for name in EXPERIMENTS if name != "exact"]  # which is of grids, whose dynamics are known
STUDIES = ["equal_budget", "fixed_allocation"]  # experiments of many searches, which change no run
CONTROL = ["acrobot_v1", "cartpole_v1", "lunar_lander_v3"]
RUNNERS = ["half_cheetah_v5", "hopper_v5", "walker2d_v5"]
CONTINUOUS = ["lunar_lander_continuous_v3", "mountain_car_continuous_v0", "pendulum_v1", "reacher_v5", *RUNNERS]
NEEDS = {  # packages by what an environment's id begins with
    "mo_gymnasium:": "mo_gymnasium",
    "highway_env:": "highway_env",
    **dict.fromkeys(["HalfCheetah", "Hopper", "Walker2d", "Reacher", "mo_gymnasium:mo-halfcheetah"], "mujoco"),
}
OPPOSED = [  # teachers of experiment=opposed
    "cartpole_v1_left", "cartpole_v1_right", "grid_two_goals_first", "grid_two_goals_second",
    "half_cheetah_v5_backward", "half_cheetah_v5_forward", "highway_v0_fast", "highway_v0_gentle",
    "mo_half_cheetah_v5_energy", "mo_half_cheetah_v5_speed",
    "mo_lunar_lander_v3_fuel", "mo_lunar_lander_v3_landing", "mo_lunar_lander_v3_speed",
]  # fmt: skip
NOBODY = [  # no expert acts, demonstrates or stops
    "highway_v0", "mo_half_cheetah_v5", "mo_lunar_lander_v3", *(each for each in OPPOSED if "grid" not in each),
]  # fmt: skip
VECTORS = [*CONTINUOUS, "mo_half_cheetah_v5", *(each for each in OPPOSED if "half_cheetah" in each)]  # as actions
KINDS = {"p": "preference", "d": "demonstration", "r": "rating", "s": "stop"}
PUBLISHED = sorted(cell for cell in published_cells() if cell[0] in CONTROL)


def checked(config: DictConfig) -> None:
    """Checks a configuration; the test is skipped where the environment's package is not installed."""
    for begin, package in NEEDS.items():
        if str(OmegaConf.select(config, "env.id")).startswith(begin):
            pytest.importorskip(package)
    check(config)


def test_there_are_fifteen_modalities_grids_and_control_environments_and_experiments() -> None:
    letters = {"".join(c) for n in range(1, 5) for c in itertools.combinations("pdrs", n)}
    assert set(MODALITIES) == letters
    assert [env for env in ENVS if not env.startswith("grid_") and env not in NOBODY] == sorted(CONTROL + CONTINUOUS)
    assert len(ENVS) == 9 + len(CONTROL) + len(CONTINUOUS) + len(NOBODY)
    assert set(OF_FOLDERS) < set(OPTIONS)
    assert {"paper", "small", "reference", "opposed"} <= set(EXPERIMENTS)


@pytest.mark.parametrize(("number", "modality"), list(enumerate(MODALITIES)))
def test_every_modality_composes(number: int, modality: str, composed: Any) -> None:
    env, experiment = ENVS[number % len(ENVS)], EXPERIMENTS[number % len(EXPERIMENTS)]
    env = "cartpole_v1" if env in NOBODY and set(modality) & set("ds") else env
    env = "grid_trap" if experiment == "exact" else env  # of known dynamics
    who = ["teacher=simulated"] if experiment == "bpref" else []  # whose teachers give preferences only
    checked(composed(f"env={env}", f"modality={modality}", f"experiment={experiment}", *who))


@pytest.mark.parametrize("query", ["random", "disagreement", "information_gain"])
def test_every_query_rule_composes_and_is_made(query: str, composed: Any) -> None:
    config = composed(f"query={query}")
    check(config)
    settings = dict(config.query)
    rule = get_class(settings.pop("_target_"))(**settings)
    assert (rule.candidates, rule.samples) == ((1, 0) if query == "random" else (10, 100))


@pytest.mark.parametrize("kind", ["preference", "demonstration", "rating", "stop"])
def test_one_kind_of_feedback_is_not_what_the_model_takes_it_to_be(kind: str, composed: Any) -> None:
    """The teacher differs in that kind alone, and what the model assumes in none."""
    right, wrong, all_wrong = (composed(f"teacher={name}") for name in ("simulated", f"wrong_{kind}s", "wrong"))
    assert wrong.teacher == all_wrong.teacher == right.teacher
    for each in right.feedback:
        assert (wrong.feedback[each] == right.feedback[each]) == (each != kind)
    assert all_wrong.feedback[kind] == wrong.feedback[kind]
    assumed = ("model_rationality", "lapse", "learn_rationality")
    assert all(wrong.feedback[kind].get(key) == right.feedback[kind].get(key) for key in assumed)
    assert wrong.feedback.stop.model_scale in (None, right.feedback.stop.scale)


@pytest.mark.parametrize("teacher", ["oracle", "stochastic", "mistake", "skip", "equal", "myopic"])
def test_every_teacher_of_bpref_composes_and_is_made(teacher: str, composed: Any) -> None:
    """Each is the oracle with one key changed."""
    config, oracle = (composed("modality=pd", f"teacher={name}", "query=random") for name in (teacher, "oracle"))
    check(config)
    settings = dict(config.teacher)
    made = get_class(settings.pop("_target_"))(**settings)
    assert made.identity == {"class": "mavrl.feedback.bpref.BPrefTeacher", **settings}
    assert sum(settings[key] != oracle.teacher[key] for key in settings) == (teacher != "oracle")
    assert (config_hash(config) == config_hash(oracle)) == (teacher == "oracle")
    assert settings["rationality"] == (config.feedback.preference.segment_len if teacher == "stochastic" else None)


@pytest.mark.parametrize("modality", ["r", "s", "prs"])
def test_the_teachers_of_bpref_give_preferences_only(modality: str, composed: Any) -> None:
    kind = KINDS[modality.lstrip("p")[0]]
    with pytest.raises(ConfigurationError, match=f"modality={modality}: must be p or pd: .* give no {kind}"):
        check(composed(f"modality={modality}", "teacher=skip"))


@pytest.mark.parametrize("env", ENVS)
def test_every_environment_composes_with_every_experiment(env: str, composed: Any) -> None:
    hashes, experiments = set(), EXPERIMENTS if env.startswith("grid_") else OF_ALL
    for experiment in experiments:
        config = composed(f"env={env}", f"experiment={experiment}", *(["modality=p"] if env in NOBODY else []))
        checked(config)
        assert config.env.name == env
        assert config.env.family == ("grid" if env.startswith("grid_") else "control")
        assert config.policy.name == ("exact" if env.startswith("grid_") else "ppo")
        default = "planned" if env.startswith("grid_") else "learned" if env in VECTORS else "inverse"
        assert config.model.q == ("learned" if experiment == "reference" else default)
        hashes.add(config_hash(config))
    assert len(hashes) == len(set(experiments) - set(STUDIES))


@pytest.mark.parametrize("experiment", [x for x in OF_ALL if x not in ("reference", "bpref")])
@pytest.mark.parametrize("modality", MODALITIES)
def test_what_a_folder_chooses_composes_with_every_modality(modality: str, experiment: str, composed: Any) -> None:
    words = ["data.folder=x", "data.digest=y", f"modality={modality}", f"experiment={experiment}"]
    nobody = composed("env=recorded", *words)
    check(nobody)
    assert (nobody.env.family, nobody.policy.name, nobody.model.q) == ("recorded", "none", "inverse")
    somebody = composed("env=recorded_control", "env.id=Foo-v0", *words)
    check(somebody)
    assert (somebody.env.family, somebody.policy.name, somebody.model.q) == ("control", "ppo", "inverse")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "modality"), list(enumerate(MODALITIES)))
def test_every_modality_composes_with_every_environment_and_every_experiment(
    number: int, modality: str, composed: Any
) -> None:
    """In pairs; the third pair is above."""
    hashes = set()
    told = [env for env in ENVS if not (env in NOBODY and set(modality) & set("ds"))]
    for k, env in enumerate(told):
        experiments = EXPERIMENTS if env.startswith("grid_") else OF_ALL
        experiment = experiments[(number + k) % len(experiments)]
        who = ["teacher=simulated"] if experiment == "bpref" else []
        config = composed(f"env={env}", f"modality={modality}", f"experiment={experiment}", *who)
        checked(config)
        assert active_kinds(config) == [KINDS[letter] for letter in modality]
        hashes.add(config_hash(config))
    assert len(hashes) == len(told) > len(EXPERIMENTS)


def test_opposed_teachers_come_in_pairs_that_only_differ_in_what_is_wanted(composed: Any) -> None:
    for one, other in itertools.combinations(OPPOSED, 2):
        first, second = (composed(f"env={env}", "experiment=opposed") for env in (one, other))
        assert (first.modality.name, first.replicates, first.env.termination) == ("pr", 5, "neutral")
        assert first.env.teacher_reward != second.env.teacher_reward
        if one.rpartition("_")[0] == other.rpartition("_")[0]:
            own = ("name", "teacher_reward")
            assert {k: v for k, v in first.env.items() if k not in own} == {
                k: v for k, v in second.env.items() if k not in own
            }
        if first.env.family == "control":
            assert first.env.fixed_horizon or "half_cheetah" in one  # whose episodes never end early
            assert (first.env.behaviour_expert, first.env.demonstration_expert) == ("uniform", None)
            assert not first.policy.warm_start


@pytest.mark.parametrize("study", STUDIES)
def test_a_study_is_of_the_published_cells_with_the_paper_s_runs(study: str, composed: Any) -> None:
    config = composed(f"experiment={study}")
    cells = {(env, modality) for env in config.cells.env for modality in config.cells.modality}
    assert len(cells) == 66
    assert cells - published_cells().keys() == {("lunar_lander_v3", "s")}  # was never published
    assert config.study == study
    assert config_hash(config) == config_hash(composed("experiment=paper"))


@pytest.mark.parametrize(("env", "budget", "cap"), [("grid_trap", 64, 16), ("lunar_lander_v3", 256, 32)])
def test_budgets_of_an_environment(env: str, budget: int, cap: int, composed: Any) -> None:
    assert composed(f"env={env}").search.budget == budget
    assert composed(f"env={env}").search.caps.demonstration == cap
    assert composed(f"env={env}", f"search.budgets.{env}=7").search.budget == 7
    assert composed("env=grid_path").search.budget == 64


@pytest.mark.parametrize("experiment", ["paper", "reference"])
@pytest.mark.parametrize("env", ["grid_trap", "cartpole_v1"])
def test_every_key_of_a_search_space_is_one_of_the_configuration(env: str, experiment: str, composed: Any) -> None:
    config = composed(f"env={env}", f"experiment={experiment}")
    keys = [key for key, distribution in config.search.space.items() if distribution is not None]
    assert len(keys) >= 3
    for key in keys:
        parent, _, name = key.rpartition(".")
        assert name in OmegaConf.select(config, parent), key


@pytest.mark.parametrize("env", CONTROL)
@pytest.mark.parametrize("policy", ["imitation", "ppo"])
def test_every_policy_composes_with_every_experiment(env: str, policy: str, composed: Any) -> None:
    for experiment in OF_ALL:
        who = ["teacher=simulated"] if experiment == "bpref" else []
        check(composed(f"env={env}", f"policy={policy}", f"experiment={experiment}", "modality=pdrs", *who))


@pytest.mark.parametrize("env", CONTROL)
def test_settings_of_the_paper(env: str, composed: Any) -> None:
    """SPEC 4 and 5."""
    config, lander = composed(f"env={env}"), env == "lunar_lander_v3"
    counts = {kind: settings.n_samples for kind, settings in config.feedback.items()}
    demonstrations, stops = (32, 256) if lander else (4, 64)
    assert counts == {"preference": 256, "demonstration": demonstrations, "rating": 256, "stop": stops}
    for kind, rationality in (("preference", 5), ("rating", 5), ("stop", 1)):
        settings = config.feedback[kind]
        assert (settings.segment_len, settings.n_episodes) == (32, 1024)
        assert settings.behaviour_rationality == rationality
    assert config.feedback.preference.teacher_rationality == config.feedback.preference.model_rationality == 5
    shown = config.feedback.demonstration
    assert (shown.teacher_rationality, shown.model_rationality) == ((1, 1) if lander else (5, 1))
    assert shown.minimum_return == (200 if lander else None)
    assert config.env.demonstration_expert == ("ppo" if lander else "dqn")
    stop = config.feedback.stop
    assert (stop.percentile, stop.discount, stop.scale) == (50, 0.1, 1)
    assert composed(f"env={env}", "experiment=reference").env.gamma == 0.999
    assert config.env.gamma == config.policy.gamma == 0.99  # of the default, in which Q and agent have one
    steps = {"cartpole_v1": 100_000, "acrobot_v1": 200_000, "lunar_lander_v3": 500_000}
    assert config.policy.total_steps == steps[env]
    assert config.evaluation.episodes == 1000
    normal = {"cartpole_v1": (500, 21.878), "acrobot_v1": (-82.44, -498.609), "lunar_lander_v3": (200, -183.2)}
    assert (config.env.normalization.optimal, config.env.normalization.uniform) == normal[env]
    small = composed(f"env={env}", "experiment=small")
    counts = {kind: settings.n_samples for kind, settings in small.feedback.items()}
    assert list(counts.values()) == ([92, 8, 92, 64] if lander else [23, 2, 23, 16])


@pytest.mark.parametrize("env", CONTINUOUS)
def test_settings_of_continuous_actions(env: str, composed: Any) -> None:
    config, runner = composed(f"env={env}"), env in RUNNERS
    assert (config.env.behaviour_expert, config.env.demonstration_expert) == ("sac", "sac")
    counts = {kind: settings.n_samples for kind, settings in config.feedback.items()}
    if runner or env == "reacher_v5":
        assert counts == {"preference": 500, "demonstration": 10, "rating": 500, "stop": 256}
    assert config.feedback.preference.segment_len == (50 if runner else 25 if env == "reacher_v5" else 32)
    assert config.feedback.preference.teacher_rationality > 0
    assert config.feedback.preference.model_rationality == 5.0  # of a reward of unit scale
    expert = config.env.experts.sac
    assert expert.hidden_sizes == ([64, 64] if env == "pendulum_v1" else [128, 128])
    assert expert.total_steps >= 20_000
    assert config.env.termination == ("success" if env == "mountain_car_continuous_v0" else "neutral")
    assert all(value is None for value in config.env.perturbation.values())
    assert config.env.perturbation.keys() == PERTURBATIONS[config.env.id].settings.keys()


@pytest.mark.parametrize("env", CONTROL)
def test_the_reference_protocol(env: str, composed: Any) -> None:
    config = composed(f"env={env}", "experiment=reference")
    assert config.policy.checkpoint == "true_reward"
    assert (config.policy.reward, config.policy.n_envs, config.members) == ("sample", 4, 1)
    assert (config.policy.reference_weight, config.policy.warm_start) == (0, False)
    assert (config.model.objective, config.model.q, config.model.backup) == ("weighted", "learned", "behaviour")
    assert config.env.termination == "neutral"
    assert config.trainer.max_epochs == (100 if env == "cartpole_v1" else 250)


class TestPublished:
    def test_all_cells_but_one(self):
        """The published figures have no LunarLander of stops alone."""
        modalities = {modality for _, modality in PUBLISHED}
        assert len(modalities) == 11
        assert {(env, m) for env in CONTROL for m in modalities} - set(PUBLISHED) == {("lunar_lander_v3", "s")}

    @pytest.mark.parametrize(("env", "modality"), PUBLISHED)
    def test_every_cell_s_settings_compose(self, env: str, modality: str, composed: Any):
        cell = published_cells()[env, modality]
        config = composed(f"env={env}", f"modality={modality}", *published_overrides(env, modality))
        check(config)
        assert config.optim.lr == cell["tuned"]["lr"]
        assert config.model.kl_weight == cell["tuned"]["kl_weight"]
        assert list(config.model.hidden_sizes) == list(cell["tuned"]["hidden_sizes"])
        policy, ppo = config.policy, cell["ppo"]
        assert policy.total_steps == ppo["n_timesteps"]
        assert policy.stop_below == ppo.get("reward_thresh")
        for key in ("n_envs", "n_steps", "batch_size", "n_epochs", "gamma", "gae_lambda", "ent_coef"):
            assert policy[key] == ppo[key], key
        for key in ("learning_rate", "clip_range"):  # texts in the published file, which may name a schedule
            assert policy[key] == float(ppo[key])


def test_every_task_has_a_function() -> None:
    same = {"online": "train"}  # options that choose other defaults for a task
    assert {path.stem for path in (CONF / "task").glob("*.yaml")} == {*OWN_TASKS, *same}
    for path in (CONF / "task").glob("*.yaml"):
        task = OmegaConf.load(path)
        assert task.name == same.get(path.stem, path.stem)
        assert callable(resolve(TASKS[task.name]))


def test_every_target_resolves() -> None:
    targets = []
    for path in CONF.rglob("*.yaml"):
        targets += _targets(OmegaConf.load(path))
    assert len(targets) >= 10
    for target in targets:
        assert target.startswith(("mavrl.", "optuna.samplers."))
        found = get_class(target) if target.rpartition(".")[2][0].isupper() else get_method(target)
        assert callable(found)


def _targets(node: Any) -> list[str]:
    if isinstance(node, DictConfig):
        own = [node["_target_"]] if "_target_" in node else []
        children = [node._get_node(key) for key in node]
        return own + [target for child in children for target in _targets(child)]
    if isinstance(node, ListConfig):
        return [target for child in node for target in _targets(child)]
    return []
