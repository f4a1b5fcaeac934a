"""The reward posterior q(r) = N(mu, D K D), D^2 = diag(exp(logvar)), and its prior, for all models at once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mavrl.model.action_heads import Action, ActionHead
from mavrl.model.correlation import Correlation, StateCorrelation
from mavrl.model.layers import BatchedMLP, Standardization, restandardize
from mavrl.model.support import Points, StepSupport, Support
from mavrl.model.terms import Backup, gaussian_kl

RewardDomain = Literal["s", "sa", "sas"]
LOGVAR_RANGE = (-20.0, 2.0)


class RewardPosterior(nn.Module, ABC, Generic[Points]):
    """An amortized Gaussian over the rewards of the points of a support, of the class of supports that it takes."""

    encoder: BatchedMLP

    @abstractmethod
    def forward(self, support: Points) -> tuple[Float[Tensor, "R N"], Float[Tensor, "R N"]]:
        """Mean and log-variance of the reward at every point, each by itself."""

    def correlation(self, of: Float[Tensor, "R N"]) -> Correlation:
        """How the rewards of the points go together: not at all, unless a class says otherwise.

        Args:
            of: mean or log-variance of the points.
        """
        return Correlation.independent(of)

    def _moments(self, output: Float[Tensor, "R N 2"]) -> tuple[Float[Tensor, "R N"], Float[Tensor, "R N"]]:
        mean, logvar = output.unbind(-1)
        return mean, logvar.clamp(*LOGVAR_RANGE)


class StatePosterior(RewardPosterior[Support]):
    """The posterior of the rewards of a finite environment's states; the encoder's input is the one-hot state.

    Args:
        n_states: S.
        hidden_sizes: size of each hidden layer.
        generators: one source of initial weights per model.
        state_correlation: how their rewards go together, which is learned; None for independent states.
    """

    def __init__(
        self,
        n_states: int,
        hidden_sizes: Sequence[int],
        generators: list[torch.Generator],
        state_correlation: StateCorrelation | None = None,
    ) -> None:
        super().__init__()
        self.encoder = BatchedMLP(n_states, hidden_sizes, 2, generators)
        self.state_correlation = state_correlation

    def forward(self, support: Support | None = None) -> tuple[Float[Tensor, "R S"], Float[Tensor, "R S"]]:
        return self._moments(self.encoder.on_one_hot())

    def correlation(self, of: Float[Tensor, "R S"]) -> Correlation:
        return super().correlation(of) if self.state_correlation is None else self.state_correlation()

    def sample(self, noise: Float[Tensor, "P R n_noise"]) -> Float[Tensor, "P R S"]:
        """P reward functions of each model, from independent normal numbers, `correlation(...).n_noise` for each."""
        mean, logvar = self()
        return mean + (0.5 * logvar).exp() * self.correlation(mean).correlated(noise.transpose(0, 1)).transpose(0, 1)


class StepPosterior(RewardPosterior[StepSupport]):
    """The posterior of the reward of each transition of an environment with observations.

    Whether a transition terminates its episode is an input of the encoder, so feedback that shows ends can tell what
    they are worth; the encoder learns what is to be added to the prior mean there.

    Args:
        n_features: O.
        head: how actions are read.
        domain: what the reward depends on: the state "s", also the action "sa", or also the next state "sas".
        hidden_sizes: size of each hidden layer.
        generators: one source of initial weights per model.
        standardization: of the observations.
        at_termination: prior mean of the reward where an episode terminates.
    """

    n_outputs: ClassVar[int] = 2  # of the encoder

    def __init__(
        self,
        n_features: int,
        head: ActionHead,
        domain: RewardDomain,
        hidden_sizes: Sequence[int],
        generators: list[torch.Generator],
        standardization: Standardization,
        at_termination: float = 0.0,
    ) -> None:
        super().__init__()
        size = n_features * (2 if domain == "sas" else 1) + (0 if domain == "s" else head.n_inputs) + 1
        self.encoder = BatchedMLP(size, hidden_sizes, self.n_outputs, generators)
        self.standardization = standardization
        self.at_termination = at_termination
        self.head = head
        self.domain = domain

    def forward(self, support: StepSupport) -> tuple[Float[Tensor, "R N"], Float[Tensor, "R N"]]:
        following = support.next_state if self.domain == "sas" else support.state
        return self.transition_moments(support.state, support.action, following, support.terminal)

    def transition_moments(
        self,
        state: Float[Tensor, "#R N O"],
        action: Action,
        next_state: Float[Tensor, "#R N O"],
        terminal: Bool[Tensor, "#R N"],
    ) -> tuple[Float[Tensor, "R N"], Float[Tensor, "R N"]]:
        """Mean and log-variance of the reward of transitions; those with a leading axis of 1 are for all models."""
        mean, logvar = self._moments(self._encoded(state, action, next_state, terminal))
        return mean + self.at_termination * terminal, logvar

    @torch.no_grad()
    def go_on_from(self, weights: dict[str, Tensor], before: Standardization) -> None:
        """Take the weights of another such posterior, whose rewards it then has under its own standardization.

        Args:
            weights: of its encoder.
            before: its standardization.
        """
        self.encoder.load_state_dict(weights)
        n, first = self.standardization.mean.shape[-1], self.encoder.layers[0]
        begin = n + (0 if self.domain == "s" else self.head.n_inputs)
        for columns in (slice(0, n), *([slice(begin, begin + n)] if self.domain == "sas" else [])):
            restandardize(first, columns, before, self.standardization)  # type: ignore[arg-type]

    def _encoded(self, state: Tensor, action: Tensor, next_state: Tensor, terminal: Tensor) -> Float[Tensor, "R N H"]:
        parts = [self.standardization(state)]
        n_models = len(parts[0])
        if self.domain != "s":
            parts.append(self.head.encoded(action).to(state.dtype).expand(n_models, -1, -1))
        if self.domain == "sas":
            parts.append(self.standardization(next_state))
        parts.append(terminal[..., None].to(state.dtype).expand(n_models, -1, -1))
        return self.encoder(torch.cat(parts, dim=-1))


class InverseStepPosterior(StepPosterior):
    """The reward that one Q implies: its mean is Q(s, a) - gamma B(s') (1 - terminal), B as `ActionHead` has it.

    Along any path that reward telescopes to Q at the start plus advantages that are at most 0, so nothing is gained
    where nobody judged. The encoder tells the variance only. The inverse Bellman operator of Garg et al. (2021),
    "IQ-Learn", and Hejna and Sadigh (2023), "Inverse preference learning".

    Args:
        q: network from states to what `head` reads as Q.
        gamma: discount factor.
        backup: "optimal" or "soft".
        soft_temperature: of the soft backup, in units of Q.
        others: those of `StepPosterior`; the mean at termination is the prior's alone.
    """

    n_outputs = 1

    def __init__(
        self, *others: Any, q: BatchedMLP, gamma: float, backup: Backup, soft_temperature: float, **more: Any
    ) -> None:
        super().__init__(*others, **more)
        self.q = q
        self.backup: Backup = backup
        self.gamma, self.soft_temperature = gamma, soft_temperature

    def forward(self, support: StepSupport) -> tuple[Float[Tensor, "R N"], Float[Tensor, "R N"]]:
        q = support.outputs(self.q, self.standardization)
        following = support.following(self.head.state_value(q, self.backup, self.soft_temperature))
        next_state = support.next_state if self.domain == "sas" else support.state
        encoded = self._encoded(support.state, support.action, next_state, support.terminal)
        return self._of_values(q[:, : support.state.shape[1]], following, support.action, support.terminal, encoded)

    def transition_moments(
        self,
        state: Float[Tensor, "#R N O"],
        action: Action,
        next_state: Float[Tensor, "#R N O"],
        terminal: Bool[Tensor, "#R N"],
    ) -> tuple[Float[Tensor, "R N"], Float[Tensor, "R N"]]:
        """Mean and log-variance of the reward of transitions; those with a leading axis of 1 are for all models."""
        q = self.q(self.standardization(state))
        outputs = self.q(self.standardization(next_state))
        following = self.head.state_value(outputs, self.backup, self.soft_temperature)
        return self._of_values(q, following, action, terminal, self._encoded(state, action, next_state, terminal))

    def _of_values(
        self,
        q: Float[Tensor, "R N H"],
        following: Float[Tensor, "R N"],
        action: Action,
        terminal: Bool[Tensor, "#R N"],
        encoded: Float[Tensor, "R N 1"],
    ) -> tuple[Float[Tensor, "R N"], Float[Tensor, "R N"]]:
        return self.head.taken(
            q, action.expand(len(q), *action.shape[1:])
        ) - self.gamma * following * ~terminal, encoded.squeeze(-1).clamp(*LOGVAR_RANGE)


class RewardPrior(nn.Module):
    """The prior r(x) ~ N(m(x), s0^2), independently at each point.

    With a learned scale, s0^2 is the maximum of the bound given the posterior, in closed form, under an inverse-gamma
    hyperprior with density proportional to x^(-shape - 1) exp(-rate / x), where point x counts w(x) times:
    s0^2 = (sum_x w [var + (mu - m)^2] + 2 rate) / (sum_x w + 2 shape + 2).

    Args:
        mean: m of each state of a finite environment, of shape (S,); elsewhere m where an episode terminates, of shape
            (1,), and m is 0 at other points.
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
    def fit(self, mean: Float[Tensor, "R N"], logvar: Float[Tensor, "R N"], support: Support) -> None:
        """Move a learned scale to its optimum for this posterior."""
        if self.learned:
            weights = support.kl_weights.expand(mean.shape)
            spread = weights * (logvar.exp() + (mean - support.prior_mean(self.mean)).square())
            points = weights.sum(-1, keepdim=True)
            self.variance = (spread.sum(-1, keepdim=True) + 2 * self._rate) / (points + 2 * self._shape + 2)

    def kl(self, mean: Float[Tensor, "R N"], logvar: Float[Tensor, "R N"], support: Support) -> Float[Tensor, "R N"]:
        """KL from the prior at each point, in nats."""
        return gaussian_kl(mean, logvar, support.prior_mean(self.mean), self.variance)
