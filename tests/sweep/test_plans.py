"""From a configuration to the plan of a search."""

from typing import Any

import pytest

from mavrl.sweep.plans import make_plan
from mavrl.sweep.search import _plan_line


@pytest.mark.parametrize(
    ("arguments", "counts", "said"),
    [
        (("modality=d",), {"demonstration": 64}, "budget 64 over demonstration;"),
        (("env=lunar_lander_v3", "modality=d"), {"demonstration": 256}, "budget 256 over demonstration;"),
        (
            ("modality=d", "experiment=reference"),
            {"demonstration": 16},
            "budget 64, of which the caps allow 16, over demonstration;",
        ),
        (("modality=d", "search.caps.demonstration=8"), {"demonstration": 8}, "of which the caps allow 8"),
        (("modality=pd",), {"preference": 48, "demonstration": 16}, "budget 64 over preference, demonstration;"),
    ],
)
def test_a_kind_that_is_alone_gets_the_whole_budget(
    arguments: tuple[str, ...], counts: dict[str, int], said: str, composed: Any
) -> None:
    """The cap of demonstrations is one beside other kinds, except where the published protocol has it."""
    plan = make_plan(composed(*arguments), "mine", {}, [])
    assert plan.space.counts({}) == counts
    assert plan.space.spent == sum(counts.values())
    assert said in _plan_line(plan)


def test_a_study_is_of_some_code(composed: Any) -> None:
    """When it changes, the study is another one."""
    assert not any(key.startswith("code.") for key in make_plan(composed(), "mine", {}, []).fixed)
    assert "code.gymnasium" in make_plan(composed("env=cartpole_v1"), "mine", {}, []).fixed
