"""The page of one run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mavrl.configuration.identity import settings_of
from mavrl.metrics import METRICS, metric_text, words_of
from mavrl.reports.annotators import annotator_tables
from mavrl.reports.listing import run_facts as facts_of_run
from mavrl.reports.listing import size
from mavrl.reports.page.content import Entry, Grid, Page, Section, grid_of_text
from mavrl.reports.page.links import link_to, linked
from mavrl.reports.page.pictures import pictures_in
from mavrl.reports.plain_table import Column, TextTable
from mavrl.reports.run_tables import DIGITS, held_out_rows, held_out_sentences, no_better_than_constant, run_facts
from mavrl.reports.words import counted, numbers_in_words, rounded, seeds_in_words, with_error
from mavrl.secrets import masked, masked_text
from mavrl.statistics import mean_interval
from mavrl.storage.index import Run

_BETTER = {"maximize": "higher", "minimize": "lower", None: ""}
_OF_LOGGERS = ("wandb", "tensorboard")
_UNFINISHED = {
    "running": "This run is still at work; there is no result yet.",
    "interrupted": "This run was cut off, and has no result. The same command goes on with it.",
    "failed": "This run failed, and has no result.",
}
_INTERVALS = (
    "The standard error is over replicates, which differ in their seeds. The interval is Student's: if all was done "
    "again with other seeds, many times, 95 % of such intervals would hold the mean over all seeds."
)
_HELD_OUT = (
    "Each label was predicted by models that had not seen its episode. Numbers are log-likelihoods in nats a label; "
    "the constant knows only how often each answer was given, and a gain above 0 is better than that."
)


def run_page(run: Run, base: Path, made: str) -> Page:
    """The page of a run. One that is not completed is shown as such, without results.

    Args:
        run: that it is about.
        base: folder of the page, which links are relative to.
        made: when and by what the page is made.
    """
    metrics = run.metrics
    env, modality = (metrics.get(group) or run.choice(group) or "?" for group in ("env", "modality"))
    sections = [
        *(_result_sections(metrics) if metrics else []),
        Section("Figures", pictures=pictures_in(run.path / "figures", base)),
        Section("How it was run", facts=_facts(run)),
        Section("Configuration", ["What makes the result, every value explicitly:"], text=_configuration(run)),
        Section("Files", grids=[_files(run, base)]),
    ]
    return Page(f"{env} {modality}", _summary(run), sections, run.state, _warnings(run), made)


def _summary(run: Run) -> list[str]:
    metrics = run.metrics
    if not metrics:
        return []
    counts = ", ".join(counted(number, kind) for kind, number in metrics["n_samples"].items() if number)
    replicates = metrics["replicates"]
    seeds = seeds_in_words(range(metrics["seed"], metrics["seed"] + replicates))
    learned = f"A reward for {metrics['env']} was learned from {counts or 'no feedback'}, once for each of {seeds}."
    if replicates == 1:
        learned = f"A reward for {metrics['env']} was learned from {counts or 'no feedback'}, with {seeds}."
    told = [name for name in ("normalized_return", "mean_return", "spearman") if name in metrics["mean"]]
    if not told:
        return [learned]
    metric = METRICS[told[0]]
    found = with_error(metrics["mean"][told[0]], metrics["stderr"].get(told[0]), metric.digits)
    interval = _interval(metrics, told[0], metric.digits)
    between = f", with a 95 % interval of {interval}" if interval else ""
    return [f"{learned} Its {metric.words} is {found}{f' ({metric.remark})' if metric.remark else ''}{between}."]


def _warnings(run: Run) -> list[str]:
    if run.state in _UNFINISHED:
        error = masked_text(str(run.status.get("error", "")))
        return [_UNFINISHED[run.state], *([error] if error else [])]
    if not run.metrics:
        return ["The results of this run are damaged or missing."]
    failed, worse = run.metrics.get("failed_replicates"), no_better_than_constant(run.metrics.get("held_out", {}))
    warnings = [f"Held-out labels: {worse}."] if worse else []
    return warnings + ([f"Replicates that failed and are left out of the means: {failed}."] if failed else [])


def _result_sections(metrics: Mapping[str, Any]) -> list[Section]:
    held_out, rounds = metrics.get("held_out", {}), metrics.get("rounds", [])
    kinds = held_out.get("kinds", {})
    numbers = [Column(name, right=True) for name in ("labels", "model", "constant", "gain")]
    judged = [grid_of_text(TextTable([Column("kind"), *numbers], held_out_rows(kinds)))] if kinds else []
    annotators = [grid_of_text(table) for table in annotator_tables(metrics.get("annotators", []))]
    others = numbers_in_words(metrics.get("comparison", {}))
    return [
        Section(
            "Results",
            [_INTERVALS] if metrics["stderr"] else [],
            grids=[_metrics_grid(metrics)],
            notes=[f"Normalized return of others, to see it beside: {others}."] if others else [],
        ),
        Section(
            "Held-out labels",
            [
                *([_HELD_OUT] if kinds else []),
                *(f"{each[:1].upper()}{each[1:]}." for each in held_out_sentences(held_out)),
            ],
            grids=judged,
        ),
        Section("Annotators", grids=annotators if metrics.get("annotators") else []),
        Section("Rounds of questions", grids=[_rounds_grid(rounds)] if rounds else []),
        Section("Each replicate", grids=[_replicates_grid(metrics)] if metrics["replicates"] > 1 else []),
    ]


def _metrics_grid(metrics: Mapping[str, Any]) -> Grid:
    columns = [Column("metric"), *(Column(name, right=True) for name in ("mean", "standard error", "95 % interval"))]
    rows = []
    for name, mean in metrics["mean"].items():
        metric, error = METRICS.get(name), metrics["stderr"].get(name)
        rows.append(
            [
                metric.label if metric else words_of(name),
                rounded(mean, DIGITS),
                "" if error is None else rounded(error, DIGITS),
                _interval(metrics, name, DIGITS),
                _BETTER[metric.direction] if metric else "",
                metric.unit if metric and metric.unit != "none" else "",
            ]
        )
    return grid_of_text(TextTable([*columns, Column("better is"), Column("unit")], rows))


def _interval(metrics: Mapping[str, Any], name: str, digits: int) -> str:
    count = metrics["replicates"] - len(metrics.get("failed_replicates", []))
    ends = mean_interval(metrics["mean"][name], metrics["stderr"].get(name), count)
    return "" if ends is None else " to ".join(rounded(end, digits) for end in ends)


def _replicates_grid(metrics: Mapping[str, Any]) -> Grid:
    names, failed = list(metrics["final"]), metrics.get("failed_replicates", [])
    columns = [Column("seed", right=True), *(Column(words_of(name), right=True) for name in names), Column("")]
    rows = [
        [
            str(metrics["seed"] + k),
            *(metric_text(metrics["final"][name][k]) for name in names),
            "failed" if k in failed else "",
        ]
        for k in range(metrics["replicates"])
        if all(k < len(metrics["final"][name]) for name in names)
    ]
    return grid_of_text(TextTable(columns, rows))


def _rounds_grid(rounds: list[Mapping[str, float]]) -> Grid:
    names = list(dict.fromkeys(name for row in rounds for name in row))
    rows = [[f"{row[name]:.4g}" if name in row else "" for name in names] for row in rounds]
    return grid_of_text(TextTable([Column(name.replace("_", " "), right=True) for name in names], rows))


def _facts(run: Run) -> dict[str, str | Entry]:
    results = run_facts(run.metrics) if run.metrics else {}
    facts = {**results, **facts_of_run(run)}
    hidden = ("others' returns", "normalized return of others", "error")  # said already
    known = {name: masked_text(value) for name, value in facts.items() if name not in hidden}
    versions = {name: run.metrics[name] for name in ("config_hash", "version") if name in run.metrics}
    return {**known, **{name.replace("_", " "): value for name, value in versions.items()}}


def _configuration(run: Run) -> str:
    settings = settings_of(run.config)
    return yaml.safe_dump(masked(settings), sort_keys=False, allow_unicode=True) if settings else ""


def _files(run: Run, base: Path) -> Grid:
    """The files of a run, two levels deep; what is deeper, or a logger's own, as its folder."""
    sizes: dict[Path, int] = {}
    for path in sorted(path for path in run.path.rglob("*") if path.is_file() and path.name != ".lock"):
        parts = path.relative_to(run.path).parts
        depth = 1 if parts[0] in _OF_LOGGERS else 2
        shown = run.path.joinpath(*parts[:depth])
        sizes[shown] = sizes.get(shown, 0) + path.stat().st_size
    names = {path: path.relative_to(run.path).as_posix() + ("/" if path.is_dir() else "") for path in sizes}
    rows = [[linked(path, base, names[path]), Entry(size(n_bytes))] for path, n_bytes in sizes.items()]
    return Grid([Column("file"), Column("size", right=True)], rows, sortable=False)


def link_of_run(path: Path, base: Path) -> str:
    """The address of a run's own page, or of its folder where it has none."""
    page = path / "report.html"
    return link_to(page if page.is_file() else path, base)
