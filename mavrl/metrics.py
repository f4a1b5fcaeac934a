"""Which way each metric is better."""

from typing import Literal

Direction = Literal["maximize", "minimize"]

METRIC_DIRECTIONS: dict[str, Direction] = {
    "normalized_return": "maximize",
    "mean_return": "maximize",
    "discounted_value": "maximize",
    "regret": "minimize",
    "bound": "maximize",
    "epic_distance": "minimize",
    "spearman": "maximize",
}
