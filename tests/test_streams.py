"""Streams are reproducible, independent, and addressed by nothing but their seed and purpose."""

import numpy as np
import pytest
import torch
from scipy import stats

from mavrl.streams import AntitheticNoise, StepNoise, numpy_stream, torch_stream

ADDRESSES = [
    (0, "labels"),
    (1, "labels"),
    (0, "segments"),
    (0, "labels", "train"),
    (0, "train", "labels"),
    (0, "labels", 1),
    (0, "labels", 2),
    (1, "labels", 1),
    (2**32 - 1, "labels"),
]


def from_numpy(address: tuple) -> np.ndarray:
    return numpy_stream(*address).random(1000)


def from_torch(address: tuple) -> np.ndarray:
    return torch.rand(1000, generator=torch_stream(*address), dtype=torch.float64).numpy()


@pytest.mark.parametrize("draw", [from_numpy, from_torch])
class TestStreams:
    def test_the_same_address_gives_the_same_numbers(self, draw):
        for address in ADDRESSES:
            np.testing.assert_array_equal(draw(address), draw(address))

    def test_different_addresses_give_unrelated_numbers(self, draw):
        values = np.stack([draw(address) for address in ADDRESSES])
        correlation = np.corrcoef(values) - np.eye(len(ADDRESSES))
        assert np.abs(correlation).max() < 0.15  # 4.7 standard deviations of 1000 independent pairs

    def test_values_are_uniform(self, draw):
        for address in ADDRESSES:
            assert stats.kstest(draw(address), "uniform").pvalue > 1e-4

    def test_global_generators_do_not_matter(self, draw):
        first = draw((0, "labels"))
        torch.manual_seed(123)
        np.random.seed(123)  # noqa: NPY002
        np.testing.assert_array_equal(draw((0, "labels")), first)

    def test_seed_zero_is_a_seed(self, draw):
        np.testing.assert_array_equal(draw((0, "labels")), draw((0, "labels")))
        assert not np.array_equal(draw((0, "labels")), draw((1, "labels")))


def test_streams_stay_the_same_across_versions():
    """Results are reproduced from seeds: a change of these numbers changes every result."""
    assert numpy_stream(0, "labels").integers(1_000_000, size=3).tolist() == [534513, 512959, 548907]
    assert torch.randint(1_000_000, (3,), generator=torch_stream(0, "labels")).tolist() == [575581, 118100, 316258]


class TestStepNoise:
    def test_the_same_call_gives_the_same_values(self):
        noise = StepNoise([(0, 0), (1, 0)], "train")
        first = noise.draw(7, 100)
        noise.draw(8, 50)
        assert torch.equal(noise.draw(7, 100), first)
        assert torch.equal(StepNoise([(0, 0), (1, 0)], "train").draw(7, 100), first)

    def test_a_model_draws_the_same_alone_and_beside_others(self):
        together = StepNoise([(3, 0), (4, 0), (4, 1)], "train").draw(5, 33)
        for r, model in enumerate([(3, 0), (4, 0), (4, 1)]):
            assert torch.equal(StepNoise([model], "train").draw(5, 33)[0], together[r])

    def test_seed_member_step_and_purpose_each_change_the_values(self):
        draws = torch.cat(
            [
                StepNoise([(0, 0), (1, 0), (0, 1), (1, 1)], "train").draw(0, 2000),
                StepNoise([(0, 0)], "train").draw(1, 2000),
                StepNoise([(0, 0)], "train").draw(2, 2000),
                StepNoise([(0, 0)], "train").draw(1_000_000, 2000),
                StepNoise([(0, 0)], "validation").draw(0, 2000),
                StepNoise([(0, 0)]).draw(0, 2000),
            ]
        )
        correlation = torch.corrcoef(draws) - torch.eye(len(draws))
        assert correlation.abs().max() < 0.11  # 4.9 standard deviations of 2000 independent pairs

    def test_values_are_standard_normal(self):
        draws = torch.cat([StepNoise([(0, 0), (1, 0)], "train").draw(step, 500).flatten() for step in range(100)])
        n = len(draws)
        assert abs(draws.mean().item()) < 4.5 / n**0.5
        assert abs(draws.var().item() - 1) < 4.5 * (2 / n) ** 0.5
        assert stats.kstest(draws.numpy(), "norm").pvalue > 1e-4

    def test_successive_steps_are_independent_at_every_position(self):
        """Seeds that follow one another must not give numbers that do."""
        noise = StepNoise([(0, 0)], "train")
        first_values = torch.stack([noise.draw(step, 4)[0] for step in range(3000)])
        lagged = torch.corrcoef(torch.cat([first_values[:-1], first_values[1:]], dim=1).T)
        assert (lagged - torch.eye(8)).abs().max() < 0.09  # 4.9 standard deviations
        for column in first_values.T:
            assert stats.kstest(column.numpy(), "norm").pvalue > 1e-4

    def test_shape_and_dtype(self):
        draws = StepNoise([(0, 0), (5, 2), (0, 1)], "train").draw(0, 7)
        assert draws.shape == (3, 7)
        assert draws.dtype == torch.float32


def test_antithetic_noise_is_the_same_with_the_other_sign_a_step_later():
    noise, plain = AntitheticNoise([(0, 0), (3, 1)], "train"), StepNoise([(0, 0), (3, 1)], "train")
    for step in range(4):
        assert noise.draw(2 * step, 5).equal(plain.draw(step, 5))
        assert noise.draw(2 * step + 1, 5).equal(-plain.draw(step, 5))
