"""What a table's caption says about how its numbers came about, from the studies or runs themselves."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mavrl.search.record import StudyRecord

Cell = tuple[str, str]  # environment, subset of feedback
_BETTER = {"minimize": "lower", "maximize": "higher"}
MEASURES = (
    "Normalized return: 100 is optimal, 0 the uniform policy. EPIC distance: 0 is best.",
    "± is the standard error over seeds: their standard deviation over the root of their number.",
    "A dash is a cell without a result.",
)
INTERQUARTILE = (
    "IQM: interquartile mean over environments and seeds, below it the 95 % interval of its stratified bootstrap; "
    "only where all these environments have a result."
)
PUBLISHED = (
    "Published: the figures of the fixed allocation, each the best trial of its own search; "
    "beside results with the same environment and counts only."
)


def study_caption(
    study: str, records: Sequence[StudyRecord], confirmed: Mapping[str, Sequence[int]], outdated: Sequence[str] = ()
) -> list[str]:
    """Sentences about a study.

    Args:
        study: its name.
        records: its cells.
        confirmed: seeds that the best trial was confirmed on, by name of the cell.
        outdated: names of the cells that were confirmed, but have found a better trial since.
    """
    finished = [record for record in records if record.best is not None]
    metric = _over(records, lambda r: f"{r.metric} ({_BETTER[r.direction]} is better)")
    settings = _over(records, lambda r: ", ".join(n for n in r.space["parameters"] if not n.startswith("share.")))
    trained = [record for record in records if "policy.checkpoint" in record.fixed]
    return [
        f"Study {study}: the best trial of each cell in a search for {metric}. {_division(records)} "
        f"Settings searched: {settings}.",
        _trials(records),
        f"Searched on {_over(records, lambda r: seeds_in_words(seeds_of(r.fixed)))}.",
        *_confirmation([record.name for record in finished], confirmed, outdated),
        *checkpoints({(r.env, r.modality): r.fixed["policy.checkpoint"] for r in trained}),
    ]


def runs_caption(root: str, protocols: Mapping[Cell, Mapping[str, Any]], seeds: Mapping[Cell, str]) -> list[str]:
    """Sentences about plain runs.

    Args:
        root: the folder of runs.
        protocols: protocol in metrics.json, by cell.
        seeds: in words, by cell.
    """
    parts = ("objective", "q", "backup", "termination", "selection")
    how = {cell: ", ".join(f"{key} {p[key]}" for key in parts if key in p) for cell, p in protocols.items()}
    return [
        f"Completed runs in {root}, nothing searched. Protocol: {grouped(how)}.",
        f"Over {grouped(seeds)}.",
        *checkpoints({cell: p["checkpoint"] for cell, p in protocols.items() if "policy" in p}),
    ]


def checkpoints(kept: Mapping[Cell, str]) -> list[str]:
    """Which policy of a training was kept, where policies are trained."""
    if not kept:
        return []
    remark = "; true_reward: chosen on the true reward" if "true_reward" in kept.values() else ""
    return [f"policy.checkpoint={grouped(kept)}{remark}."]


def grouped(values: Mapping[Cell, str]) -> str:
    """Equal values once, with the cells that have them: "20 in a, b; 5 in c", or "20 (5 in c)" where 20 is the rule.

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


def seeds_of(fixed: Mapping[str, Any]) -> list[int]:
    """Of the replicates of a study's trials."""
    return [fixed["seed"] + k for k in range(fixed["replicates"])]


def seeds_in_words(seeds: Sequence[int]) -> str:
    """A range where they follow one another."""
    ordered = sorted(seeds)
    if len(ordered) == 1:
        return f"seed {ordered[0]}"
    if ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"{len(ordered)} seeds, {ordered[0]} to {ordered[-1]}"
    return f"{len(ordered)} seeds from {ordered[0]} to {ordered[-1]}"


def division_in_words(space: Mapping[str, Any]) -> str:
    """What of the feedback a search divides."""
    if space.get("budget") is None:
        return "the counts are given"
    caps = ", ".join(f"at most {cap} {kind}" for kind, cap in space.get("caps", {}).items())
    return f"budget {space['budget']}{f' ({caps})' if caps else ''}"


def _over(records: Sequence[StudyRecord], words: Callable[[StudyRecord], str]) -> str:
    return grouped({(record.env, record.modality): words(record) for record in records})


def _division(records: Sequence[StudyRecord]) -> str:
    divided = [record for record in records if record.budget is not None]
    if not divided:
        return f"The counts of feedback are given: {_given(records)}."
    caps = sorted({f"at most {n} {kind}s" for r in divided for kind, n in r.space.get("caps", {}).items()})
    capped = "".join(f", {cap}" for cap in caps)
    return (
        f"Samples that it divides among the kinds of feedback: {_over(divided, lambda r: str(r.budget))}{capped}. "
        "The published counts are others, so published figures are not shown."
    )


def _given(records: Sequence[StudyRecord]) -> str:
    """Counts of all kinds that occur in an environment."""
    counts: dict[str, dict[str, str]] = {}
    for record in records:
        for key, value in record.fixed.items():
            if key.startswith("feedback.") and key.endswith(".n_samples"):
                counts.setdefault(record.env, {})[key.split(".")[1]] = str(value)
    return _over(records, lambda r: ", ".join(f"{n} {kind}" for kind, n in counts.get(r.env, {}).items()))


def _trials(records: Sequence[StudyRecord]) -> str:
    ended = [record.count("completed") + record.count("failed") for record in records]
    asked = [record.asked for record in records if record.asked is not None]
    cells = "its cell" if len(records) == 1 else f"each of {len(records)} cells"
    done = sum(record.asked is not None and e >= record.asked for record, e in zip(records, ended, strict=True))
    if done == len(records):
        text = f"All trials are finished: {_span(ended)} in {cells}"
    elif asked:
        text = f"Finished trials so far: {_span(ended)} of {_span(asked)} in {cells}; complete cells: {done}"
    else:
        text = f"Finished trials: {_span(ended)} in {cells}"
    failed = sum(record.count("failed") for record in records)
    return text + (f"; {failed} trial{'s' * (failed > 1)} failed." if failed else ".")


def _confirmation(names: Sequence[str], confirmed: Mapping[str, Sequence[int]], outdated: Sequence[str]) -> list[str]:
    sentences = []
    if confirmed:
        words = " or ".join(sorted({seeds_in_words(of) for of in confirmed.values()}))
        sentences.append(
            f"Confirmed: {len(confirmed)} of {len(names)} cells, whose best trial was run again on {words}, "
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


def _span(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
