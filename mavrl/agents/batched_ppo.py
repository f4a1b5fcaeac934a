"""PPO for the policies of R replicates at once: one batched product where R trainings would make R small ones.

It is the algorithm of Stable-Baselines3's PPO with an `MlpPolicy` and `VecNormalize`: the same networks, first weights,
optimizer, loss, bootstrapping at time limits, and normalization of rewards and of observations. Every replicate
draws from streams of its own, and no number of one depends on the others, so a policy is the same to the last bit
whoever is trained beside it. Batched products of torch keep that promise where all factors begin at like addresses.

Rewards and values are computed when a rollout is whole, for all its steps at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mavrl.actions import Actions
from mavrl.agents.actor_critic import ActorCritic
from mavrl.agents.distributions import ActionDistribution, distribution_of
from mavrl.agents.observations import RunningMoments
from mavrl.agents.ppo_settings import PPOSettings, schedule
from mavrl.agents.returns import RunningVariance, advantages, normalized
from mavrl.agents.rewards import Rollout, StepReward
from mavrl.envs.stepping import SteppedEnvironments
from mavrl.policies.loading import StoredPolicy
from mavrl.streams import numpy_stream, torch_stream

_BETAS, _EPSILON = (0.9, 0.999), 1e-5  # of Adam
_IMITATION_BATCH, _IMITATION_STEPS, _IMITATION_RATE = 256, 3000, 1e-3


@dataclass(frozen=True)
class Learner:
    """All that one replicate's training carries from chunk to chunk.

    Args:
        parameters: of its networks, as `ActorCritic` lays them out.
        mean, square: running averages of the gradient and of its square, of Adam.
        updates: steps of Adam so far.
        steps: environment steps so far.
        returns: running variance of the discounted return, by which rewards are divided.
        observations: running moments of the observations, by which they are standardized; None where they are not.
    """

    parameters: Float[Tensor, "2 W"]
    mean: Float[Tensor, "2 W"]
    square: Float[Tensor, "2 W"]
    updates: int = 0
    steps: int = 0
    returns: RunningVariance = field(default_factory=RunningVariance)
    observations: RunningMoments | None = None

    @property
    def finite(self) -> bool:
        """Whether all parameters are."""
        return bool(self.parameters.isfinite().all())

    def state(self) -> dict[str, Any]:
        """Plain containers and tensors only, for a checkpoint."""
        plain = {name: getattr(self, name) for name in ("parameters", "mean", "square", "updates", "steps")}
        seen = {} if self.observations is None else {"observations": self.observations.state()}
        return {**plain, **seen, "returns": [self.returns.mean, self.returns.variance, self.returns.count]}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Learner":
        """What `state` returned."""
        seen = state.get("observations")
        observations = None if seen is None else RunningMoments.from_state(seen)
        return cls(**{**state, "returns": RunningVariance(*state["returns"]), "observations": observations})


@dataclass(frozen=True)
class BatchedPPO:
    """The trainings of several policies in the same environment with the same settings.

    Args:
        form: of the networks.
        distribution: of actions, as their outputs say it.
        settings: hyperparameters.
        chunks: parts of the training, at most one for each update. Each begins with new episodes and random streams.
        looks: how often policies are looked at during the training; at the end of each chunk they are in any case.
    """

    form: ActorCritic
    distribution: ActionDistribution
    settings: PPOSettings
    chunks: int
    looks: int = 1

    @classmethod
    def of(cls, n_inputs: int, actions: Actions, settings: PPOSettings, chunks: int, looks: int = 1) -> "BatchedPPO":
        """The trainings in an environment with this many features of an observation, and these actions."""
        distribution = distribution_of(actions)
        sizes = tuple(settings.hidden_sizes), distribution.n_outputs, distribution.n_own
        return cls(ActorCritic(n_inputs, *sizes), distribution, settings, settings.parts(chunks), looks)

    def looks_of(self, chunk: int) -> list[int]:
        """Updates after which policies are looked at in a chunk, counted from the beginning; the last is its end."""
        first, end = (self.settings.updates_until(k, self.chunks) for k in (chunk, chunk + 1))
        equally = {self.settings.updates_until(k + 1, self.looks) for k in range(self.looks)}
        return sorted({end, *(k for k in equally if first < k < end)})

    def begin(self, seed: int) -> Learner:
        """A replicate before its training."""
        parameters = self.form.initial(torch_stream(seed, "ppo", "weights"))
        seen = RunningMoments.begin(self.form.n_inputs) if self.settings.normalize_observations else None
        return Learner(parameters, torch.zeros_like(parameters), torch.zeros_like(parameters), observations=seen)

    def policy(self, learner: Learner) -> StoredPolicy:
        """A copy of a replicate's present policy.

        Where observations are standardized, its first layer does that, without the clipping: the policy differs from
        the one that is trained where a feature is more than 10 standard deviations off its mean.
        """
        layers = self.form.policy_layers(learner.parameters)
        if learner.observations is not None:
            layers = learner.observations.folded(layers)
        return self.distribution.policy(layers, self.form.own(learner.parameters)[0].clone())

    @torch.no_grad()
    def imitate(
        self,
        learner: Learner,
        seed: int,
        state: Float[Tensor, "N O"],
        wanted: Float[Tensor, "N K"],
        own: Float[Tensor, "W"] | None = None,
    ) -> Learner:
        """The replicate with its policy moved towards a demonstrator.

        Args:
            wanted: probabilities of numbered actions, to which cross-entropy is minimised; of vectors means in the unit
                box, to which the squared distance is.
            own: parameters of the distribution beside its network, such as log standard deviations; None keeps them.
        """
        rows, stream = learner.parameters[:1].clone(), torch_stream(seed, "ppo", "imitation")
        if own is not None:
            self.form.own(rows)[0] = own
        observations = learner.observations
        if observations is not None:
            seen = state.numpy()
            observations = observations.updated(seen)
            state = torch.from_numpy(observations.standardized(seen))
        mean, square = torch.zeros_like(rows), torch.zeros_like(rows)
        for count in range(_IMITATION_STEPS):
            chosen = torch.randint(len(state), (_IMITATION_BATCH,), generator=stream)
            activations = self.form.activations(rows, state[chosen][None])
            error = self.distribution.imitation(activations[-1], wanted[chosen][None])
            gradient = self.form.gradient(rows, activations, error / _IMITATION_BATCH)
            _adam(rows, gradient, mean, square, count + 1, _IMITATION_RATE, 1e-8)
        return replace(learner, parameters=torch.cat([rows, learner.parameters[1:]]), observations=observations)

    @torch.no_grad()
    def train(
        self,
        envs: SteppedEnvironments,
        rewards: Sequence[StepReward],
        seeds: Sequence[int],
        learners: Sequence[Learner],
        chunk: int,
    ) -> list[list[Learner]]:
        """Train all replicates for one chunk.

        Args:
            envs: at least R * n_envs copies of the environment.
            rewards: what each replicate is paid.
            seeds: address of each one's randomness.
            learners: each after the chunk before this one.
            chunk: which one, from 0.

        Returns:
            Each at every look of this chunk, the last of which is its end. The parameters of one whose training failed
            are not finite.
        """
        return _Chunk(self, envs, rewards, seeds, learners, chunk).run()


class _Chunk:
    """One chunk of the training of R replicates."""

    def __init__(
        self,
        ppo: BatchedPPO,
        envs: SteppedEnvironments,
        rewards: Sequence[StepReward],
        seeds: Sequence[int],
        learners: Sequence[Learner],
        chunk: int,
    ) -> None:
        self._form, self._distribution, self._settings = ppo.form, ppo.distribution, ppo.settings
        self._envs, self._rewards = envs, rewards
        self._learners = learners
        self._first, self._looks = ppo.settings.updates_until(chunk, ppo.chunks), ppo.looks_of(chunk)
        self._rows = torch.cat([each.parameters for each in learners])
        self._mean, self._square = (torch.cat([getattr(each, k) for each in learners]) for k in ("mean", "square"))
        (self._adam_steps,) = {each.updates for each in learners}
        self._returns = [each.returns for each in learners]
        seen = [each.observations for each in learners if each.observations is not None]
        self._observations = RunningMoments.stacked(seen) if seen else None

        def streams(purpose: str) -> list[np.random.Generator]:
            return [numpy_stream(seed, "ppo", purpose, chunk) for seed in seeds]

        self._choosing, self._ordering = streams("actions"), streams("order")
        n_envs = ppo.settings.n_envs
        self._discounted = np.zeros((len(seeds), n_envs))
        for reward, stream in zip(rewards, streams("reward"), strict=True):
            reward.seed(int(stream.integers(2**31 - 1)))
            reward.begin(np.ones(n_envs, dtype=bool))
        starts = [stream.integers(2**31 - 1, size=n_envs) for stream in streams("episodes")]
        self._observation = envs.reset(np.concatenate(starts))
        self._seen = self._first_seen(self._observation)

    def run(self) -> list[list[Learner]]:
        updates, seen = self._settings.updates, []
        for update in range(self._first, self._looks[-1]):
            remaining = 1 - (update + 1) / updates
            self._update(self._collect(), remaining)
            if update + 1 in self._looks:
                seen.append(self._present(update + 1 - self._first))
        return [list(each) for each in zip(*seen, strict=True)]

    def _present(self, updates: int) -> list[Learner]:
        """The replicates after so many updates of this chunk."""
        steps = updates * self._settings.n_envs * self._settings.n_steps
        return [
            replace(
                learner,
                parameters=self._rows[2 * r : 2 * r + 2].clone(),
                mean=self._mean[2 * r : 2 * r + 2].clone(),
                square=self._square[2 * r : 2 * r + 2].clone(),
                updates=self._adam_steps,
                steps=learner.steps + steps,
                returns=self._returns[r],
                observations=None if self._observations is None else self._observations[r],
            )
            for r, learner in enumerate(self._learners)
        ]

    # Collecting ------------------------------------------------------------------------------------------------------

    def _collect(self) -> "_Experience":
        settings, r = self._settings, len(self._rewards)
        steps, n = settings.n_steps, settings.n_envs
        states = np.empty((steps, r * n, self._form.n_inputs), dtype=np.float32)
        following, seen = np.empty_like(states), np.empty((r, steps, n, self._form.n_inputs), dtype=np.float32)
        drawn, taken = (self._distribution.empty(steps, r * n) for _ in range(2))
        true_reward = np.empty((steps, r * n))
        terminated, over = np.empty((steps, r * n), dtype=bool), np.empty((steps, r * n), dtype=bool)
        draws = np.stack([self._distribution.draws(stream, steps, n) for stream in self._choosing], axis=1)
        policies, own = self._rows[::2], self._form.own(self._rows[::2]).numpy()
        for t in range(steps):
            states[t], seen[:, t] = self._observation, self._seen
            outputs = self._form.outputs(policies, torch.from_numpy(self._seen))
            drawn[t] = self._distribution.drawn(outputs.numpy(), own, draws[t]).reshape(drawn[t].shape)
            taken[t] = self._distribution.taken(drawn[t])
            step = self._envs.step(taken[t])
            following[t], true_reward[t] = step.following, step.reward
            terminated[t], over[t] = step.terminated, step.terminated | step.truncated
            self._observation = step.observation
            self._seen = self._first_seen(step.observation)

        def of(values: np.ndarray, k: int) -> np.ndarray:
            return values[:, k * n : (k + 1) * n]

        rollouts = [
            Rollout(*(of(each, k) for each in (states, taken, following, terminated, over, true_reward)))
            for k in range(r)
        ]
        return self._experience(rollouts, seen, [of(drawn, k) for k in range(r)])

    def _first_seen(self, observation: Float[np.ndarray, "RN O"]) -> Float[np.ndarray, "R N O"]:
        """New observations as the networks see them, which count for the running moments."""
        observation = observation.reshape(len(self._rewards), self._settings.n_envs, -1)
        if self._observations is None:
            return observation
        self._observations = self._observations.updated(observation)
        return self._observations.standardized(observation)

    def _experience(
        self, rollouts: Sequence[Rollout], seen: Float[np.ndarray, "R T N O"], drawn: Sequence[np.ndarray]
    ) -> "_Experience":
        settings, r = self._settings, len(rollouts)
        paid = np.stack(
            [reward.of_rollout(rollout) for reward, rollout in zip(self._rewards, rollouts, strict=True)]
        ).astype(np.float32)
        over = np.stack([rollout.over for rollout in rollouts])
        if settings.normalize_reward:
            paid, self._discounted, self._returns = normalized(
                paid, over, self._discounted, self._returns, settings.gamma
            )
        states = torch.from_numpy(seen).flatten(1, 2)
        outputs = self._form.outputs(self._rows, states.repeat_interleave(2, dim=0))
        values = outputs[1::2, :, 0].view(r, *over.shape[1:]).numpy()
        last_value = self._form.outputs(self._rows[1::2], torch.from_numpy(self._seen))[..., 0].numpy()
        for k, rollout in enumerate(rollouts):
            if (cut := rollout.over & ~rollout.terminated).any():
                beyond = rollout.next_state[cut]
                if self._observations is not None:
                    beyond = self._observations[k].standardized(beyond)
                at = torch.from_numpy(beyond)[None]
                value = self._form.outputs(self._rows[2 * k + 1 : 2 * k + 2], at)[0, :, 0].numpy()
                paid[k][cut] += settings.gamma * value
        gained = advantages(paid, values, last_value, over, settings.gamma, settings.gae_lambda)
        actions = torch.from_numpy(np.stack(drawn)).flatten(1, 2)
        log_prob = self._distribution.choices(outputs[::2], self._form.own(self._rows[::2])).log_prob(actions)
        columns = [log_prob, *(torch.from_numpy(x).view(r, -1) for x in (gained, gained + values))]
        return _Experience(states, actions, torch.stack(columns, dim=-1))

    # Updating --------------------------------------------------------------------------------------------------------

    def _update(self, experience: "_Experience", remaining: float) -> None:
        settings = self._settings
        rate, clip_range = schedule(settings.learning_rate)(remaining), schedule(settings.clip_range)(remaining)
        count = experience.states.shape[1]
        for _ in range(settings.n_epochs):
            order = torch.from_numpy(np.stack([stream.permutation(count) for stream in self._ordering]))
            for k in range(0, count, settings.batch_size):
                batch = experience.rows(order[:, k : k + settings.batch_size])
                gradient = loss_gradient(self._form, self._distribution, settings, clip_range, self._rows, batch)
                _limit(gradient, settings.max_grad_norm)
                self._adam_steps += 1
                _adam(self._rows, gradient, self._mean, self._square, self._adam_steps, rate, _EPSILON)


@dataclass(frozen=True)
class _Experience:
    """What an update learns from; numbers are the old log-probability, the advantage and the return of each step."""

    states: Float[Tensor, "R N O"]
    actions: Tensor  # as they were drawn: numbers (R, N), or vectors (R, N, D)
    numbers: Float[Tensor, "R N 3"]

    def rows(self, order: Int[Tensor, "R B"]) -> "_Experience":
        """Some of the steps of each replicate."""
        r, n = self.states.shape[:2]
        flat = (order + n * torch.arange(r)[:, None]).flatten()
        return _Experience(
            *(
                each.flatten(0, 1)[flat].view(*order.shape, *each.shape[2:])
                for each in (self.states, self.actions, self.numbers)
            )
        )


def loss_gradient(
    form: ActorCritic,
    distribution: ActionDistribution,
    settings: PPOSettings,
    clip_range: float,
    rows: Float[Tensor, "K W"],
    batch: _Experience,
) -> Float[Tensor, "K W"]:
    """The gradient of PPO's loss on a minibatch of each replicate.

    The loss of a replicate is that of Stable-Baselines3: minus the mean of the clipped objective, on advantages of mean
    0 and standard deviation 1 in the minibatch, minus ent_coef times the mean entropy, plus vf_coef times the mean
    squared error of the value.
    """
    count = batch.states.shape[1]
    old, gained, returns = batch.numbers.unbind(-1)
    if count > 1:
        gained = (gained - gained.mean(-1, keepdim=True)) / (gained.std(-1, keepdim=True) + 1e-8)
    activations = form.activations(rows, batch.states.repeat_interleave(2, dim=0))
    outputs = activations[-1]
    choices = distribution.choices(outputs[::2], form.own(rows[::2]))
    ratio = (choices.log_prob(batch.actions) - old).exp()
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    counts = ratio * gained <= clipped * gained  # where the clipped objective is the smaller one, it is constant
    of_log_prob = torch.where(counts, -ratio * gained / count, 0.0)
    of_outputs = torch.zeros_like(outputs)
    of_outputs[::2], of_own = choices.gradient(batch.actions, of_log_prob, settings.ent_coef / count)
    of_outputs[1::2, :, 0] = 2 * settings.vf_coef / count * (outputs[1::2, :, 0] - returns)
    gradient = form.gradient(rows, activations, of_outputs)
    form.own(gradient)[::2] = of_own
    return gradient


def _limit(gradient: Float[Tensor, "K W"], largest: float) -> None:
    """Shorten the gradient of each replicate to this norm, in place."""
    of_replicate = gradient.view(len(gradient) // 2, -1)
    norm = of_replicate.square().sum(-1, keepdim=True).sqrt()
    of_replicate.mul_((largest / (norm + 1e-6)).clamp(max=1.0))


def _adam(rows: Tensor, gradient: Tensor, mean: Tensor, square: Tensor, step: int, rate: float, epsilon: float) -> None:
    """One step of Adam, in place; `step` counts from 1."""
    mean.lerp_(gradient, 1 - _BETAS[0])
    square.mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
    first, second = (1 - beta**step for beta in _BETAS)
    rows.addcdiv_(mean, (square / second).sqrt_().add_(epsilon), value=-rate / first)
