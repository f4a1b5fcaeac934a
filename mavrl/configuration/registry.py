"""What can be extended by name: kinds of feedback and families of environments, of this package and of others.

Nothing here imports torch: what an entry names is imported when it is needed.
"""

import importlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from itertools import combinations
from typing import Any

from mavrl.configuration.rule import Rule, if_there, number, one_of, optional, whole
from mavrl.errors import ConfigurationError

_PLUGINS = "mavrl"  # group of entry points
_VARIABLE = "MAVRL_PLUGINS"  # modules to import besides, separated by commas


@dataclass(frozen=True)
class Kind:
    """A kind of feedback.

    Args:
        name: of the kind, which is that of its file in conf/feedback/.
        letter: that stands for it in names of subsets, such as p in pdrs.
        rules: of its own keys, below feedback.<name>.
        segments: that one sample is about; 0 where it is a whole episode.
    """

    name: str
    letter: str
    rules: Mapping[str, Rule] = field(default_factory=dict)
    segments: int = 1


@dataclass(frozen=True)
class FamilyEntry:
    """A family of environments: those that are simulated, learned about, acted in and judged in the same way.

    Args:
        name: as env.family has it.
        title: of several of its environments, in tables.
        target: the subclass of `mavrl.families.base.Family`, as "module:class".
        rules: module with `rules(config)`, the rules of the family's own keys, and `check(config)`, which refuses what
            does not fit together. Where results depend on code that is neither this package's nor the family's, it has
            `code(env)` too: versions and digests by name, from the `env` of a run. It should not import torch.
        judged: what its learned rewards are judged by: "tabular", with all states known, "episodic", by episodes of a
            policy, or "recorded", by recorded transitions alone; it chooses the metrics (`mavrl.metrics`).
        result_keys: top-level keys of the configuration that make a result in this family, but not in all.
    """

    name: str
    title: str
    target: str
    rules: str
    judged: str
    result_keys: tuple[str, ...] = ()


KINDS: dict[str, Kind] = {}
FAMILIES: dict[str, FamilyEntry] = {}
TASKS: dict[str, str] = {}  # what task.name stands for: a function of the configuration, as "module:function"


def register(entry: Kind | FamilyEntry) -> None:
    """Make a kind of feedback or a family of environments known.

    Raises:
        ValueError: another entry has the name, or the letter, already.
    """
    entries: dict[str, Any] = KINDS if isinstance(entry, Kind) else FAMILIES
    if entries.setdefault(entry.name, entry) != entry:
        raise ValueError(f"{entry.name} is registered already")
    if isinstance(entry, Kind) and [kind.letter for kind in KINDS.values()].count(entry.letter) > 1:
        del KINDS[entry.name]
        raise ValueError(f"the letter {entry.letter} of {entry.name} is that of another kind")


def resolve(target: str) -> Any:
    """The object that "module:name" names."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def subsets() -> Iterator[tuple[str, list[str]]]:
    """Name and kinds of every subset of the kinds of feedback, such as ("pd", ["preference", "demonstration"])."""
    for size in range(1, len(KINDS) + 1):
        for kinds in combinations(KINDS.values(), size):
            yield "".join(kind.letter for kind in kinds), [kind.name for kind in kinds]


def in_order(subset: str) -> str:
    """The letters of a subset that are those of kinds, each once and in the order of the kinds: ps of sp."""
    return "".join(kind.letter for kind in KINDS.values() if kind.letter in subset.lower())


def kinds_of(subset: str) -> list[str]:
    """The kinds that the letters of a subset stand for."""
    return [kind.name for kind in KINDS.values() if kind.letter in subset]


# Others' extensions --------------------------------------------------------------------------------------------------


def load_plugins() -> None:
    """Import the modules that extend this package, which register what they add.

    They are the entry points of the group `mavrl` of installed packages, and those that MAVRL_PLUGINS names.

    Raises:
        ConfigurationError: one of them cannot be imported.
    """
    for module in _plugins():
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ConfigurationError(_VARIABLE, module, f"cannot be imported: {error}") from error


def trusted_targets() -> list[str]:
    """Patterns of what `_target_` in a configuration may name: this package, and those that extend it."""
    return ["mavrl.*", *dict.fromkeys(f"{module.partition('.')[0]}.*" for module in _plugins())]


def _plugins() -> list[str]:
    named = [name.strip() for name in os.environ.get(_VARIABLE, "").split(",") if name.strip()]
    return list(dict.fromkeys([*_installed(), *named]))


@cache
def _installed() -> tuple[str, ...]:
    """The modules that installed packages declare. To look for them takes as long as to check a configuration."""
    return tuple(point.module for point in metadata.entry_points(group=_PLUGINS))


# This package's own --------------------------------------------------------------------------------------------------

_ANNOTATORS = {"annotators": if_there(one_of("learned", "pooled"))}
_RATIONALITIES = {"teacher_rationality": number(0), "model_rationality": number(0)}

register(Kind("preference", "p", _RATIONALITIES | _ANNOTATORS, segments=2))
_MINIMUM_RETURN = {"minimum_return": optional(number(-float("inf")))}
register(Kind("demonstration", "d", {**_RATIONALITIES, **_MINIMUM_RETURN}, segments=0))
_NOISE = {"teacher_noise": if_there(number(0, open_low=True))}
register(Kind("rating", "r", {"n_categories": whole(2, 100), **_NOISE, **_ANNOTATORS}))
register(
    Kind(
        "stop",
        "s",
        {
            "model_scale": if_there(optional(number(0, open_low=True))),
            "discount": number(0, 1),
            "percentile": number(0, 100),
            "scale": number(0, open_low=True),
            "lapse": number(0, 1, open_low=True),
            **_ANNOTATORS,
        },
    )
)
register(FamilyEntry("grid", "grids", "mavrl.families.grid.family:Grid", "mavrl.families.grid.rules", "tabular"))
register(
    FamilyEntry(
        "control",
        "control envs",
        "mavrl.families.control.family:Control",
        "mavrl.families.control.rules",
        "episodic",
        ("policy", "evaluation"),
    )
)
register(
    FamilyEntry(
        "recorded",
        "recorded behaviour",
        "mavrl.families.recorded.family:Recorded",
        "mavrl.families.recorded.rules",
        "recorded",
    )
)

TASKS |= {
    "train": "mavrl.tasks.train:train",
    "data": "mavrl.tasks.data:data",
    "simulate": "mavrl.tasks.simulate:simulate",
    "collect": "mavrl.tasks.collect:collect",
    "import": "mavrl.tasks.importing:import_feedback",
    "evaluate": "mavrl.tasks.evaluate:evaluate",
    "transfer": "mavrl.tasks.transfer:transfer",
    "average": "mavrl.tasks.average:average",
    "expert": "mavrl.tasks.expert:expert",
    "normalize": "mavrl.tasks.normalize:normalize",
    "status": "mavrl.tasks.results:status",
    "list": "mavrl.tasks.results:list_runs",
    "show": "mavrl.tasks.results:show",
    "export": "mavrl.tasks.results:export",
    "select_best": "mavrl.tasks.results:select_best",
    "purge": "mavrl.tasks.results:purge",
    "study": "mavrl.tasks.study:study",
    "table": "mavrl.tasks.table:table",
    "report": "mavrl.tasks.report:report",
    "plot": "mavrl.tasks.plot:plot",
    "retry": "mavrl.tasks.train:train",  # of each run that -m launches
    "confirm": "mavrl.tasks.train:train",
    "search_worker": "mavrl.sweep.search_workers:search_worker",
}

OWN_KINDS = tuple(KINDS)  # those that conf/config.yaml puts into every configuration
OWN_FAMILIES = tuple(FAMILIES)
OWN_TASKS = tuple(TASKS)
