"""Independent random streams, addressed by a seed and words that say what the stream is for.

A stream depends on nothing but its address. Replicate k of a run with seed s asks for seed s + k, and so draws what a
single run with seed s + k draws; a resumed run asks for the step that it continues at and needs no saved state.
"""

import zlib

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

_MASK = (1 << 64) - 1


def _entropy(seed: int, purpose: tuple[str | int, ...]) -> np.random.SeedSequence:
    words = [zlib.crc32(word.encode()) if isinstance(word, str) else word for word in purpose]
    return np.random.SeedSequence([seed, *words])


def numpy_stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """A NumPy generator for this seed and purpose."""
    return np.random.Generator(np.random.SFC64(_entropy(seed, purpose)))


def torch_stream(seed: int, *purpose: str | int) -> torch.Generator:
    """A torch generator for this seed and purpose."""
    return torch.Generator().manual_seed(_stream_key(seed, *purpose))


def _stream_key(seed: int, *purpose: str | int) -> int:
    return int(_entropy(seed, purpose).generate_state(1, np.uint64)[0]) >> 1


class StepNoise:
    """Standard normal noise for each model and training step, without state between steps.

    Args:
        seeds: seed and member of each of the R models.
        purpose: words that set this noise apart from other streams of the same seeds.
    """

    def __init__(self, seeds: list[tuple[int, int]], *purpose: str | int) -> None:
        self._keys = [_stream_key(seed, "noise", member, *purpose) for seed, member in seeds]
        self._generator = torch.Generator("cpu")  # a generator of another device would draw other numbers

    def draw(self, step: int, count: int) -> Float[Tensor, "R N"]:
        """`count` values per model for training step `step`, on the CPU; the same call returns the same values."""
        rows = []
        for key in self._keys:
            self._generator.manual_seed(_mix(key + step) >> 1)
            rows.append(torch.randn(count, generator=self._generator, device="cpu"))
        return torch.stack(rows)


class AntitheticNoise(StepNoise):
    """The same, where every odd step has the noise of the step before with the other sign.

    What is odd in the noise of a gradient then all but cancels in an optimiser that remembers the step before.
    """

    def draw(self, step: int, count: int) -> Float[Tensor, "R N"]:
        drawn = super().draw(step // 2, count)
        return -drawn if step % 2 else drawn


def _mix(value: int) -> int:
    """The splitmix64 finalizer: neighbouring inputs give unrelated outputs."""
    value = (value * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def model_streams(models: list[tuple[int, int]], purpose: str) -> list[torch.Generator]:
    """A source of initial weights for each model, given its seed and member."""
    return [torch_stream(seed, purpose, member) for seed, member in models]
