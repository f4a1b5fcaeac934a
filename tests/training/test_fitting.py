"""Which device rewards are learned on."""

import pytest
import torch

from mavrl.errors import ConfigurationError
from mavrl.training.fitting import accelerator


@pytest.mark.parametrize(
    ("device", "available", "expected"),
    [("cpu", False, "cpu"), ("cpu", True, "cpu"), ("auto", False, "cpu"), ("auto", True, "gpu"), ("cuda", True, "gpu")],
)
def test_the_accelerator(device: str, available: bool, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert accelerator(device) == expected


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigurationError, match=r"^device=cuda: torch finds no CUDA device"):
        accelerator("cuda")
