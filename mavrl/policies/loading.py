"""Loading of policies of any kind."""

from pathlib import Path

from mavrl.policies.gaussian import GaussianPolicy
from mavrl.policies.network import NetworkPolicy
from mavrl.policies.storing import CARD
from mavrl.storage.files import read_json

StoredPolicy = NetworkPolicy | GaussianPolicy


def load_policy(directory: Path) -> StoredPolicy:
    """The policy in this directory, of numbered actions or of vectors.

    Raises:
        StorageError: it is missing or damaged.
    """
    card = read_json(directory / CARD)
    form = card.get("network") if isinstance(card, dict) else None
    if isinstance(form, dict) and "squash" in form:
        return GaussianPolicy.load(directory)
    return NetworkPolicy.load(directory)
