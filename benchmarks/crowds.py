"""Annotators who differ: told apart, pooled, and only the good ones.

    python benchmarks/crowds.py                              grid_trap, preferences, ratings, and both; seeds 700 to 719
    python benchmarks/crowds.py --seeds 700-704 --modalities s
    python benchmarks/crowds.py env.termination=success      any configuration override

Three crowds of 12 to 15: good ones with those who do not look, with those who answer the wrong way round, and with
both; raters use scales of 3, 5, 7 and 10 steps. "good" is the same crowd without the others, and without their labels:
what could be learned if the bad ones were known. The prior tells nothing about the goal (env.termination=neutral).

Prints one JSON line for each crowd, modality and way: EPIC distance (0 is best), Spearman correlation and normalized
return, with standard errors.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
CROWDS = {"9 good, 3 random": (9, 3, 0), "9 good, 3 reversed": (9, 0, 3), "9 good, 3 random, 3 reversed": (9, 3, 3)}
KINDS = ("preference", "rating", "stop")
REPORTED = ("epic_distance", "spearman", "normalized_return")


def overrides_of(crowd: tuple[int, int, int], way: str, labels: int) -> list[str]:
    """What sets a crowd and the way of learning from it apart.

    Args:
        labels: of each kind, by the whole crowd.
    """
    good, random, reversed_ = crowd
    alone = way == "good"
    share = good / sum(crowd) if alone else 1.0
    others = (0, 0) if alone else (random, reversed_)
    annotators = "pooled" if way == "pooled" else "learned"
    words = [f"teacher.good={good}", f"teacher.random={others[0]}", f"teacher.reversed={others[1]}"]
    for kind in KINDS:
        words += [f"feedback.{kind}.n_samples={round(share * labels)}", f"feedback.{kind}.annotators={annotators}"]
    return words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="700-719", help="first and last seed")
    parser.add_argument("--modalities", default="p,r,pr")
    parser.add_argument("--env", default="grid_trap")
    parser.add_argument("--crowds", default=";".join(CROWDS), help="names of crowds, with ; between them")
    parser.add_argument("--labels", type=int, default=600, help="of each kind, by the whole crowd")
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    from mavrl.configuration.composition import compose
    from mavrl.configuration.settings import RunSettings
    from mavrl.training.run import run

    first, last = map(int, options.seeds.split("-"))
    seeds = [f"seed={first}", f"replicates={last - first + 1}"]
    always = ["env.termination=neutral", "teacher=crowd", "teacher.categories=[3,5,7,10]", "paths.cache=null"]
    for modality in options.modalities.split(","):
        for name in options.crowds.split(";"):
            for way in ("learned", "pooled", "good"):
                words = [
                    f"env={options.env}",
                    f"modality={modality}",
                    *always,
                    *overrides_of(CROWDS[name], way, options.labels),
                ]
                words += seeds
                started = time.monotonic()
                with tempfile.TemporaryDirectory() as directory:
                    result = run(RunSettings.from_config(compose(*words, *options.overrides)), Path(directory))
                numbers = {
                    metric: [round(result[kind].get(metric, 0.0), 4) for kind in ("mean", "stderr")]
                    for metric in REPORTED
                }
                line = {"modality": modality, "labels": options.labels, "crowd": name, "way": way, **numbers}
                print(json.dumps({**line, "seconds": round(time.monotonic() - started, 1)}), flush=True)


if __name__ == "__main__":
    main()
