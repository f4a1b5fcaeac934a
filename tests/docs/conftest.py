"""Scripts of docs/, as modules."""

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

from tests.fixtures.pages import DOCS


@pytest.fixture(scope="session")
def script() -> Callable[[str], Any]:
    def get(name: str) -> Any:
        spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return get
