"""What a search varies: settings by their configuration keys, and how a budget is divided among kinds of feedback."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from mavrl.configuration.conditions import satisfies
from mavrl.configuration.plain import written
from mavrl.search.allocation import allocate, spendable

_SHARE = FloatDistribution(1e-6, 1.0)  # u of a share -log u; the lower end keeps it finite


@dataclass(frozen=True)
class SearchSpace:
    """The space of one search.

    Args:
        settings: distributions by configuration key, such as optim.lr.
        kinds: kinds of feedback whose counts are searched; empty where the counts are given.
        budget: samples that these kinds get in all.
        caps: most samples of a kind; None or absent for no limit.
        only: conditions on other settings under which a setting is varied; elsewhere it is not given.
    """

    settings: Mapping[str, BaseDistribution]
    kinds: Sequence[str] = ()
    budget: int = 0
    caps: Mapping[str, int | None] = field(default_factory=dict)
    only: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The distribution of each parameter of a trial. A single kind takes the budget and has no parameter."""
        shared = self.kinds if len(self.kinds) > 1 else ()
        return {**self.settings, **{f"share.{kind}": _SHARE for kind in shared}}

    def suggest(self, trial: Trial, begin: Callable[[str], None] = lambda name: None) -> dict[str, Any]:
        """Values of the parameters of a trial; those that it has already stay.

        Args:
            begin: told the name of each parameter before it is drawn.
        """
        found: dict[str, Any] = {}
        for name, distribution in self._in_order():
            if all(satisfies(found.get(key), wanted) for key, wanted in self.only.get(name, {}).items()):
                begin(name)
                found[name] = _suggest(trial, name, distribution)
        return found

    def _in_order(self) -> Iterator[tuple[str, BaseDistribution]]:
        """Parameters with their distributions, those first that others depend on."""
        left = dict(self.distributions)
        while left:
            free = [name for name in left if not left.keys() & self.only.get(name, {}).keys()]
            yield from ((name, left.pop(name)) for name in free or list(left))

    def counts(self, params: Mapping[str, Any]) -> dict[str, int]:
        """How many samples each kind gets whose counts are searched."""
        draws = {kind: params.get(f"share.{kind}", 1.0) for kind in self.kinds}
        return allocate(self.budget, draws, self.caps) if draws else {}

    @property
    def spent(self) -> int:
        """Samples of each trial: the budget, or what the caps allow where that is less."""
        return spendable(self.budget, self.kinds, self.caps)

    def overrides(self, params: Mapping[str, Any]) -> list[str]:
        """The part of the command line that a trial's parameters make."""
        settings = [f"{key}={written(params[key])}" for key in self.settings if key in params]
        return settings + [f"feedback.{kind}.n_samples={n}" for kind, n in self.counts(params).items()]

    def description(self) -> dict[str, Any]:
        """The space in plain values, equal for equal spaces."""
        described = {name: distribution_text(d) for name, d in sorted(self.distributions.items())}
        caps = {kind: cap for kind, cap in sorted(self.caps.items()) if kind in self.kinds and cap is not None}
        return {
            "parameters": described,
            **({"only": {key: dict(conditions) for key, conditions in self.only.items()}} if self.only else {}),
            **({"budget": self.budget, "kinds": list(self.kinds), "caps": caps} if self.kinds else {}),
        }


def distribution_text(distribution: BaseDistribution) -> str:
    """A distribution in words, different for different distributions."""
    if isinstance(distribution, CategoricalDistribution):
        return f"one of {', '.join(map(written, distribution.choices))}"
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    whole, log = isinstance(distribution, IntDistribution), distribution.log
    step = f" in steps of {distribution.step}" if distribution.step not in (None, 1 if whole else None) else ""
    return f"{distribution.low} to {distribution.high}{step}{', whole' if whole else ''}{', log' if log else ''}"


def _suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, FloatDistribution):
        return trial.suggest_float(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    assert isinstance(distribution, CategoricalDistribution)
    return trial.suggest_categorical(name, distribution.choices)
