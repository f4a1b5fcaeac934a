"""What runs of one environment and subset of feedback differ in besides seeds: what tells them apart in a listing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mavrl.configuration.identity import settings_but_seeds
from mavrl.configuration.plain import flatten, written

_MOST_SHOWN = 5  # settings of a run

Cell = tuple[str, str]  # environment, subset of feedback


def plain_settings(config: Mapping[str, Any]) -> dict[str, str]:
    """The settings in a run's config.json as a command line has them, without those in which repetitions differ."""
    settings = flatten(settings_but_seeds(config))
    return {key: written(value) for key, value in settings.items() if not key.endswith("_target_")}


def varying_settings(settings: Sequence[Mapping[str, str]], cells: Sequence[Cell]) -> list[dict[str, str]]:
    """The settings of each run that not all runs of its cell share.

    Args:
        settings: those of each run, by key; a run of which nothing is known has none, and is compared with nobody.
        cells: environment and subset of feedback of each run.
    """
    numbers = Counter(cell for cell, own in zip(cells, settings, strict=True) if own)
    counted: dict[Cell, Counter[tuple[str, str]]] = {cell: Counter() for cell in cells}
    for cell, own in zip(cells, settings, strict=True):
        counted[cell].update(own.items())
    return [
        {key: value for key, value in own.items() if counted[cell][key, value] < numbers[cell]}
        for cell, own in zip(cells, settings, strict=True)
    ]


def settings_as_overrides(settings: Mapping[str, str]) -> str:
    """Settings such as "optim.lr=0.01 model.q=learned", and how many more there are than can be shown."""
    shown = [f"{key}={value}" for key, value in list(settings.items())[:_MOST_SHOWN]]
    return " ".join([*shown, *([f"+{len(settings) - _MOST_SHOWN} more"] if len(settings) > _MOST_SHOWN else [])])
