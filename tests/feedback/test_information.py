"""Information gain against enumerated tables of answers in plain Python."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from mavrl.feedback.information import (
    Overlap,
    disagreement,
    disagreement_of_actions,
    information_gain,
    joint_information_gain,
)


def log_probs(*shape: int, seed: int = 0, spread: float = 2.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (spread * torch.randn(*shape, generator=generator, dtype=torch.float64)).log_softmax(-1)


def entropy(probabilities: list[float]) -> float:
    return -sum(p * math.log(p) for p in probabilities if p > 0)


def by_enumeration(questions: list[list[list[float]]]) -> float:
    """I(answers; function) from the table of the joint answer; questions[i][k] is p(y_i | function k)."""
    functions = range(len(questions[0]))
    table = {
        answer: [math.prod(question[k][y] for question, y in zip(questions, answer, strict=True)) for k in functions]
        for answer in itertools.product(*(range(len(question[0])) for question in questions))
    }
    together = [sum(row) / len(row) for row in table.values()]
    return entropy(together) - sum(entropy([row[k] for row in table.values()]) for k in functions) / len(functions)


class TestInformationGain:
    @pytest.mark.parametrize("n_answers", [2, 5, 11])
    def test_enumeration(self, n_answers: int) -> None:
        outcomes = log_probs(2, 6, 4, n_answers)
        gain = information_gain(outcomes)
        for r in range(2):
            for c in range(4):
                expected = by_enumeration([outcomes[r, :, c].exp().tolist()])
                assert gain[r, c].item() == pytest.approx(expected, rel=1e-9)

    def test_by_hand(self) -> None:
        # p = 1 and p = 1/2: mean 3/4, H(3/4) = 0.5623351; half of ln 2 is 0.3465736. Certain and opposed: ln 2.
        outcomes = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]], [[0.5, 0.5], [0.0, 1.0]]]]).log()
        assert information_gain(outcomes)[0].tolist() == pytest.approx([0.5623351 - 0.3465736, math.log(2)])

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_functions_that_agree_give_exactly_nothing(self, dtype: torch.dtype) -> None:
        agreed = log_probs(1, 1, 500, 7).expand(1, 97, 500, 7).to(dtype)
        assert (information_gain(agreed) == 0).all()
        assert (disagreement(agreed) == 0).all()
        assert (disagreement_of_actions(agreed) == 0).all()

    def test_noise_tells_nothing(self) -> None:
        assert information_gain(torch.full((1, 100, 1, 2), 0.5).log()).item() == 0

    def test_never_negative_and_never_more_than_can_be_known(self) -> None:
        gain = information_gain(log_probs(3, 4, 200, 6, spread=20.0).float())
        assert gain.min() >= 0
        assert gain.max() <= math.log(4) + 1e-6

    def test_impossible_answers_count_nothing(self) -> None:
        outcomes = log_probs(1, 5, 3, 2)
        wider = torch.nn.functional.pad(outcomes, (1, 2), value=-math.inf)
        torch.testing.assert_close(information_gain(wider), information_gain(outcomes))


class TestJointInformationGain:
    @pytest.mark.parametrize("n_answers", [(2, 2), (2, 3), (2, 2, 2), (3, 2, 5)])
    def test_enumeration(self, n_answers: tuple[int, ...]) -> None:
        questions = [log_probs(2, 6, n, seed=seed) for seed, n in enumerate(n_answers)]
        gain = joint_information_gain(questions)
        for r in range(2):
            expected = by_enumeration([question[r].exp().tolist() for question in questions])
            assert gain[r].item() == pytest.approx(expected, rel=1e-9)

    def test_less_than_the_sum(self) -> None:
        questions = [log_probs(4, 6, 3, seed=seed) for seed in range(3)]
        alone = sum(joint_information_gain([question]) for question in questions)
        assert (joint_information_gain(questions) < alone).all()

    def test_a_certain_answer_tells_nothing_twice(self) -> None:
        certain = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]).log()
        assert joint_information_gain([certain, certain]).item() == pytest.approx(math.log(2))


class TestDisagreement:
    def test_variance_of_the_preference(self) -> None:
        outcomes = log_probs(2, 9, 4, 2)
        expected = outcomes[..., 1].exp().var(1, correction=0)
        torch.testing.assert_close(disagreement(outcomes), expected)
        torch.testing.assert_close(disagreement_of_actions(outcomes), expected)

    def test_variance_of_the_expected_rating(self) -> None:
        # Certain of rating 0, and of rating 4, of 5: 0 and 1 on the common scale, variance 1/4; of 1 and 2: 1/64.
        sure = torch.eye(5, dtype=torch.float64)
        outcomes = torch.stack([sure[[0, 1]], sure[[4, 2]]])[None].log()
        assert disagreement(outcomes)[0].tolist() == pytest.approx([1 / 4, 1 / 64])


def chosen_greedily(pool: Tensor, count: int) -> list[int]:
    """Candidates of a pool (K, C, Y), as the rule takes them."""
    overlap = Overlap({"it": pool}, {"it": torch.ones(pool.shape[1], dtype=torch.bool)})
    gain, taken = information_gain(pool[None])[0], []
    for _ in range(count):
        left = gain * overlap.share("it")
        left[taken] = -1
        taken.append(int(left.argmax()))
        overlap.add("it", taken[-1])
    return taken


def pairs(weights: Tensor, seed: int, n_functions: int = 60) -> Tensor:
    """Preferences about linear features of a standard normal reward: (K, C, 2)."""
    generator = torch.Generator().manual_seed(seed)
    reward = torch.randn(n_functions, weights.shape[1], generator=generator, dtype=torch.float64)
    logit = 2 * reward @ weights.T
    return torch.nn.functional.logsigmoid(torch.stack([-logit, logit], dim=-1))


class TestOverlap:
    def test_nothing_is_taken_before_the_first_choice(self) -> None:
        overlap = Overlap({"it": log_probs(8, 5, 3)}, {"it": torch.ones(5, dtype=torch.bool)})
        torch.testing.assert_close(overlap.share("it"), torch.ones(5, dtype=torch.float64))

    def test_what_is_left_of_two_gaussian_like_answers(self) -> None:
        """An answer with correlation rho to the reward leaves 1 - rho^2 of itself, and all of what is unrelated."""
        p = torch.tensor([0.8, 0.8, 0.2, 0.2], dtype=torch.float64)
        q = torch.tensor([0.7, 0.3, 0.7, 0.3], dtype=torch.float64)
        pool = torch.stack([torch.stack([1 - x, x], dim=-1) for x in (p, p, q)], dim=1).log()
        overlap = Overlap({"it": pool}, {"it": torch.ones(3, dtype=torch.bool)})
        overlap.add("it", 0)
        # Var(p) = 0.09 of 0.25 in all: rho^2 = 0.36.
        assert overlap.share("it").tolist() == pytest.approx([0.64, 0.64, 1.0], abs=1e-3)

    def test_order_of_choices_does_not_matter(self) -> None:
        pool = log_probs(12, 6, 4)
        first, second = (Overlap({"it": pool}, {"it": torch.ones(6, dtype=torch.bool)}) for _ in range(2))
        for number in (1, 4, 2):
            first.add("it", number)
        for number in (2, 1, 4):
            second.add("it", number)
        torch.testing.assert_close(first.share("it"), second.share("it"))

    def test_steps_are_as_many_questions(self) -> None:
        """An episode takes as much from others as its steps do one by one, and its padding takes nothing."""
        steps = log_probs(40, 3, 3)  # more answers than functions is another path
        other = log_probs(40, 5, 2, seed=1)
        valid = torch.tensor([[True, True, False]])
        together = Overlap({"d": steps[:, None], "p": other}, {"d": valid, "p": torch.ones(5, dtype=torch.bool)})
        together.add("d", 0)
        apart = Overlap(
            {"d": steps, "p": other}, {"d": torch.ones(3, dtype=torch.bool), "p": torch.ones(5, dtype=torch.bool)}
        )
        apart.add("d", 0)
        apart.add("d", 1)
        torch.testing.assert_close(together.share("p"), apart.share("p"))

    def test_long_episodes_are_the_same(self) -> None:
        steps, other = log_probs(5, 30, 4), log_probs(5, 6, 2, seed=1)
        real = torch.ones(30, dtype=torch.bool)
        together = Overlap({"d": steps[:, None], "p": other}, {"d": real[None], "p": real[:6]})
        together.add("d", 0)
        apart = Overlap({"d": steps, "p": other}, {"d": real, "p": real[:6]})
        for number in range(30):
            apart.add("d", number)
        torch.testing.assert_close(together.share("p"), apart.share("p"), rtol=1e-6, atol=1e-9)

    def test_certain_answers(self) -> None:
        sure = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.0, 1.0], [0.5, 0.5]]]).log()
        overlap = Overlap({"it": sure}, {"it": torch.ones(3, dtype=torch.bool)})
        overlap.add("it", 0)
        assert overlap.share("it").tolist() == pytest.approx([0, 0, 0], abs=1e-3)

    @pytest.mark.parametrize("count", [2, 3])
    @pytest.mark.parametrize("seed", range(8))
    def test_nearly_the_best_batch(self, count: int, seed: int) -> None:
        """Near that of the best of all batches, by brute force, where half of the candidates resemble others."""
        generator = torch.Generator().manual_seed(100 + seed)
        weights = torch.randn(6, 6, generator=generator, dtype=torch.float64)
        weights = torch.cat([weights, weights + 0.05 * torch.randn(6, 6, generator=generator, dtype=torch.float64)])
        pool = pairs(weights, seed)

        def gain(batch: tuple[int, ...]) -> float:
            return joint_information_gain([pool[None, :, c] for c in batch]).item()

        best = max(map(gain, itertools.combinations(range(12), count)))
        greedy = chosen_greedily(pool, count)
        assert len(set(greedy)) == count
        assert gain(tuple(greedy)) > 0.93 * best

    def test_better_than_the_best_alone(self) -> None:
        """The candidates of the largest gains are one question ten times over; together they tell less."""
        generator = torch.Generator().manual_seed(5)
        weights = torch.randn(10, 8, generator=generator, dtype=torch.float64)
        weights = torch.cat([2 * weights[:1].repeat(6, 1), weights])
        pool = pairs(weights, 3)
        alone = information_gain(pool[None])[0].topk(4).indices.tolist()
        greedy = chosen_greedily(pool, 4)
        together = [joint_information_gain([pool[None, :, c] for c in batch]).item() for batch in (greedy, alone)]
        assert together[0] > 1.3 * together[1]
