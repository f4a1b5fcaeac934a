"""Learning in rounds: ask about what the present policies do, learn, let them go on, and ask again."""

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import Logger

from mavrl.configuration.settings import RoundsSettings, RunSettings
from mavrl.errors import ConfigurationError
from mavrl.families.base import Family
from mavrl.feedback.base import FeedbackBatch, FeedbackLikelihood
from mavrl.feedback.combined import CombinedDataModule
from mavrl.feedback.rounds import ask_round, held_out, share_of_round
from mavrl.model.beliefs import outcomes_under
from mavrl.model.learner import RewardLearner
from mavrl.progress import ticking
from mavrl.simulation.base import Behaviour
from mavrl.simulation.mixture import Mixture, Part
from mavrl.storage.checkpoints import Checkpoints
from mavrl.storage.files import write_text
from mavrl.streams import torch_stream
from mavrl.training.building import build_learner
from mavrl.training.fitting import fit, store
from mavrl.types import Transitions

_RANDOM_WALK = Behaviour(0.0)


@dataclass
class OnlineLearning:
    """The rounds of one run. Each is done again only where it is not done yet, with the same result.

    Args:
        settings: of the run, which have rounds.
        family: the environment.
        data: the DataModules of all kinds, which have asked nothing yet.
        directory: of the run.
        loggers: that get training curves.
        advance: told the number of the round, from 1, and that of all.
    """

    settings: RunSettings
    family: Family
    data: CombinedDataModule
    directory: Path
    loggers: Sequence[Logger]
    advance: Callable[[int, int], None]

    @property
    def rounds(self) -> RoundsSettings:
        assert self.settings.rounds is not None
        return self.settings.rounds

    def run(self, begun: Callable[[], None]) -> tuple[CombinedDataModule, list[int], list[dict[str, float]]]:
        """All rounds, to the end of what acts.

        Args:
            begun: told when the first questions have been answered, before anything is written.

        Returns:
            What was learned from, the replicates that failed, and a row of figures for each round.
        """
        rows: list[dict[str, float]] = []
        examined = held_out(self.data.modules, self.rounds.held_out) if self.rounds.held_out else {}
        learner: RewardLearner | None = None
        data, failed = self.data, []
        for number in range(self.rounds.count):
            with ticking(self.settings.execution.progress, f"asking, round {number + 1}", "episode"):
                asked = self._ask(number, learner)
            self._check_query()
            if number == 0:
                begun()
            self.advance(number + 1, self.rounds.count)
            answered = {kind: module for kind, module in self.data.modules.items() if "train" in module.sets}
            data = CombinedDataModule(answered, self.data.least_steps, self.data.passes_per_epoch)
            learner, failed = self._learn(number, data, learner)
            last = number + 1 == self.rounds.count
            if last:
                store(self.settings, self.family, learner, data, self.directory)
            until = None if last else self._parts(number + 1)
            if until != 0:
                self.family.act(self.directory, data, self._place(number), until)
            standing = self.family.standing(self.directory, self._place(number), until or self.family.parts)
            labels = {f"labels_{kind}": float(count) for kind, count in asked.items()}
            rows.append({"round": number + 1.0, **labels, **_log_likelihoods(learner, examined), **standing})
            _write(rows, self.directory / "rounds.csv")
        return data, failed, rows

    def _place(self, number: int) -> Path:
        return self.directory / "rounds" / str(number)

    def _parts(self, number: int) -> int:
        """Parts of the policies' training that come before a round."""
        return self.rounds.begins_at(number, self.family.parts)

    # Asking ----------------------------------------------------------------------------------------------------------

    def _ask(self, number: int, learner: RewardLearner | None) -> dict[str, int]:
        modules, rounds = self.data.modules, self.rounds
        shares = {kind: share_of_round(each.n_samples, number, rounds.count) for kind, each in modules.items()}
        budget = math.inf if rounds.budget is None else rounds.budget / rounds.count
        limits = shares if rounds.budget is None else {kind: each.n_samples for kind, each in modules.items()}
        outcomes = lambda kind, steps: self._outcomes(number, learner, kind, steps)  # noqa: E731
        return ask_round(modules, self._actors(number), number, limits, budget, rounds.n_episodes, outcomes)

    def _check_query(self) -> None:
        """
        Raises:
            ConfigurationError: the query looks ahead at answers, and a kind does not say what answers there are.
        """
        for kind, module in self.data.modules.items():
            query, asked = module.asking.query, "train" in module.sets
            if asked and query.samples and type(module.likelihood()).outcomes is FeedbackLikelihood.outcomes:
                allowed = f"looks ahead at answers, and {kind} does not say which there are; must be random"
                raise ConfigurationError("query", type(query).__name__, allowed)

    def _actors(self, number: int) -> Mixture:
        """Who acts in the segments of a round: the present policies, earlier ones, and the configured behaviour."""
        simulator, rounds = self.family.simulator, self.rounds
        first = simulator, None if rounds.first == "behaviour" else _RANDOM_WALK
        earlier = [first]
        earlier += [self.family.explorer(self.directory, self._place(k), self._parts(k + 1)) for k in range(number)]
        present = earlier.pop()
        own = 1 - rounds.earlier - rounds.behaviour if earlier else 1 - rounds.behaviour
        parts = [Part(*present, own)]
        parts += [Part(*each, rounds.earlier / len(earlier)) for each in earlier]
        return Mixture([*parts, Part(simulator, None, rounds.behaviour)], simulator)

    def _outcomes(
        self, number: int, learner: RewardLearner | None, kind: str, steps: Transitions
    ) -> torch.Tensor | None:
        query = self.data.modules[kind].asking.query
        if learner is None or not query.samples or kind not in learner.inference.likelihoods:
            return None
        belief = self.family.belief(learner.inference, self._place(number - 1))
        seeds = [torch_stream(seed, "functions of round", number).initial_seed() for seed in self.settings.seeds]
        return outcomes_under(belief, learner.inference.likelihoods[kind], steps, query.samples, seeds)

    # Learning --------------------------------------------------------------------------------------------------------

    def _learn(
        self, number: int, data: CombinedDataModule, before: RewardLearner | None
    ) -> tuple[RewardLearner, list[int]]:
        """The learner of everything so far, and the replicates that failed."""
        place, learner = self._place(number), build_learner(self.settings, self.family, data)
        learned = Checkpoints(place / "learned")
        if before is not None and self.rounds.refit == "continue":
            self.family.go_on(learner.inference, before.inference.state_dict())
        if (done := learned.newest()) is None:
            fit(self.settings, learner, data, Checkpoints(place / "checkpoints"), place, self.loggers)
            store(self.settings, self.family, learner, data, place)
            learned.save(number, lambda path: torch.save(learner.state_dict(), path))
            Checkpoints(place / "checkpoints").clear()
        else:
            learner.load_state_dict(torch.load(done, weights_only=True))
        shape = (self.settings.replicates, self.settings.members)
        return learner, learner.failed.view(shape).any(-1).nonzero().flatten().tolist()


@torch.no_grad()
def _log_likelihoods(learner: RewardLearner, examined: dict[str, FeedbackBatch]) -> dict[str, float]:
    """Log-likelihood of held-out answers under the posterior mean, in nats an answer: mean over all models."""
    objective, kinds = learner.objective, learner.inference.likelihoods
    batches = {kind: batch for kind, batch in examined.items() if kind in kinds}
    if not batches:
        return {}
    learner.eval()  # prior and planning do not go on
    loss = objective(learner.inference, batches, lambda count: torch.zeros(len(learner.active), count))
    learner.train()
    found = {}
    for kind, batch in batches.items():
        size = objective.sizes[objective.rows[kind]]
        known = (size > 0) & batch.valid_samples.any(-1).to(size.device)  # a teacher may have skipped all questions
        if known.any():
            found[f"held_out_{kind}"] = float((loss.terms[f"{kind}/log_likelihood"] / size)[known].mean())
    return found


def _write(rows: Sequence[dict[str, Any]], path: Path) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    table = csv.DictWriter(text, names)
    table.writeheader()
    table.writerows(rows)
    write_text(path, text.getvalue())
