"""What the keys of the sweepers and launchers may be, by the class that they are settings of.

Nothing here imports Hydra's plugins: those that are not used need not be installed.
"""

import re
from typing import Any

from mavrl.configuration.rule import (
    MAPPING,
    PATH,
    TEXT,
    Rule,
    if_there,
    list_of,
    number,
    one_of,
    optional,
    whole,
)

_BOOLEAN = one_of(True, False)
_WORDS = optional(list_of(TEXT, "[a, b]"))
_MEMORY = Rule(
    lambda value: (
        whole(1, 10**9).holds(value) or (isinstance(value, str) and re.fullmatch(r"\d+[KMGT]?", value) is not None)
    ),
    "must be a size such as 2G",
)
_OTHER_SAMPLER = Rule(
    lambda value: isinstance(value, dict) and isinstance(value.get("_target_"), str),
    "must be an option of hydra/sweeper/sampler, such as tpe",
)

_LAUNCHERS: dict[str, dict[str, Rule]] = {
    "mavrl.sweep.launchers.local.LocalLauncher": {"workers": optional(whole(1, 1024))},
    "mavrl.sweep.launchers.slurm.SlurmLauncher": {
        "submitit_folder": PATH,
        "name": TEXT,
        "timeout_min": whole(1, 10_000_000),
        "max_num_timeout": whole(0, 100_000),
        "signal_delay_s": whole(1, 86_400),
        "array_parallelism": whole(1, 100_000),
        "stderr_to_stdout": _BOOLEAN,
        "setup": _WORDS,
        "srun_args": _WORDS,
        "additional_parameters": MAPPING,
        "nodes": whole(1, 10_000),
        "tasks_per_node": optional(whole(1, 10_000)),
        "cpus_per_task": optional(whole(1, 10_000)),
        "mem_gb": optional(number(0, open_low=True)),
        "mem_per_cpu": optional(_MEMORY),
        **{
            name: optional(TEXT)
            for name in ("partition", "account", "qos", "constraint", "exclude", "gres", "comment", "python")
        },
        # Keys of the plugin that conf/ does not have.
        **{name: if_there(optional(whole(1, 10_000))) for name in ("gpus_per_node", "cpus_per_gpu", "gpus_per_task")},
        "mem_per_gpu": if_there(optional(_MEMORY)),
        "use_srun": if_there(_BOOLEAN),
    },
}
_SWEEPERS: dict[str, dict[str, Rule]] = {
    "mavrl.sweep.runs.RunsSweeper": {},
    "mavrl.sweep.search.SearchSweeper": {"sampler": _OTHER_SAMPLER},
}
_SAMPLERS: dict[str, dict[str, Rule]] = {
    "optuna.samplers.TPESampler": {
        "n_startup_trials": whole(0, 1_000_000),
        "n_ei_candidates": whole(1, 1_000_000),
        "multivariate": _BOOLEAN,
        "group": _BOOLEAN,
        "constant_liar": _BOOLEAN,
        "seed": optional(whole(0, 2**31 - 1)),
    }
}


def sweeping_rules(hydra: dict[str, Any]) -> dict[str, Rule]:
    """The rules of hydra.launcher and hydra.sweeper, where they are this package's.

    Args:
        hydra: with the settings of both, as plain values.
    """
    found: dict[str, Rule] = {}
    for part, table in (("launcher", _LAUNCHERS), ("sweeper", _SWEEPERS)):
        own = table.get((hydra.get(part) or {}).get("_target_", ""), {})
        found |= {f"hydra.{part}.{name}": rule for name, rule in own.items()}
    sampler = (hydra.get("sweeper") or {}).get("sampler")
    if "hydra.sweeper.sampler" in found and isinstance(sampler, dict) and sampler.get("_target_") in _SAMPLERS:
        del found["hydra.sweeper.sampler"]
        found |= {f"hydra.sweeper.sampler.{name}": rule for name, rule in _SAMPLERS[sampler["_target_"]].items()}
    return found
