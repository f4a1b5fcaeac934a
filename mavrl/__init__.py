"""MAVRL: one reward function, with its uncertainty, from preferences, demonstrations, ratings and stops."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mavrl.agents.learned_reward import LearnedReward, LearnedVectorReward
    from mavrl.folder.folder import FeedbackFolder
    from mavrl.learning import learn
    from mavrl.model.loading import load_reward_model
    from mavrl.model.reward_model import RewardModel

__all__ = [
    "FeedbackFolder",
    "LearnedReward",
    "LearnedVectorReward",
    "RewardModel",
    "__version__",
    "learn",
    "load_reward_model",
]

_HOMES = {
    "FeedbackFolder": "mavrl.folder.folder",
    "LearnedReward": "mavrl.agents.learned_reward",
    "LearnedVectorReward": "mavrl.agents.learned_reward",
    "RewardModel": "mavrl.model.reward_model",
    "learn": "mavrl.learning",
    "load_reward_model": "mavrl.model.loading",
}


def __getattr__(name: str) -> Any:
    """Import on first use: `import mavrl` alone must not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mavrl' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
