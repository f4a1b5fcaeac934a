"""The learned reward of a finite environment, as a table."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.model.correlation import Correlation, stored_correlation
from mavrl.model.posterior import StatePosterior
from mavrl.model.reward_model import RewardModel, Values


class TabularRewardModel(RewardModel):
    """Reward posteriors over the states of a finite environment.

    States are numbers, or one-hot vectors with a last axis of size S.

    Args:
        mean: posterior mean of each member, shape (R, M, S), in units of reward.
        std: posterior standard deviation of each member.
        description: what the model was trained on.
        weights: that these are the moments of, by name, with R M models as first axis; None where nobody kept them.
        correlation: of the states under each member, with the axes R and M first; None for independent states.
    """

    kind = "tabular"

    def __init__(
        self,
        mean: Float[Tensor, "R M S"],
        std: Float[Tensor, "R M S"],
        description: dict[str, Any],
        replicate: int | None = None,
        weights: dict[str, Tensor] | None = None,
        correlation: Correlation | None = None,
    ) -> None:
        super().__init__(description, replicate)
        self._mean, self._std, self._weights = mean, std, weights
        self._correlation = Correlation.independent(mean) if correlation is None else correlation

    @classmethod
    @torch.no_grad()
    def from_posterior(cls, posterior: StatePosterior, description: dict[str, Any]) -> "TabularRewardModel":
        """The reward model of trained posteriors."""
        mean, logvar = posterior()
        members = description["members"]
        shape = (description["replicates"], members, mean.shape[-1])
        moments = mean.view(shape), (0.5 * logvar).exp().view(shape)
        correlation = posterior.correlation(mean).members(members)
        return cls(*moments, description, weights=posterior.state_dict(), correlation=correlation)

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], description: dict[str, Any]) -> "TabularRewardModel":
        """The model with these saved weights."""
        unused = [torch.Generator()] * (description["replicates"] * description["members"])
        states = stored_correlation(
            description.get("covariance", "diagonal"), tensors.get("state_correlation.loadings")
        )
        posterior = StatePosterior(description["n_states"], description["hidden_sizes"], unused, states)
        posterior.load_state_dict({name: t for name, t in tensors.items() if not name.startswith("prior.")})
        return cls.from_posterior(posterior, description)

    def tensors(self) -> dict[str, Tensor]:
        return super().tensors() if self._weights is None else self._weights

    @property
    def n_states(self) -> int:
        return self._mean.shape[-1]

    def __len__(self) -> int:
        return len(self._mean)

    def _replicate(self, row: int, number: int) -> "TabularRewardModel":
        weights, members = self._weights, self._mean.shape[1]
        if weights is not None:
            weights = {name: tensor[row * members : (row + 1) * members] for name, tensor in weights.items()}
        one = slice(row, row + 1)
        correlation = self._correlation[one]
        return TabularRewardModel(self._mean[one], self._std[one], self.description, number, weights, correlation)

    def member_tables(self) -> tuple[Float[Tensor, "R M S"], Float[Tensor, "R M S"]]:
        """Posterior mean and standard deviation of every state under each member."""
        return self._mean, self._std

    def member_correlation(self) -> Correlation:
        """How the rewards of the states go together under each member, with the axes R and M first."""
        return self._correlation

    def covariance(self) -> Float[Tensor, "R S S"]:
        """Posterior covariance of all pairs of states: within members and between them."""
        within = self._std[..., :, None] * self._correlation.matrix() * self._std[..., None, :]
        off = self._mean - self._mean.mean(1, keepdim=True)
        return within.mean(1) + off.mT @ off / off.shape[1]

    def mean_table(self) -> Float[Tensor, "R S"]:
        """Posterior mean of every state, over members."""
        return self._mean.mean(1)

    def std_table(self) -> Float[Tensor, "R S"]:
        """Posterior standard deviation of every state: within members and between them."""
        return (self._std.square().mean(1) + self._mean.var(1, correction=0)).sqrt()

    def member_spread(self) -> Float[Tensor, "R S"]:
        """Standard deviation of the members' means; 0 for a single member."""
        return self._mean.std(1, correction=0)

    def mean(self, state: Values, action: Values, next_state: Values) -> Values:
        return self._look_up(self.mean_table(), state)

    def std(self, state: Values, action: Values, next_state: Values) -> Values:
        return self._look_up(self.std_table(), state)

    def sample(self, state: Values, action: Values, next_state: Values, seed: int = 0) -> Values:
        return self._look_up(self.sample_table(seed), state)

    def sample_table(self, seed: int) -> Float[Tensor, "R S"]:
        """One reward function drawn from each replicate's posterior."""
        rows = []
        for row in range(len(self)):
            stream = self._stream(seed, row)
            member = int(torch.randint(self._mean.shape[1], (), generator=stream))
            correlation = self._correlation[row, member]
            noise = torch.randn(1, correlation.n_noise, generator=stream).to(self._mean.dtype)
            rows.append(self._mean[row, member] + self._std[row, member] * correlation.correlated(noise)[0])
        return torch.stack(rows)

    def _look_up(self, table: Float[Tensor, "R S"], state: Any) -> Any:
        index = torch.as_tensor(np.asarray(state) if not isinstance(state, Tensor) else state)
        n_states = table.shape[-1]
        if index.is_floating_point() and index.ndim and index.shape[-1] == n_states:
            index = index.argmax(-1)
        if index.is_floating_point() or bool(((index < 0) | (index >= n_states)).any()):
            raise ValueError(f"states must be numbers from 0 to {n_states - 1} or one-hot vectors of size {n_states}")
        values = table[:, index.long()]
        values = values if self._number is None else values[0]
        return values if isinstance(state, Tensor) else values.numpy()
