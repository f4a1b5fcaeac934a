"""What the card of a reward model says, and what it never says."""

from typing import Any

import yaml

from mavrl.reports.card import model_card
from tests.fixtures.runs import metrics_of

DESCRIPTION = {
    "kind": "tabular", "n_states": 9, "seeds": [3, 4], "modality": "ps", "feedback": "simulated",
    "env": {"name": "grid_trap", "termination": "success", "id": "/home/somebody/envs.py"},
    "n_samples": {"preference": 5, "stop": 0}, "annotators": [{"name": "Ann Example"}],
}  # fmt: skip


def metrics(**more: Any) -> dict[str, Any]:
    known = {
        "n_samples": {"preference": 5, "stop": 7}, "protocol": {"objective": "elbo", "q": "planned"},
        "config_hash": "abc123", "version": "9.9",
    }  # fmt: skip
    return metrics_of({"normalized_return": [90.0, 95.0], "coverage_90": [0.7, 0.8]}, **{**known, **more})


def test_it_says_what_is_known() -> None:
    card = model_card(DESCRIPTION, metrics(), "1.0")
    for text in (
        "# Reward model of grid_trap",
        "learned from preferences and stops",
        "2 times (2 seeds, 3 to 4)",
        "MAVRL 9.9, configuration abc123",
        "| preference | 5 |",
        "| stop | 7 |",
        "Simulated teachers gave it",
        "- objective: elbo",
        "| normalized return (100 is optimal) | 92.500 | 0.500 | higher |",
        "0.75 ± 0.50 lies in the central 90 % intervals",
        "too narrow after stops and preferences",
        "end of an episode is good",
        "numbers from 0 to 8",
        "Annotators: 1.",
    ):
        assert text in card


def test_it_names_no_path_and_nobody() -> None:
    card = model_card(DESCRIPTION, metrics(annotators=[{"name": "Ann Example", "labels": {}, "learned": {}}]), "1.0")
    assert "/home" not in card
    assert "Example" not in card


def test_the_front_matter_is_yaml() -> None:
    front = yaml.safe_load(model_card(DESCRIPTION, metrics(), "1.0").split("---\n")[1])
    assert front["library_name"] == "mavrl"
    assert front["tags"][-3:] == ["grid_trap", "preference", "stop"]
    assert "license" not in front
    (model,) = front["model-index"]
    assert model["results"][0]["metrics"][0]["value"] == 92.5


def test_without_metrics_it_says_so() -> None:
    card = model_card(DESCRIPTION, {}, "1.0")
    assert "Nobody has said" in card
    assert "model-index" not in card
    assert "| preference | 5 |" in card
    bare = model_card({"kind": "steps", "n_features": 4}, {}, "1.0")
    assert "learned from feedback" in bare
    assert "observations of 4 features" in bare


def test_people_are_no_simulation_and_held_out_labels_are_told() -> None:
    kinds = {
        "preference": {
            "labels": 12, "episodes": 4, "better": False, "stderr": {"gain": 0.2},
            "mean": {"log_likelihood": -0.7, "constant": -0.69, "gain": -0.01, "calibration_error": 0.25},
        }
    }  # fmt: skip
    described = {**DESCRIPTION, "feedback": "recorded"}
    card = model_card(described, metrics(held_out={"folds": 5, "kinds": kinds}), "1.0")
    assert "| preference | 12 | -0.70 | -0.69 | -0.01 ± 0.20 |" in card
    assert "no better than by a constant: preference" in card
    assert "differ by 0.25 on average" in card
    assert "Simulated" not in card


def test_text_from_files_means_nothing_in_markdown() -> None:
    hostile = {**DESCRIPTION, "env": {"name": "<script>alert(1)</script>|[a](b)\n# head"}}
    card = model_card(hostile, metrics(protocol={"q": "<img src=x>"}), "1.0")
    body = card.split("---\n", 2)[2]
    assert "<script>" not in body
    assert "<img" not in body
    assert "\n# head" not in body
    assert yaml.safe_load(card.split("---\n")[1])["tags"][3] == hostile["env"]["name"]


def test_a_constant_that_does_as_well_is_told() -> None:
    said = "paid a constant does as well"
    assert said in model_card(DESCRIPTION, metrics(comparison={"expert": 100.0, "constant reward +1": 92.0}), "1.0")
    assert said not in model_card(DESCRIPTION, metrics(comparison={"expert": 100.0, "constant reward +1": 80.0}), "1.0")
