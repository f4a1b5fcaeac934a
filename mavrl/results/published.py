"""The published figures (ICML 2026): best search trial of each cell, with its tuned settings."""

import json
from functools import cache
from importlib import resources
from typing import Any


@cache
def published_cells() -> dict[tuple[str, str], dict[str, Any]]:
    """Cells by environment and modality, with normalized_return, stderr, n_seeds, epic_distance and tuned settings."""
    text = resources.files("mavrl.results").joinpath("published_fixed_allocation.json").read_text()
    return {(cell["env"], cell["modality"]): cell for cell in json.loads(text)["cells"]}


def published_overrides(env: str, modality: str) -> list[str]:
    """Configuration overrides for the reference protocol with the cell's tuned settings."""
    tuned = published_cells()[env, modality]["tuned"]
    model = ("bellman_weight", "kl_weight", "hidden_sizes", "importance_weights")
    return ["experiment=reference"] + [
        f"{'model' if key in model else 'optim'}.{key}={json.dumps(value)}" for key, value in tuned.items()
    ]
