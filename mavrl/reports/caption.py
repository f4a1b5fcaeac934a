"""Captions of tables: how the numbers came about, from the studies or runs themselves, and what they mean."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mavrl.reports.table import REFERENCE_SUBSETS, ResultTable
from mavrl.reports.words import counted, seeds_in_words, settings_in_words
from mavrl.search.allocation import spendable
from mavrl.search.record import StudyRecord

Cell = tuple[str, str]  # environment, subset of feedback
_BETTER = {"minimize": "lower", "maximize": "higher"}
_SIGNS = (
    "± is the standard error over seeds: their standard deviation over the root of their number.",
    "A dash is a cell without a result.",
)
_UNIFORM = "A normalized return of 0 is that of the uniform policy."
_ROWS = {
    "aggregate": "IQM: interquartile mean over environments and seeds, below it the 95 % interval of its stratified "
    "bootstrap; only where all these environments have a result.",
    "published": "Published: the figures of the fixed allocation, each the best trial of its own search; "
    "beside results with the same environment and counts only.",
}


def study_caption(
    study: str, records: Sequence[StudyRecord], confirmed: Mapping[str, Sequence[int]], outdated: Sequence[str] = ()
) -> list[str]:
    """Sentences about the study that a table is of.

    Args:
        study: name of the study.
        records: records of its cells.
        confirmed: seeds that the best trial was confirmed on, by name of the cell.
        outdated: names of the cells that were confirmed, but have found a better trial since.
    """
    finished = [record for record in records if record.best is not None]
    metric = _describe(records, lambda r: f"{r.metric} ({_BETTER[r.direction]} is better)")
    settings = _describe(records, _searched_settings)
    trained = [record for record in records if "policy.checkpoint" in record.fixed]
    return [
        f"Study {study}: the best trial of each cell in a search for {metric}.",
        f"{_division_sentence(records)} Settings searched: {settings}.",
        _trials_sentence(records),
        f"Searched on {_describe(records, lambda r: seeds_in_words(replicate_seeds(r.fixed)))}.",
        *_confirmation_sentences([record.name for record in finished], confirmed, outdated),
        *checkpoint_sentences({(r.env, r.modality): r.fixed["policy.checkpoint"] for r in trained}),
    ]


def runs_caption(root: str, protocols: Mapping[Cell, Mapping[str, Any]], seeds: Mapping[Cell, str]) -> list[str]:
    """Sentences about the plain runs that a table is of.

    Args:
        root: the folder of runs.
        protocols: protocol in metrics.json, by cell.
        seeds: seeds in words, by cell.
    """
    parts = ("objective", "q", "backup", "termination", "selection")
    how = {cell: settings_in_words({key: p[key] for key in parts if key in p}) for cell, p in protocols.items()}
    return [
        f"Completed runs in {root}, nothing searched.",
        f"Protocol: {cells_in_words(how)}.",
        f"Over {cells_in_words(seeds)}.",
        *checkpoint_sentences({cell: p["checkpoint"] for cell, p in protocols.items() if "policy" in p}),
    ]


def legend(table: ResultTable) -> list[str]:
    """Sentences about what stands in a table: its metrics, signs and kinds of rows."""
    metrics = [section.metric for section in table.sections]
    scales = [f"{m.words[:1].upper()}{m.words[1:]}: {m.remark}." for m in metrics if m.remark]
    uniform = [_UNIFORM] if any(metric.name == "normalized_return" for metric in metrics) else []
    kinds = {line.kind for section in table.sections for line in section.lines}
    absent = [subset for subset in REFERENCE_SUBSETS if subset not in table.columns]
    left_out = [f"Subsets without a result are left out: {', '.join(absent)}."] if absent else []
    rows = [sentence for kind, sentence in _ROWS.items() if kind in kinds]
    return [*scales, *uniform, *_SIGNS, *rows, *left_out]


def checkpoint_sentences(kept: Mapping[Cell, str]) -> list[str]:
    """The sentence that says which policy of a training was kept, where policies are trained.

    Args:
        kept: `policy.checkpoint`, by cell that trains policies.
    """
    if not kept:
        return []
    remark = "; true_reward: chosen on the true reward" if "true_reward" in kept.values() else ""
    return [f"policy.checkpoint={cells_in_words(kept)}{remark}."]


def cells_in_words(values: Mapping[Cell, str]) -> str:
    """Values of cells, equal ones once: "20 in a, b; 5 in c", or "20 (5 in c)" where more than half have 20.

    An environment whose cells all have the same value is named alone, otherwise with the subset.
    """
    of_env: dict[str, set[str]] = {}
    for (env, _), value in values.items():
        of_env.setdefault(env, set()).add(value)
    keys: dict[str, dict[str, None]] = {}
    for (env, modality), value in values.items():
        keys.setdefault(value or "none", {})[env if len(of_env[env]) == 1 else f"{env} {modality}"] = None
    number = sum(map(len, keys.values()))
    ruling = next((value for value, names in keys.items() if 2 * len(names) > number), None)
    exceptions = "; ".join(f"{value} in {', '.join(names)}" for value, names in keys.items() if value != ruling)
    if ruling is None:
        return exceptions
    return f"{ruling} ({exceptions})" if exceptions else ruling


def replicate_seeds(fixed: Mapping[str, Any]) -> list[int]:
    """The seeds of the replicates of each trial, from the settings that a study fixes."""
    return [fixed["seed"] + k for k in range(fixed["replicates"])]


def division_in_words(space: Mapping[str, Any]) -> str:
    """The division of the feedback by a search, from the description of its space."""
    if space.get("budget") is None:
        return "the counts are given"
    parts = [f"at most {cap} {kind}" for kind, cap in space.get("caps", {}).items()]
    spent = spendable(space["budget"], space.get("kinds", ()), space.get("caps", {}))
    parts += [f"{spent} are spent"] if "kinds" in space and spent < space["budget"] else []
    limited = f" ({', '.join(parts)})" if parts else ""
    return f"budget {space['budget']}{limited}"


def _describe(records: Sequence[StudyRecord], words: Callable[[StudyRecord], str]) -> str:
    return cells_in_words({(record.env, record.modality): words(record) for record in records})


def _searched_settings(record: StudyRecord) -> str:
    return ", ".join(name for name in record.space["parameters"] if not name.startswith("share."))


def _division_sentence(records: Sequence[StudyRecord]) -> str:
    divided = [record for record in records if record.budget is not None]
    if not divided:
        return f"The counts of feedback are given: {_counts_by_env(records)}."
    alone = {record.space["kinds"][0] for record in divided if len(record.space["kinds"]) == 1 and not record.caps}
    caps = sorted({
        f"at most {counted(n, kind)}{' beside other kinds' if kind in alone else ''}"
        for record in divided
        for kind, n in record.caps.items()
    })  # fmt: skip
    capped = "".join(f", {cap}" for cap in caps)
    less = [f"{r.spent} of {r.budget} in {r.env} {r.modality}" for r in divided if r.spent != r.budget]
    spent = f"Less than that is spent where the caps allow no more: {', '.join(less)}. " if less else ""
    return (
        f"Samples that it divides among the kinds of feedback: {_describe(divided, lambda r: str(r.budget))}{capped}. "
        f"{spent}The published counts are others, so published figures are not shown."
    )


def _counts_by_env(records: Sequence[StudyRecord]) -> str:
    """The given counts of feedback, of all kinds that occur in an environment."""
    counts: dict[str, dict[str, str]] = {}
    for record in records:
        for key, value in record.fixed.items():
            if key.startswith("feedback.") and key.endswith(".n_samples"):
                counts.setdefault(record.env, {})[key.split(".")[1]] = str(value)
    return _describe(records, lambda r: ", ".join(f"{n} {kind}" for kind, n in counts.get(r.env, {}).items()))


def _trials_sentence(records: Sequence[StudyRecord]) -> str:
    ended = [record.count("completed") + record.count("failed") for record in records]
    asked = [record.asked for record in records if record.asked is not None]
    cells = "its cell" if len(records) == 1 else f"each of {len(records)} cells"
    done = sum(record.asked is not None and e >= record.asked for record, e in zip(records, ended, strict=True))
    if done == len(records):
        text = f"All trials are finished: {_range(ended)} in {cells}"
    elif asked:
        text = f"Finished trials so far: {_range(ended)} of {_range(asked)} in {cells}; complete cells: {done}"
    else:
        text = f"Finished trials: {_range(ended)} in {cells}"
    failed = sum(record.count("failed") for record in records)
    return text + (f"; {counted(failed, 'trial')} failed." if failed else ".")


def _confirmation_sentences(
    names: Sequence[str], confirmed: Mapping[str, Sequence[int]], outdated: Sequence[str]
) -> list[str]:
    sentences = []
    if confirmed:
        words = " or ".join(sorted({seeds_in_words(seeds) for seeds in confirmed.values()}))
        sentences.append(
            f"Confirmed: {len(confirmed)} of {counted(len(names), 'cell')}, whose best trial was run again on {words}, "
            "which the search did not use."
        )
    if len(confirmed) < len(names):
        which = "All cells" if not confirmed else "The others"
        sentences.append(
            f"{which} are searched (†): the best trial on the seeds that it was chosen on, too good on average."
        )
    if outdated:
        sentences.append(
            f"Confirmed before a better trial was found, and to be confirmed again: {', '.join(outdated)}."
        )
    return sentences


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
