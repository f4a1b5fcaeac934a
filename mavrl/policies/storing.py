"""Networks of policies on disk: weights as safetensors and a card as JSON, without anything that runs code."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from mavrl.errors import StorageError
from mavrl.storage.files import read_checked, read_json, write_checked, write_json

WEIGHTS, CARD = "policy.safetensors", "card.json"
_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}

Networks = Mapping[str, nn.Sequential]  # by the prefix that the names of their weights have
Layers = Sequence[tuple[Tensor, Tensor]]


def perceptron(layers: Layers, activation: str) -> nn.Sequential:
    """A multilayer perceptron of these (weight, bias) pairs, as `torch.nn.Linear` holds them, rounded to float32.

    It computes in float64: the outputs of an input must not depend on how many are computed together, and float32
    rounds differently in a batch of another size.
    """
    modules: list[nn.Module] = []
    for weight, bias in layers:
        # skip_init: first values that nobody sees would still be drawn from the global generator
        linear = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], dtype=torch.float64)
        linear.load_state_dict({"weight": weight.detach().float(), "bias": bias.detach().float()})
        modules += [linear, _ACTIVATIONS[activation]()]
    return nn.Sequential(*modules[:-1]).requires_grad_(False)


def sizes_of(network: nn.Sequential) -> list[int]:
    """Size of the input, of each hidden layer and of the output."""
    linear = [module for module in network if isinstance(module, nn.Linear)]
    return [linear[0].in_features, *(module.out_features for module in linear)]


def weights_of(networks: Networks) -> bytes:
    """All weights in float32, as safetensors."""
    named = {f"{prefix}{name}": t for prefix, network in networks.items() for name, t in network.state_dict().items()}
    return save({name: tensor.float().contiguous() for name, tensor in named.items()})


def finite(networks: Networks) -> bool:
    """Whether all weights are."""
    return all(bool(t.isfinite().all()) for network in networks.values() for t in network.state_dict().values())


def write_networks(directory: Path, networks: Networks, form: dict[str, Any], card: Mapping[str, Any]) -> None:
    """Write the weights, and the card with the form of the networks and the checksum of the weights."""
    written = write_checked(directory / WEIGHTS, weights_of(networks))
    write_json(directory / CARD, {**card, "network": {**form, "sha256": written}})


def read_form(directory: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Tensor]]:
    """The form of the networks in this directory, the card without it, and their weights.

    Raises:
        StorageError: they are missing or damaged.
    """
    card = read_json(directory / CARD)
    if card is None:
        raise StorageError(f"{directory}: no policy there (it would have {CARD} and {WEIGHTS})")
    form = card.pop("network")
    return form, card, load(read_checked(directory / WEIGHTS, form["sha256"]))


@contextmanager
def of_policy(directory: Path) -> Iterator[None]:
    """Whatever a damaged policy in this directory makes of itself is one error.

    Raises:
        StorageError: it is damaged.
    """
    try:
        yield
    except (AttributeError, KeyError, ValueError, TypeError, SafetensorError) as error:
        raise StorageError(f"{directory}: its policy is damaged or incomplete ({error!r})") from error


def layers_in(tensors: Mapping[str, Tensor], sizes: Sequence[int], prefix: str = "") -> Layers:
    """The layers of a network of these sizes.

    Raises:
        KeyError: one is missing.
        ValueError: the weights have other sizes.
    """
    pairs = list(pairwise(sizes))
    layers = [(tensors[f"{prefix}{2 * i}.weight"], tensors[f"{prefix}{2 * i}.bias"]) for i in range(len(pairs))]
    shapes = [(tuple(weight.shape), tuple(bias.shape)) for weight, bias in layers]
    if not layers or shapes != [((outputs, inputs), (outputs,)) for inputs, outputs in pairs]:
        raise ValueError(f"the weights have not the sizes {list(sizes)}")
    return layers
