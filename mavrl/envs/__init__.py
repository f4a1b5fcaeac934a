"""Environments. Importing this package registers the grids with Gymnasium as mavrl/GridTrap-v0 and so on."""

import gymnasium as gym

from mavrl.envs.grid import GridEnv
from mavrl.envs.layouts import LAYOUTS

for _layout in LAYOUTS:
    gym.register(
        id=f"mavrl/Grid{''.join(word.capitalize() for word in _layout.split('_'))}-v0",
        entry_point="mavrl.envs.grid:GridEnv",
        kwargs={"layout": _layout},
    )

__all__ = ["LAYOUTS", "GridEnv"]
