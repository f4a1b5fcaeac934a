"""Action values that are quadratic in the action: the normalized advantage function of Gu et al. (2016).

    Q(s, u) = V(s) - sum_j p_j(s) (u_j - m_j(s))^2 / 2,        u and m in the unit box [-1, 1]^D, p > 0

The best action is m and its value V. softmax(beta Q(s, .)) over the box is a product of normal distributions that are
truncated to [-1, 1], with mean m_j and precision beta p_j before that: its normaliser is known exactly, which it would
not be with a full matrix in place of p. Densities are those of the unit box: a uniform one is 2^-D.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

_LEAST = 1e-6  # of a precision: a flat density stays one in float32


@dataclass(frozen=True)
class QuadraticValues:
    """Action values of states, of any one shape.

    Args:
        value: V, that of the best action.
        mean: m, the best action, in the unit box.
        precision: p, in units of value.
    """

    value: Float[Tensor, "*batch"]
    mean: Float[Tensor, "*batch D"]
    precision: Float[Tensor, "*batch D"]

    @classmethod
    def from_outputs(cls, outputs: Float[Tensor, "*batch H"]) -> "QuadraticValues":
        """The values that 1 + 2 D outputs of a network tell: V, m before a tanh, and p before a softplus."""
        value, mean, precision = outputs.split([1, *[outputs.shape[-1] // 2] * 2], dim=-1)
        return cls(value.squeeze(-1), mean.tanh(), torch.nn.functional.softplus(precision))

    def __getitem__(self, index) -> "QuadraticValues":
        """The values of some of the states."""
        return QuadraticValues(self.value[index], self.mean[index], self.precision[index])

    def regret(self, action: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
        """How much lower the value of an action is than that of the best one."""
        return 0.5 * (self.precision * (action - self.mean).square()).sum(-1)

    def at(self, action: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
        """The value of an action."""
        return self.value - self.regret(action)

    def log_normaliser(self, rationality: float | Tensor) -> Float[Tensor, "*batch"]:
        """log of the integral over the box of exp(-rationality * regret)."""
        precision, below, above = self._ends(rationality)
        mass = 0.5 * (torch.erf(above) + torch.erf(below))  # two positive terms: no digits are lost
        return (0.5 * (math.log(2 * math.pi) - precision.log()) + mass.log()).sum(-1)

    def log_policy(self, action: Float[Tensor, "*batch D"], rationality: float | Tensor) -> Float[Tensor, "*batch"]:
        """Log-density of an action under softmax(rationality * Q), in nats.

        Args:
            rationality: of all, or with the axes of the precision.
        """
        precision, _, _ = self._ends(rationality)
        return -0.5 * (precision * (action - self.mean).square()).sum(-1) - self.log_normaliser(rationality)

    def soft_value(self, temperature: float) -> Float[Tensor, "*batch"]:
        """temperature * log of the mean over the box of exp(Q / temperature): between the mean and the maximum."""
        volume = self.mean.shape[-1] * math.log(2)
        return self.value + temperature * (self.log_normaliser(1 / temperature) - volume)

    def expected_log_policy(self, rationality: float | Tensor) -> Float[Tensor, "*batch"]:
        """The mean of `log_policy` over actions drawn from it: minus the differential entropy."""
        _, below, above = self._ends(rationality)
        mass = 0.5 * (torch.erf(above) + torch.erf(below))
        edge = (above * (-above.square()).exp() + below * (-below.square()).exp()) / math.sqrt(math.pi)
        return -0.5 * (1 - edge / mass).sum(-1) - self.log_normaliser(rationality)

    def sample(self, rationality: float, draws: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """Actions of softmax(rationality * Q) at draws that are uniform in [0, 1): the inverse distribution function.

        Of infinite rationality it is the best action.
        """
        if math.isinf(rationality):
            return self.mean.expand(draws.shape)
        precision, below, above = self._ends(rationality)
        low, high = -torch.erf(below), torch.erf(above)
        deviation = torch.erfinv(low + draws * (high - low)) * (2 / precision).sqrt()
        return (self.mean + deviation).clamp(-1.0, 1.0)

    def _ends(self, rationality: float | Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The precision of the policy, and how far both ends of the box are from its mean, as erf takes it."""
        precision = (rationality * self.precision).clamp(min=_LEAST)
        scale = (0.5 * precision).sqrt()
        return precision, (1 + self.mean) * scale, (1 - self.mean) * scale
