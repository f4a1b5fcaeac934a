"""The reward posterior q(r | x) = N(mu(x), exp(logvar(x))) and its prior, for all models at once."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mavrl.model.layers import BatchedMLP
from mavrl.model.terms import gaussian_kl

_LOGVAR_RANGE = (-20.0, 2.0)


class RewardPosterior(nn.Module):
    """An amortized Gaussian over the reward of each state of a finite environment; the input is the one-hot state.

    Args:
        n_states: S.
        hidden_sizes: size of each hidden layer.
        generators: one source of initial weights per model.
    """

    def __init__(self, n_states: int, hidden_sizes: Sequence[int], generators: list[torch.Generator]) -> None:
        super().__init__()
        self.encoder = BatchedMLP(n_states, hidden_sizes, 2, generators)

    def forward(self) -> tuple[Float[Tensor, "R S"], Float[Tensor, "R S"]]:
        """Mean and log-variance of the reward of every state."""
        mean, logvar = self.encoder.on_one_hot().unbind(-1)
        return mean, logvar.clamp(*_LOGVAR_RANGE)


class RewardPrior(nn.Module):
    """r(s) ~ N(m(s), s0^2) independently in each state.

    With a learned scale, s0^2 is the maximum of the bound given the posterior, in closed form, under an inverse-gamma
    hyperprior with density proportional to x^(-shape - 1) exp(-rate / x):
    s0^2 = (sum_s [var + (mu - m)^2] + 2 rate) / (S + 2 shape + 2).

    Args:
        mean: m of each state.
        scale: s0, in units of reward; None to learn it, separately for each model.
        hyperprior_shape, hyperprior_rate: of the inverse gamma; used only when the scale is learned.
        n_models: number of models.
    """

    variance: Tensor
    mean: Tensor

    def __init__(
        self,
        mean: Float[Tensor, "S"],
        scale: float | None,
        n_models: int,
        hyperprior_shape: float,
        hyperprior_rate: float,
    ) -> None:
        super().__init__()
        self.learned = scale is None
        self._shape, self._rate = hyperprior_shape, hyperprior_rate
        self.register_buffer("mean", mean.float())
        self.register_buffer("variance", torch.full((n_models, 1), 1.0 if scale is None else float(scale) ** 2))

    @torch.no_grad()
    def fit(self, mean: Float[Tensor, "R S"], logvar: Float[Tensor, "R S"]) -> None:
        """Move a learned scale to its optimum for this posterior."""
        if self.learned:
            spread = (logvar.exp() + (mean - self.mean).square()).sum(-1, keepdim=True)
            self.variance = (spread + 2 * self._rate) / (mean.shape[-1] + 2 * self._shape + 2)

    def kl(self, mean: Float[Tensor, "R S"], logvar: Float[Tensor, "R S"]) -> Float[Tensor, "R S"]:
        """KL from the prior in each state, in nats."""
        return gaussian_kl(mean, logvar, self.mean, self.variance)
