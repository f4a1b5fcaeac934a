"""The learned reward of an environment with observations, and the Q that was learned beside it."""

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mavrl.actions import Actions, VectorActions, described_actions
from mavrl.model.action_heads import Action, action_head
from mavrl.model.layers import BatchedMLP, Standardization
from mavrl.model.posterior import InverseStepPosterior, StepPosterior
from mavrl.model.reward_model import RewardModel, Values
from mavrl.quadratic import QuadraticValues

_RATIONALITY = "demonstration.rationality"  # the weights that it is among


class StepRewardModel(RewardModel):
    """Reward posteriors over transitions. States are observations, with a last axis O; actions are numbers or vectors.

    `mean`, `std` and `sample` take vectors as actions in the environment's units, with a last axis D; everything else
    takes them in the unit box (`mavrl.actions`). A model of recorded behaviour takes states as they were recorded, too:
    numbered ones, which it makes one-hot vectors of.

    Args:
        posterior: of all models, R * M of them, the members of a replicate in a row.
        q: action values of all models, in units of return; None where no feedback reads them.
        on_feedback: mean and standard deviation, over the transitions of the feedback, of each model's mean reward.
        description: what the model was trained on.
        rationality: of the demonstrators, as each model has learned it; None where the description gives it.
    """

    kind = "steps"

    def __init__(
        self,
        posterior: StepPosterior,
        q: BatchedMLP | None,
        on_feedback: tuple[Float[Tensor, "RM"], Float[Tensor, "RM"]],
        description: dict[str, Any],
        replicate: int | None = None,
        rationality: Float[Tensor, "RM"] | None = None,
    ) -> None:
        super().__init__(description, replicate)
        self.posterior = posterior
        self.q = q
        self._on_feedback = on_feedback
        self._rationality = rationality

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], description: dict[str, Any]) -> "StepRewardModel":
        """The model with these saved weights."""

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(f"{prefix}."): t for k, t in tensors.items() if k.startswith(f"{prefix}.")}

        n_features, sizes = description["n_features"], description["hidden_sizes"]
        head = action_head(described_actions(description))
        unused = [torch.Generator()] * len(tensors["standardization.mean"])
        standardization = Standardization.identity(len(unused), n_features)
        standardization.load_state_dict(part("standardization"))
        q = None
        if part("q"):
            q = BatchedMLP(n_features, sizes, head.n_outputs, unused)
            q.load_state_dict(part("q"))
        of_features = (n_features, head, description["reward_domain"], sizes, unused, standardization)
        inverse = description.get("inverse")
        if inverse is None:
            posterior = StepPosterior(*of_features, description["reward_at_termination"])
        else:
            assert q is not None
            posterior = InverseStepPosterior(*of_features, description["reward_at_termination"], q=q, **inverse)
        posterior.encoder.load_state_dict(part("encoder"))
        on_feedback = tensors["feedback.mean"], tensors["feedback.std"]
        return cls(posterior, q, on_feedback, description, rationality=tensors.get(_RATIONALITY))

    def tensors(self) -> dict[str, Tensor]:
        """All weights by name, with the models as first axis."""
        found = {f"encoder.{name}": t for name, t in self.posterior.encoder.state_dict().items()}
        found |= {f"standardization.{name}": t for name, t in self.posterior.standardization.state_dict().items()}
        if self.q is not None:
            found |= {f"q.{name}": t for name, t in self.q.state_dict().items()}
        if self._rationality is not None:
            found[_RATIONALITY] = self._rationality
        return {**found, "feedback.mean": self._on_feedback[0], "feedback.std": self._on_feedback[1]}

    @property
    def actions(self) -> Actions:
        """The actions that it was learned from, with their bounds where they are vectors."""
        return described_actions(self.description)

    def in_units(self, action: Values) -> Values:
        return self.actions.from_unit(action)

    @property
    def at_termination(self) -> float:
        """Prior mean of the reward where an episode terminates."""
        return self.posterior.at_termination

    @property
    def demonstrated(self) -> bool:
        """Whether there were demonstrations, so that `demonstrator` is known."""
        return self.description["demonstration_rationality"] is not None

    @property
    def rationality(self) -> float | Float[Tensor, "R M 1 1"]:
        """beta of the demonstrators, in units of 1 / Q: what it is taken to be, or what each member has learned."""
        if self._rationality is None:
            return self.description["demonstration_rationality"]
        return self._rationality.view(len(self), self.n_members, 1, 1)

    def on_feedback(self) -> tuple[Float[Tensor, "R M"], Float[Tensor, "R M"]]:
        """Mean and standard deviation, over the transitions of the feedback, of each member's mean reward."""
        mean, std = (values.view(len(self), self.n_members) for values in self._on_feedback)
        return mean, std

    @property
    def n_members(self) -> int:
        return self.description["members"]

    def __len__(self) -> int:
        return len(self.posterior.standardization.mean) // self.n_members

    def _replicate(self, row: int, number: int) -> "StepRewardModel":
        models = slice(row * self.n_members, (row + 1) * self.n_members)
        alone = StepRewardModel.from_tensors({name: t[models] for name, t in self.tensors().items()}, self.description)
        alone._number = number
        return alone

    @torch.no_grad()
    def member_moments(
        self,
        state: Float[Tensor, "N O"],
        action: Action,
        next_state: Float[Tensor, "N O"],
        terminal: Bool[Tensor, "N"] | None = None,
    ) -> tuple[Float[Tensor, "R M N"], Float[Tensor, "R M N"]]:
        """Mean and standard deviation of the reward under each member.

        Args:
            terminal: transitions that terminate their episode; None for none of them.
        """
        end = torch.zeros(len(action), dtype=torch.bool, device=action.device) if terminal is None else terminal
        mean, logvar = self.posterior.transition_moments(
            state[None].float(), action[None], next_state[None].float(), end[None]
        )
        shape = (len(self), self.n_members, len(action))
        return mean.view(shape), (0.5 * logvar).exp().view(shape)

    def mean(self, state: Values, action: Values, next_state: Values) -> Values:
        steps, shape = self._flat(state, action, next_state)
        mean, _ = self.member_moments(*steps)
        return self._shaped(mean.mean(1), state, shape)

    def std(self, state: Values, action: Values, next_state: Values) -> Values:
        steps, shape = self._flat(state, action, next_state)
        mean, std = self.member_moments(*steps)
        return self._shaped((std.square().mean(1) + mean.var(1, correction=0)).sqrt(), state, shape)

    def sample(self, state: Values, action: Values, next_state: Values, seed: int = 0) -> Values:
        """One function of each posterior: a member, with all rewards equally many standard deviations off its mean."""
        steps, shape = self._flat(state, action, next_state)
        mean, std = self.member_moments(*steps)
        rows = []
        for row in range(len(self)):
            stream = self._stream(seed, row)
            member = int(torch.randint(self.n_members, (), generator=stream))
            rows.append(mean[row, member] + std[row, member] * torch.randn((), generator=stream))
        return self._shaped(torch.stack(rows), state, shape)

    @torch.no_grad()
    def action_values(self, state: Float[Tensor, "N O"]) -> Float[Tensor, "R M N H"]:
        """Q of every numbered action under each member; of vectors what `mavrl.quadratic` reads as theirs.

        Raises:
            ValueError: none was learned.
        """
        if self.q is None:
            raise ValueError("no feedback of this model reads Q, so none was learned")
        q = self.q(self.posterior.standardization(state[None].float()))
        return q.view(len(self), self.n_members, *q.shape[1:])

    def demonstrator(self, state: Float[Tensor, "N O"]) -> Float[Tensor, "R N A"]:
        """Log-probability of each numbered action for the demonstrator, averaged over members as probabilities.

        Raises:
            ValueError: there were no demonstrations.
        """
        if not self.demonstrated:
            raise ValueError("this model has seen no demonstrations")
        q = self.rationality * self.action_values(state)
        return torch.log_softmax(q, dim=-1).logsumexp(1) - math.log(self.n_members)

    def demonstrated_values(self, state: Float[Tensor, "N O"]) -> QuadraticValues:
        """Q of vectors as actions under each member, of shape (R, M, N), in units of 1 / rationality.

        Raises:
            ValueError: there were no demonstrations.
        """
        if not self.demonstrated:
            raise ValueError("this model has seen no demonstrations")
        q = QuadraticValues.from_outputs(self.action_values(state))
        beta = self.rationality
        of_value = beta.squeeze(-1) if isinstance(beta, Tensor) else beta
        return QuadraticValues(of_value * q.value, q.mean, beta * q.precision)

    def _flat(
        self, state: Any, action: Any, next_state: Any
    ) -> tuple[tuple[Float[Tensor, "N O"], Action, Float[Tensor, "N O"]], tuple[int, ...]]:
        """The steps on one axis, and their axes."""
        *states, actions = (
            torch.as_tensor(x if isinstance(x, Tensor) else np.asarray(x)) for x in (state, next_state, action)
        )
        n_features = self.posterior.standardization.mean.shape[-1]
        if self.description.get("numbered_states"):
            one_hot = torch.nn.functional.one_hot
            states = [s if s.is_floating_point() else one_hot(s.long(), n_features) for s in states]
        axes, vector = states[0].shape[:-1], self.description.get("action_shape")
        if vector is not None and actions.shape == (*axes, *vector):  # on which the reward of a folder does not depend
            actions = torch.zeros(axes, dtype=torch.int64)
        known = self.actions
        of_action = (known.size,) if isinstance(known, VectorActions) else ()
        axes = actions.shape[: actions.ndim - len(of_action)]
        expected = [(*axes, n_features), (*axes, n_features), (*axes, *of_action)]
        found = [tuple(x.shape) for x in (*states, actions)]
        if found != expected:
            raise ValueError(f"actions {found[2]} need states {expected[0]}; got {found[0]} and {found[1]}")
        first, following = (s.reshape(-1, n_features).float() for s in states)
        flat = actions.reshape(-1, *of_action)
        taken = known.to_unit(flat.float()) if of_action else flat.long()
        return (first, taken, following), tuple(axes)

    def _shaped(self, values: Float[Tensor, "R N"], state: Any, shape: tuple[int, ...]) -> Any:
        values = values.view(len(values), *shape)
        values = values if self._number is None else values[0]
        return values if isinstance(state, Tensor) else values.numpy()
