"""A trained reward model in NumPy: for the few transitions of one step of an agent, several times faster than torch."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mavrl.model.action_heads import NumberedHead
from mavrl.model.layers import BatchedMLP
from mavrl.model.posterior import LOGVAR_RANGE, InverseStepPosterior
from mavrl.model.step_reward import StepRewardModel
from mavrl.quadratic import QuadraticValues

Layers = list[tuple[np.ndarray, np.ndarray]]
Taken = Int[np.ndarray, "N"] | Float[np.ndarray, "N D"]  # in the unit box
_SLOPE = 0.01  # of torch's LeakyReLU


class FrozenRewardModel:
    """The networks of one replicate's `StepRewardModel`, for small batches of NumPy arrays.

    Args:
        model: one replicate.
    """

    def __init__(self, model: StepRewardModel) -> None:
        if len(model) != 1:
            raise ValueError(f"the model has {len(model)} replicates; choose one with model[k]")
        self.n_members = model.n_members
        self._domain = model.posterior.domain
        self._head = model.posterior.head
        self._one_hot = np.eye(self._head.n_inputs, dtype=np.float32)
        self._standardization = None
        if model.posterior.standardization.active:
            self._standardization = (
                model.posterior.standardization.mean.numpy(),
                1 / model.posterior.standardization.std.numpy(),
                model.posterior.standardization.LARGEST,
            )
        self._encoder = _layers(model.posterior.encoder)
        self._q = None if model.q is None else _layers(model.q)
        self._inverse = model.posterior if isinstance(model.posterior, InverseStepPosterior) else None
        self._demonstrated = model.demonstrated
        beta = model.rationality if model.demonstrated else 1.0  # of all, or of each member
        self._rationality = beta[0].numpy() if isinstance(beta, Tensor) else beta

    def standardized(self, state: Float[np.ndarray, "N O"]) -> Float[np.ndarray, "M N O"]:
        """Observations as the networks of each member see them."""
        state = np.asarray(state, dtype=np.float32)
        if self._standardization is None:
            return np.broadcast_to(state, (self.n_members, *state.shape))
        mean, inverse, largest = self._standardization
        return np.clip((state - mean) * inverse, -largest, largest)

    def moments(
        self,
        standardized: Float[np.ndarray, "M N O"],
        action: Taken,
        next_state: Float[np.ndarray, "N O"],
        terminal: Bool[np.ndarray, "N"],
    ) -> tuple[Float[np.ndarray, "M N"], Float[np.ndarray, "M N"]]:
        """Mean and standard deviation of the reward under each member, without the prior mean at terminations."""
        parts = [standardized]
        if self._domain != "s":
            encoded = self._one_hot[action] if isinstance(self._head, NumberedHead) else action.astype(np.float32)
            parts.append(np.broadcast_to(encoded, (self.n_members, *encoded.shape)))
        following = self.standardized(next_state) if self._domain == "sas" or self._inverse is not None else None
        if following is not None and self._domain == "sas":
            parts.append(following)
        parts.append(np.broadcast_to(terminal.astype(np.float32)[:, None], (self.n_members, len(terminal), 1)))
        output = _forward(self._encoder, np.concatenate(parts, axis=-1))
        std = np.exp(0.5 * np.clip(output[..., -1], *LOGVAR_RANGE))
        if following is None or self._inverse is None:
            return output[..., 0], std
        assert self._q is not None
        taken = self._taken(_forward(self._q, standardized), action)
        return taken - self._inverse.gamma * self._value(_forward(self._q, following)) * ~terminal, std

    def _taken(self, q: Float[np.ndarray, "M N H"], action: Taken) -> Float[np.ndarray, "M N"]:
        if isinstance(self._head, NumberedHead):
            return q[:, np.arange(len(action)), action]
        return self._head.taken(torch.from_numpy(q), self._of_members(action)).numpy()

    def _of_members(self, action: Taken) -> Tensor:
        return torch.from_numpy(action).expand(self.n_members, *action.shape)

    def _value(self, q: Float[np.ndarray, "M N H"]) -> Float[np.ndarray, "M N"]:
        assert self._inverse is not None
        backup, temperature = self._inverse.backup, self._inverse.soft_temperature
        return self._head.state_value(torch.from_numpy(q), backup, temperature).numpy()

    def advantage(self, standardized: Float[np.ndarray, "M N O"], action: Taken) -> Float[np.ndarray, "N"]:
        """How much more probable an action is for the demonstrator than what it does on average, in nats.

        That is log pi(a | s) minus its mean over the demonstrator's own actions. Probabilities of numbered actions are
        averaged over members; of vectors the advantage is.

        Raises:
            ValueError: there were no demonstrations.
        """
        if isinstance(self._head, NumberedHead):
            log_policy = self.demonstrator(standardized)
            expected = (np.exp(log_policy) * log_policy).sum(-1)
            return log_policy[np.arange(len(action)), action] - expected
        if not self._demonstrated or self._q is None:
            raise ValueError("this model has seen no demonstrations")
        q = QuadraticValues.from_outputs(torch.from_numpy(_forward(self._q, standardized)))
        beta = self._rationality if isinstance(self._rationality, (int, float)) else torch.from_numpy(self._rationality)
        log_policy = q.log_policy(self._of_members(action), beta)
        return (log_policy - q.expected_log_policy(beta)).mean(0).numpy()

    def demonstrator(self, standardized: Float[np.ndarray, "M N O"]) -> Float[np.ndarray, "N A"]:
        """Log-probability of each numbered action for the demonstrator, averaged over members as probabilities.

        Raises:
            ValueError: there were no demonstrations.
        """
        if not self._demonstrated or self._q is None:
            raise ValueError("this model has seen no demonstrations")
        score = self._rationality * _forward(self._q, standardized)
        score -= score.max(-1, keepdims=True)
        probability = np.exp(score)
        probability /= probability.sum(-1, keepdims=True)
        return np.log(np.maximum(probability.mean(0), 1e-30))


def _layers(network: BatchedMLP) -> Layers:
    return [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in network.layers]  # type: ignore


def _forward(layers: Layers, x: np.ndarray) -> np.ndarray:
    for number, (weight, bias) in enumerate(layers):
        if number:
            np.maximum(x, _SLOPE * x, out=x)
        x = np.matmul(x, weight)
        x += bias
    return x
