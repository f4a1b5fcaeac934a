"""Reward models on the Hugging Face hub, through its own client."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mavrl.errors import ConfigurationError, StorageError

_FILES = ["*.safetensors", "*.json", "README.md"]  # of a repository; no other is downloaded
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def is_hub_name(text: str) -> bool:
    """Whether a text can be the name of a repository: two words with a slash between them."""
    return _NAME.fullmatch(text) is not None


def download(name: str, revision: str | None = None) -> Path:
    """The folder with a repository's files; those that were downloaded before are not fetched again.

    With the variable HF_HUB_OFFLINE=1 only these are looked for.

    Raises:
        ConfigurationError: huggingface_hub is not installed.
        StorageError: there is no such repository or revision, or the hub cannot be reached.
    """
    with _told(name, f"neither a folder here nor a model of the hub{'' if revision is None else f' at {revision}'}"):
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name, revision=revision, allow_patterns=_FILES))


def upload(folder: Path | str, name: str, private: bool) -> str:
    """Upload the files of a saved model, and return the address of the repository.

    Raises:
        ConfigurationError: huggingface_hub is not installed.
        StorageError: the hub refuses it, or cannot be reached.
    """
    with _told(name, "not uploaded"):
        from huggingface_hub import HfApi

        hub = HfApi(library_name="mavrl")
        address = hub.create_repo(name, private=private, exist_ok=True)
        hub.upload_folder(repo_id=name, folder_path=folder, allow_patterns=_FILES)
        return str(address)


@contextmanager
def _told(name: str, what: str) -> Iterator[None]:
    """Whatever goes wrong with the hub is one line."""
    try:
        yield
    except ImportError as error:
        allowed = f'{what}; models of the hub need huggingface_hub, which is not installed; pip install "mavrl[hub]"'
        raise ConfigurationError("reward model", name, allowed) from error
    except Exception as error:  # the client's own, which share no class with those of the network
        why = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise StorageError(f"{name}: {what} ({type(error).__name__}: {why})") from error
