"""What can be learned from recorded behaviour whose environment nobody can run."""

import pytest

from mavrl.errors import ConfigurationError
from mavrl.folder.description import Description, Space
from mavrl.folder.learnable import check_kinds, check_observations, has_numbered_actions

VECTORS = Description(Space(shape=(4,)), Space(shape=(2,)))
NUMBERS = Description(Space(n=3), Space(n=2))


def test_actions_that_are_numbers() -> None:
    assert has_numbered_actions(NUMBERS)
    assert not has_numbered_actions(VECTORS)


@pytest.mark.parametrize("description", [VECTORS, NUMBERS, Description(Space(), Space(n=2))])
def test_observations_that_are_vectors_or_numbers(description: Description) -> None:
    check_observations(description, "folder")


def test_pictures_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"data=folder: has observations of the shape \(2, 3\)"):
        check_observations(Description(Space(shape=(2, 3)), Space(n=2)), "folder")


@pytest.mark.parametrize("kind", ["demonstration", "stop"])
def test_kinds_about_actions_need_numbers(kind: str) -> None:
    check_kinds(NUMBERS, ["preference", kind])
    check_kinds(VECTORS, ["preference", "rating"])
    with pytest.raises(ConfigurationError, match=f"modality={kind}: needs numbered actions"):
        check_kinds(VECTORS, ["preference", kind])
