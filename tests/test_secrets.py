"""Secrets of a command line: what is one, and that none is written or printed."""

import os
import pickle
from typing import Any

import pytest

from mavrl.errors import ConfigurationError, StorageError
from mavrl.secrets import is_secret, masked, masked_text, without_secrets

HOOK = "https://hooks.example.com/services/T0/B0/x9f3"
DATABASE = "postgresql://me:hunter2@host/studies"


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command sets is gone afterwards."""
    for name in ("NOTIFY_URL", "SEARCH_STORAGE", "ENV_KWARGS_API_KEY", "ENV_KWARGS_PASSWORD"):
        monkeypatch.setenv(f"MAVRL_SECRET_{name}", "")


@pytest.mark.parametrize(
    ("key", "value", "secret"),
    [
        ("notify.url", HOOK, True),
        ("notify.url", None, False),
        ("notify.url", "${oc.env:MAVRL_NOTIFY_URL,null}", False),
        ("search.storage", DATABASE, True),
        ("search.storage", "sqlite:///studies.db", False),
        ("search.storage", "postgresql://me@host/studies", False),
        ("env.kwargs.api_key", "abc", True),
        ("env.kwargs.password", 1234, True),
        ("logger.token", "abc", True),
        ("policy.n_tokens", 5, False),
        ("env.name", "grid_trap", False),
        ("paths.runs", "runs", False),
    ],
)
def test_what_is_secret(key: str, value: Any, secret: bool) -> None:
    assert is_secret(key, value) is secret


@pytest.mark.parametrize(
    ("word", "name", "value", "instead"),
    [
        (f"notify.url={HOOK}", "NOTIFY_URL", HOOK, "notify.url=${oc.env:MAVRL_SECRET_NOTIFY_URL}"),
        (f"notify.url='{HOOK}?a=b'", "NOTIFY_URL", f"{HOOK}?a=b", "notify.url='${oc.env:MAVRL_SECRET_NOTIFY_URL}'"),
        (f"notify={{url: '{HOOK}'}}", "NOTIFY_URL", HOOK, "notify={url: '${oc.env:MAVRL_SECRET_NOTIFY_URL}'}"),
        (
            f"search.storage={DATABASE}",
            "SEARCH_STORAGE",
            DATABASE,
            "search.storage=${oc.env:MAVRL_SECRET_SEARCH_STORAGE}",
        ),
        (
            "+env.kwargs={api_key: abcdef, n: 3}",
            "ENV_KWARGS_API_KEY",
            "abcdef",
            "+env.kwargs={api_key: ${oc.env:MAVRL_SECRET_ENV_KWARGS_API_KEY}, n: 3}",
        ),
        (
            "++env.kwargs.password=1234",
            "ENV_KWARGS_PASSWORD",
            "1234",
            "++env.kwargs.password=${oc.env:MAVRL_SECRET_ENV_KWARGS_PASSWORD}",
        ),
    ],
)  # fmt: skip
def test_a_secret_goes_into_a_variable(word: str, name: str, value: str, instead: str) -> None:
    assert without_secrets(["-m", word, "seed=1"]) == ["-m", instead, "seed=1"]
    assert os.environ[f"MAVRL_SECRET_{name}"] == value


@pytest.mark.parametrize("word", ["env=grid_trap", "notify.url=null", "-m", "--config-dir=/a:b@c", "+env.a={a: [1"])
def test_other_words_stay(word: str) -> None:
    assert without_secrets([word]) == [word]


def test_what_is_recorded_says_where_a_secret_would_be() -> None:
    recorded = masked({"env": {"kwargs": {"api_key": "abc", "n": 3}}, "words": ["a", DATABASE]})
    assert recorded["env"] == {"kwargs": {"api_key": "${oc.env:MAVRL_SECRET_ENV_KWARGS_API_KEY}", "n": 3}}
    assert "hunter2" not in str(recorded)


def test_texts_and_errors_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    without_secrets([f"notify.url={HOOK}"])
    assert masked_text(f"cannot reach {HOOK} or {DATABASE}") == "cannot reach *** or postgresql://me:***@host/studies"
    assert str(StorageError(f"{DATABASE}: refused")) == "postgresql://me:***@host/studies: refused"
    error = ConfigurationError("notify.url", "hooks.example.com/x9f3", "must be an address")
    assert str(error) == "notify.url=***: must be an address"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
