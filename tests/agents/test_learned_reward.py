"""An environment that pays a learned reward."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import FlattenObservation

from mavrl import LearnedReward, LearnedVectorReward
from mavrl.actions import NumberedActions, VectorActions
from mavrl.envs import GridEnv
from mavrl.model.action_heads import action_head
from mavrl.model.layers import Standardization
from mavrl.model.posterior import StepPosterior
from mavrl.model.step_reward import StepRewardModel
from mavrl.model.tabular_reward import TabularRewardModel


@pytest.fixture
def model() -> TabularRewardModel:
    mean = torch.arange(18.0).view(2, 1, 9) * 10
    return TabularRewardModel(mean, torch.full((2, 1, 9), 0.5), {})


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_wrapped_grid_passes_the_environment_checker(model: TabularRewardModel) -> None:
    check_env(LearnedReward(GridEnv("trap", 3, max_steps=20), model[0]), skip_render_check=True)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("replicate", [0, 1])
def test_each_step_pays_the_learned_reward_of_the_state_acted_in(
    model: TabularRewardModel, flat: bool, replicate: int
) -> None:
    plain = GridEnv("cliff", 3)
    inner: gym.Env = GridEnv("cliff", 3)
    env = LearnedReward(FlattenObservation(inner) if flat else inner, model[replicate])
    state, _ = plain.reset(seed=0)
    env.reset(seed=0)
    for action in (0, 0, 3, 3, 4):
        acted_in = state
        state, true_reward, terminated, _, _ = plain.step(action)
        observation, reward, env_terminated, _, info = env.step(action)
        assert reward == float(model.mean_table()[replicate, acted_in])
        assert info["true_reward"] == true_reward
        assert env_terminated == terminated
        assert (np.argmax(observation) if flat else observation) == state
    assert terminated
    env.reset()
    assert env.step(4)[1] == float(model.mean_table()[replicate, 0])


def test_a_sample_is_one_reward_function(model: TabularRewardModel) -> None:
    def rewards(seed: int) -> list[Any]:
        env = LearnedReward(GridEnv("trap", 3), model[1], use="sample", seed=seed)
        env.reset()
        return [env.step(0)[1] for _ in range(4)]

    table = model.sample_table(3)[1]
    assert rewards(3) == [float(table[s]) for s in (0, 1, 2, 2)]
    assert rewards(3) != rewards(4)


def test_what_cannot_work_is_refused(model: TabularRewardModel) -> None:
    with pytest.raises(ValueError, match="2 replicates"):
        LearnedReward(GridEnv("trap", 3), model)


# Models of steps -----------------------------------------------------------------------------------------------------

TORQUE = VectorActions((-2.0,), (2.0,))
MEMBERS = 3


def _of_steps(n_features: int, actions: Any, domain: Any = "sas", at_termination: float = 0.0) -> StepRewardModel:
    streams = [torch.Generator().manual_seed(k) for k in range(MEMBERS)]
    scale = Standardization(torch.zeros(MEMBERS, n_features), torch.ones(MEMBERS, n_features))
    posterior = StepPosterior(n_features, action_head(actions), domain, [8], streams, scale, at_termination)
    description = {
        "reward_domain": domain,
        "n_features": n_features,
        "hidden_sizes": [8],
        "members": MEMBERS,
        "reward_at_termination": at_termination,
        "demonstration_rationality": None,
        **actions.described,
    }
    on_feedback = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 1.0, 2.0])
    return StepRewardModel(posterior, None, on_feedback, description)


@pytest.fixture
def pendulum() -> StepRewardModel:
    return _of_steps(3, TORQUE)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("use", ["mean", "lower_bound", "sample"])
def test_vectors_as_actions_pass_the_environment_checker(pendulum: StepRewardModel, use: Any) -> None:
    check_env(LearnedReward(gym.make("Pendulum-v1"), pendulum[0], use), skip_render_check=True)


def test_each_transition_pays_the_posterior_mean(pendulum: StepRewardModel) -> None:
    env = LearnedReward(gym.make("Pendulum-v1"), pendulum[0])
    state, _ = env.reset(seed=1)
    env.action_space.seed(1)
    for _ in range(5):
        action = env.action_space.sample()
        following, reward, _, _, info = env.step(action)
        assert reward == pytest.approx(float(pendulum[0].mean(state, action, following)), abs=1e-5)
        assert info["true_reward"] <= 0
        state = following


def test_a_lower_bound_is_two_deviations_between_members_below(pendulum: StepRewardModel) -> None:
    env = LearnedReward(gym.make("Pendulum-v1"), pendulum[0], "lower_bound")
    state, _ = env.reset(seed=2)
    action = np.array([-1.5], np.float32)
    following, reward, *_ = env.step(action)
    steps = [torch.from_numpy(each)[None] for each in (state, np.array([-0.75], np.float32), following)]
    mean = pendulum.member_moments(*steps)[0][0, :, 0]
    assert reward == pytest.approx(float(mean.mean() - 2 * mean.std(correction=0)), abs=1e-5)


def test_standardized_it_is_clipped_and_an_end_has_its_worth() -> None:
    model = _of_steps(4, NumberedActions(2), at_termination=-1.0)[0]
    env = LearnedReward(gym.make("CartPole-v1"), model, standardize=True)
    state, _ = env.reset(seed=0)
    following, reward, *_ = env.step(1)
    steps = torch.from_numpy(state)[None], torch.tensor([1]), torch.from_numpy(following)[None]
    mean = model.member_moments(*steps)[0][0, :, 0]
    scaled = ((mean - torch.tensor([0.1, 0.2, 0.3])) / torch.tensor([0.5, 1.0, 2.0])).mean().clamp(-3, 3)
    assert reward == pytest.approx(float(scaled) + 2 * 3, abs=1e-5)  # each step before a failure is worth that much


def test_a_sample_of_steps_is_one_function_too(pendulum: StepRewardModel) -> None:
    env = LearnedReward(gym.make("Pendulum-v1"), pendulum[0], "sample", 5)
    state, _ = env.reset(seed=0)
    action = np.array([1.0], np.float32)
    following, reward, *_ = env.step(action)
    assert reward == pytest.approx(float(pendulum[0].sample(state, action, following, 5)), abs=1e-6)
    assert reward != pytest.approx(float(pendulum[0].sample(state, action, following, 6)), abs=1e-6)


@pytest.mark.parametrize("mode", list(gym.vector.AutoresetMode))
@pytest.mark.parametrize("use", ["mean", "lower_bound"])
def test_many_environments_pay_what_each_pays(pendulum: StepRewardModel, mode: Any, use: Any) -> None:
    def make() -> gym.Env:
        return gym.make("Pendulum-v1", max_episode_steps=4)

    many = LearnedVectorReward(gym.vector.SyncVectorEnv([make] * 2, autoreset_mode=mode), pendulum[0], use)
    each = [LearnedReward(make(), pendulum[0], use) for _ in range(2)]
    seen, _ = many.reset(seed=[3, 4])
    assert np.array_equal(seen, [env.reset(seed=seed)[0] for env, seed in zip(each, (3, 4), strict=True)])
    stream, over = np.random.default_rng(0), np.zeros(2, dtype=bool)
    for step in range(11):
        actions = stream.uniform(-2, 2, (2, 1)).astype(np.float32)
        if mode == gym.vector.AutoresetMode.DISABLED and over.any():
            many.reset(options={"reset_mask": over})
            [env.reset() for env in each]
        _, rewards, terminated, truncated, info = many.step(actions)
        if mode == gym.vector.AutoresetMode.NEXT_STEP and over.any():
            assert rewards.tolist() == [0.0, 0.0]
            [env.reset() for env in each]
            over = terminated | truncated
            continue
        alone = [env.step(action) for env, action in zip(each, actions, strict=True)]
        assert rewards == pytest.approx([one[1] for one in alone], abs=1e-5), step
        assert info["true_reward"] == pytest.approx([one[4]["true_reward"] for one in alone], abs=1e-5)
        over = terminated | truncated
        assert over.tolist() == [one[3] for one in alone]
        if mode == gym.vector.AutoresetMode.SAME_STEP and over.any():
            [env.reset() for env in each]


def test_a_first_action_that_is_not_zero(pendulum: StepRewardModel) -> None:
    class From1(gym.Env):
        observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
        action_space = gym.spaces.Discrete(3, start=1)

        def reset(self, *, seed: Any = None, options: Any = None) -> Any:
            return np.zeros(2, np.float32), {}

        def step(self, action: Any) -> Any:
            return np.zeros(2, np.float32), 0.0, False, False, {}

    model, zeros = _of_steps(2, NumberedActions(3))[0], np.zeros(2, np.float32)
    env = LearnedReward(From1(), model)
    env.reset()
    assert env.step(3)[1] == pytest.approx(float(model.mean(zeros, np.array(2), zeros)), abs=1e-6)


def test_agents_of_other_libraries_train_on_it(pendulum: StepRewardModel) -> None:
    from stable_baselines3 import SAC

    env = LearnedReward(gym.make("Pendulum-v1"), pendulum[0], "lower_bound", standardize=True)
    agent = SAC("MlpPolicy", env, learning_starts=20, seed=0, device="cpu", policy_kwargs={"net_arch": [8]})
    agent.learn(60)
    assert agent.replay_buffer is not None
    paid = agent.replay_buffer.rewards[:60, 0]
    assert np.abs(paid).max() <= 3
    assert paid.std() > 0


@pytest.mark.parametrize(
    ("env_id", "more", "said"),
    [
        ("CartPole-v1", {}, "observations are .* the model's 3 numbers"),
        ("Pendulum-v1", {"use": "sample", "standardize": True}, "standardized are mean and lower_bound"),
    ],
)
def test_what_does_not_fit_steps_is_refused(pendulum: StepRewardModel, env_id: str, more: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LearnedReward(gym.make(env_id), pendulum[0], **more)


def test_other_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"actions are Box\(-2.0, 2.0.* the model's Box\(-1.0, 1.0"):
        LearnedReward(gym.make("Pendulum-v1"), _of_steps(3, VectorActions((-1.0,), (1.0,)))[0])
