"""What acting in an environment yields: segments and episodes, with what simulated teachers know of each step."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from mavrl.errors import MavrlError
from mavrl.types import Tensors, Transitions

Stream = tuple[int, str, str]  # seed of the replicate, kind of feedback, split: the address of all its randomness


@dataclass(frozen=True)
class Segments(Tensors):
    """Names of segments: steps `start` to `stop` - 1 of an episode.

    Args:
        episode: number among those of its replicate.
        start: first step.
        stop: step after the last one.
    """

    episode: Int[Tensor, "R B *pair"]
    start: Int[Tensor, "R B *pair"]
    stop: Int[Tensor, "R B *pair"]


@dataclass(frozen=True)
class Simulated(Tensors):
    """Steps with their true rewards and regrets.

    Args:
        segments: which part of which episode each sample is.
        transitions: the steps.
        reward: true reward of each step.
        regret: max_a Q(s, a) - Q(s, a_t) under the true optimal Q, or an expert's; in units of return.
    """

    segments: Segments
    transitions: Transitions
    reward: Float[Tensor, "R B *steps"]
    regret: Float[Tensor, "R B *steps"]


@dataclass(frozen=True)
class Behaviour:
    """Who acts in the data.

    Args:
        rationality: of a Boltzmann policy over the true Q, or an expert's; 0 is a random walk.
        epsilon: probability of a uniformly random action instead.
        minimum_return: episodes of a lower true return are left out; None keeps all.
    """

    rationality: float
    epsilon: float = 0.0
    minimum_return: float | None = None


class EpisodesTooShort(MavrlError):
    """The episodes do not hold the segments asked for.

    Args:
        longest: steps of the longest episode.
        places: different segments that exist.
    """

    def __init__(self, longest: int, places: int) -> None:
        super().__init__(f"the longest episode has {longest} steps; all have {places}")
        self.longest, self.places = longest, places


class Simulator(ABC):
    """Rolls out behaviour policies, every replicate from streams of its own.

    What it returns first does not depend on how much is asked for.
    """

    @abstractmethod
    def segments(
        self, streams: list[Stream], behaviour: Behaviour, n_episodes: int, count: int, length: int, distinct: int
    ) -> Simulated:
        """`count` segments a replicate with a uniform episode and a uniform start in it: shape (R, count, T).

        Args:
            n_episodes: episodes that a replicate's segments are drawn from.
            length: steps T of a segment; one that its episode ends is padded.
            distinct: how many different segments there must be; 0 takes what there is, and fills up short ones.

        Raises:
            EpisodesTooShort: no episode is as long as a segment, or fewer than `distinct` segments exist.
        """

    @abstractmethod
    def episodes(self, streams: list[Stream], behaviour: Behaviour, count: int) -> Simulated:
        """`count` whole episodes of the demonstrator a replicate, padded to the longest: shape (R, count, T)."""

    def judged(self, recorded: Simulated) -> Simulated:
        """Recorded steps with their true rewards, where those were not recorded, and with their true regrets.

        Args:
            recorded: steps of this environment; a reward that is not known, and every regret, is NaN.

        Returns:
            The same, with NaN where nobody can tell.
        """
        return recorded

    def subset(self, replicates: list[int]) -> "Simulator":
        """The simulator of some of the replicates, where they differ in more than their streams."""
        return self
