"""Cells: the pairs of environment and subset of feedback that a study consists of."""

from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

_AXES = ("env", "modality")


def with_cells(config: DictConfig, arguments: Sequence[str]) -> list[str]:
    """Add the configured `cells` to a command line's arguments, for the axes that these do not choose."""
    given = {override.key_or_group for override in OverridesParser.create().parse_overrides(list(arguments))}
    cells = {axis: config.cells[axis] for axis in _AXES if config.cells[axis] and axis not in given}
    return [*(f"{axis}={','.join(options)}" for axis, options in cells.items()), *arguments]


def split_cells(overrides: Sequence[Override]) -> tuple[list[Override], list[Override]]:
    """Divide overrides into those that choose environments and subsets of feedback, and all others."""
    axes = [override for override in overrides if override.key_or_group in _AXES]
    return axes, [override for override in overrides if override.key_or_group not in _AXES]


def chosen_option(arguments: Sequence[str], axis: str) -> str | None:
    """The option of env or modality that a command line's arguments choose; None when they choose none."""
    overrides = OverridesParser.create().parse_overrides(list(arguments))
    return next((str(override.value()) for override in overrides if override.key_or_group == axis), None)
