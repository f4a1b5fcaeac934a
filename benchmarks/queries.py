"""How quickly are questions chosen, and how much do those that are chosen tell together?

    python benchmarks/queries.py
    python benchmarks/queries.py --quality

Prints one JSON line a measurement, on one core. The first form times 1,000 candidates of each of four kinds under 100
reward functions: the probabilities of their answers on grid_trap (with planning), the gain of each alone, and the
choice of a batch in which kinds compete. The second chooses batches
on small problems with 100 functions, by several rules, and computes by enumeration what their answers tell together
about 4,000 other functions of the same posterior.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
ANSWERS = {"preference": 2, "rating": 5, "stop": 11}
STEPS, ACTIONS = 20, 5  # of a demonstrated episode on a grid


def speed(candidates: int, functions: int, replicates: int, questions: int) -> list[dict[str, Any]]:
    """Seconds for the gains of four kinds, and for a batch of them."""
    import torch

    from mavrl.feedback.queries import Candidates
    from mavrl.feedback.queries.information_gain import gain_of
    from mavrl.types import Transitions

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)

    def pool(kind: str, *answers: int) -> Candidates:
        shape = (replicates, functions, candidates, *answers)
        outcomes = torch.randn(shape, generator=generator).log_softmax(-1)
        steps = torch.zeros(replicates, candidates, STEPS, dtype=torch.int64)
        valid = torch.ones_like(steps, dtype=torch.bool)
        return Candidates(kind, Transitions(steps, steps, steps, steps, ~valid, valid), outcomes)

    pools = {kind: pool(kind, answers) for kind, answers in ANSWERS.items()}
    pools["demonstration"] = pool("demonstration", STEPS, ACTIONS)
    setting: dict[str, Any] = {
        "candidates": candidates,
        "kinds": len(pools),
        "functions": functions,
        "replicates": replicates,
    }
    limits = dict.fromkeys(pools, questions)
    sources = [torch.Generator().manual_seed(k) for k in range(replicates)]
    foreseen = _fastest(lambda: _foresee(candidates, functions, replicates))
    found = [{"what": "outcomes", **setting, "seconds": foreseen}]
    found += [{"what": "gains", **setting, "seconds": _fastest(lambda: [gain_of(one) for one in pools.values()])}]
    for name, rule in _rules().items():
        seconds = _fastest(lambda rule=rule: rule.choose(pools, limits, float(questions), sources))
        found.append({"what": "batch", "query": name, **setting, "questions": questions, "seconds": seconds})
    return found


def _foresee(candidates: int, functions: int, replicates: int) -> None:
    """The outcomes of four kinds about random steps of a grid, under a posterior that is as wide as the prior."""
    import torch

    from mavrl.envs import GridEnv
    from mavrl.envs.problem import TabularProblem
    from mavrl.feedback.base import FeedbackLikelihood
    from mavrl.feedback.demonstration import DemonstrationLikelihood
    from mavrl.feedback.preference import PreferenceLikelihood
    from mavrl.feedback.rating import RatingLikelihood
    from mavrl.feedback.stop import StopLikelihood
    from mavrl.model.beliefs import TabularBelief, outcomes_under
    from mavrl.types import Transitions

    world = TabularProblem.of_grid(GridEnv("trap"), 0.95).transitions
    mean = torch.zeros(replicates, 1, world.n_states)
    belief, generator = TabularBelief(mean, mean + 1, world, 0.95), torch.Generator().manual_seed(0)
    kinds: list[tuple[FeedbackLikelihood, tuple[int, ...]]] = [
        (PreferenceLikelihood(5.0), (2, 10)),
        (RatingLikelihood.from_counts(torch.ones(replicates, ANSWERS["rating"])), (10,)),
        (StopLikelihood(torch.ones(replicates), 0.1), (ANSWERS["stop"] - 1,)),
        (DemonstrationLikelihood(10.0), (STEPS,)),
    ]
    for likelihood, steps in kinds:
        shape = (replicates, candidates, *steps)
        state = torch.randint(world.n_states, shape, generator=generator)
        action = torch.randint(world.n_actions, shape, generator=generator)
        valid = torch.ones(shape, dtype=torch.bool)
        taken = Transitions(state, action, state, action, ~valid, valid)
        outcomes_under(belief, likelihood, taken, functions, list(range(replicates)))


def _rules() -> dict[str, Any]:
    from mavrl.feedback.queries import DisagreementQuery, InformationGainQuery, RandomQuery

    return {
        "random": RandomQuery(),
        "disagreement": DisagreementQuery(),
        "information_gain": InformationGainQuery(),
    }


def _fastest(function: Callable[[], object], repeats: int = 3) -> float:
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - started)
    return round(min(seconds), 3)


def quality(kind: str, alike: bool, questions: int, problems: int) -> dict[str, Any]:
    """Joint information in nats, a mean over problems, of batches that several rules choose.

    Rewards of 16 states are jointly normal; a candidate is the difference of two segments of three steps, or the mean
    of one. Where candidates are alike, every one resembles about four others.
    """
    import torch

    from mavrl.feedback.information import information_gain, joint_information_gain
    from mavrl.feedback.queries import Candidates
    from mavrl.types import Transitions

    torch.set_num_threads(1)
    states, count, double = 16, 60, torch.float64
    told: dict[str, float] = {}
    for seed in range(problems):
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int, generator: torch.Generator = generator) -> torch.Tensor:
            return torch.randn(*shape, generator=generator, dtype=double)

        known = normal(states // 3, states)
        root = torch.linalg.cholesky(torch.linalg.inv(torch.eye(states, dtype=double) + 0.3 * known.T @ known))
        visited = torch.randint(states, (count, 6), generator=generator)
        visits = torch.nn.functional.one_hot(visited, states).double()
        sign = -1.0 if kind == "preference" else 1.0
        features = (visits[:, :3].sum(1) + sign * visits[:, 3:].sum(1)) / 3
        if alike:
            which = torch.randint(count // 5, (count,), generator=generator)
            features = features[which] + 0.02 * normal(count, states)

        mean = normal(states)

        def outcomes(functions: int, features: torch.Tensor = features, **given: Any) -> torch.Tensor:
            value = (given["mean"] + given["normal"](functions, states) @ given["root"].T) @ features.T
            cuts = torch.tensor([0.0] if kind == "preference" else [-2.0, -0.7, 0.7, 2.0], dtype=double)
            below = torch.sigmoid(5 * cuts - 5 * value[..., None])
            edges = torch.nn.functional.pad(torch.nn.functional.pad(below, (1, 0)), (0, 1), value=1.0)
            return edges.diff(dim=-1).clamp(min=1e-12).log()[None]

        given = {"mean": mean, "normal": normal, "root": root}
        seen, others = outcomes(100, **given), outcomes(4000, **given)
        steps = torch.zeros(1, count, 6, dtype=torch.int64)
        valid = torch.ones_like(steps, dtype=torch.bool)
        pool = Candidates(kind, Transitions(steps, steps, steps, steps, ~valid, valid), seen)
        batches: dict[str, list[int]] = {}
        for name, rule in _rules().items():
            chosen = rule.choose({kind: pool}, {kind: questions}, math.inf, [generator])
            batches[name] = chosen[kind][0].tolist()
        batches["gain of each alone"] = information_gain(seen)[0].topk(questions).indices.tolist()
        batches["greedy, enumerated"] = _greedy(seen, questions)
        for name, batch in batches.items():
            gain = joint_information_gain([others[:, :, one] for one in batch]).item()
            told[name] = told.get(name, 0.0) + gain / problems
    nats = {name: round(value, 3) for name, value in told.items()}
    return {"what": "joint information", "kind": kind, "alike": alike, "questions": questions, "nats": nats}


def _greedy(outcomes: Any, questions: int) -> list[int]:
    """The greedy batch by the enumerated joint gain: BatchBALD without sampling."""
    import torch

    probs = outcomes[0].exp()  # (K, C, Y)
    each = torch.special.entr(probs).sum(-1).mean(0)
    table, batch = probs.new_ones(len(probs), 1), []  # p(answers so far | function)
    for _ in range(questions):
        joint = torch.einsum("kz,kcy->czy", table, probs) / len(probs)
        gain = torch.special.entr(joint).sum((1, 2)) - each
        gain[batch] = -1
        batch.append(int(gain.argmax()))
        table = (table[:, :, None] * probs[:, None, batch[-1]]).flatten(1)
    return batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quality", action="store_true")
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--functions", type=int, default=100)
    parser.add_argument("--replicates", type=int, default=1)
    parser.add_argument("--questions", type=int, default=16)
    parser.add_argument("--problems", type=int, default=12)
    arguments = parser.parse_args()
    if arguments.quality:
        for kind, questions in (("preference", 3), ("preference", 8), ("rating", 4)):
            for alike in (False, True):
                print(json.dumps(quality(kind, alike, questions, arguments.problems)), flush=True)
        return
    for line in speed(arguments.candidates, arguments.functions, arguments.replicates, arguments.questions):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
