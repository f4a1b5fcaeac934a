"""Policies given by a network: what they score, how they act, and that they survive storage."""

import json
import math
import pickle
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from mavrl.actions import NumberedActions
from mavrl.errors import StorageError
from mavrl.policies.base import UniformPolicy
from mavrl.policies.network import NetworkPolicy


def random_policy(*sizes: int, activation: str = "relu", scores: str = "q", card: dict | None = None) -> NetworkPolicy:
    layers = [(torch.randn(outputs, inputs), torch.randn(outputs)) for inputs, outputs in pairwise(sizes)]
    return NetworkPolicy.from_layers(layers, activation, scores, card)


def by_hand() -> NetworkPolicy:
    """Q(s, 0) = relu(s0 - s1), Q(s, 1) = 2 relu(s1 - s0) + 1, Q(s, 2) = -3."""
    into = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    out = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    layers = [(into, torch.zeros(2)), (out, torch.tensor([0.0, 1.0, -3.0]))]
    return NetworkPolicy.from_layers(layers, "relu", "q")


OBSERVATIONS = torch.tensor([[2.0, 0.0], [0.0, 2.0], [1.5, 1.0], [0.0, 0.0]])
SCORES = [[2.0, 1.0, -3.0], [0.0, 5.0, -3.0], [0.5, 1.0, -3.0], [0.0, 1.0, -3.0]]


class TestScores:
    def test_by_hand(self):
        assert by_hand()(OBSERVATIONS).tolist() == SCORES

    def test_tanh(self):
        policy = NetworkPolicy.from_layers(
            [(torch.tensor([[0.5]]), torch.tensor([0.1])), (torch.tensor([[2.0], [-1.0]]), torch.zeros(2))], "tanh", "q"
        )
        hidden = math.tanh(0.5 * 0.8 + 0.1)
        assert policy(torch.tensor([0.8])).tolist() == pytest.approx([2 * hidden, -hidden], rel=1e-6)

    def test_one_layer_is_linear(self):
        policy = NetworkPolicy.from_layers([(torch.tensor([[1.0, 2.0]]), torch.tensor([3.0]))], "relu", "q")
        assert policy(torch.tensor([-5.0, 0.0])).tolist() == [-2.0]

    def test_sizes(self):
        policy = random_policy(4, 8, 8, 3)
        assert (policy.n_inputs, policy.actions.count) == (4, 3)
        assert policy(torch.zeros(2, 5, 4)).shape == (2, 5, 3)
        assert policy(torch.zeros(4)).shape == (3,)

    def test_reads_the_first_features_of_a_longer_observation(self):
        policy, observation = random_policy(4, 8, 2), torch.randn(6, 4)
        longer = torch.cat([observation, 100 * torch.randn(6, 3)], dim=-1)
        assert policy(longer).equal(policy(observation))
        assert policy.probabilities(longer, 1.0, 0.1).equal(policy.probabilities(observation, 1.0, 0.1))
        assert (policy.act(longer.numpy()) == policy.act(observation.numpy())).all()

    def test_an_observation_that_is_too_short_is_an_error(self):
        with pytest.raises(RuntimeError):
            random_policy(4, 8, 2)(torch.zeros(1, 3))

    @pytest.mark.parametrize("sizes", [(4, 64, 64, 2), (8, 256, 256, 4)])
    def test_do_not_depend_on_what_else_is_in_the_batch(self, sizes):
        """In float32 they do, by 1e-7 of themselves: the matrix product of another size adds up in another order."""
        policy, observations = random_policy(*sizes), torch.randn(64, sizes[0])
        together = policy(observations)
        for part in (slice(0, 1), slice(5, 7), slice(10, 13), slice(31, 64)):
            torch.testing.assert_close(policy(observations[part]), together[part], rtol=1e-13, atol=1e-13)

    def test_take_no_gradient(self):
        assert not by_hand()(OBSERVATIONS).requires_grad

    def test_the_layers_are_copied(self):
        weight, bias = torch.ones(2, 3), torch.zeros(2)
        policy = NetworkPolicy.from_layers([(weight, bias)], "relu", "q")
        weight.fill_(9.0)
        assert policy(torch.ones(3)).tolist() == [3.0, 3.0]

    def test_making_one_draws_nothing_from_the_global_generator(self):
        before = torch.get_rng_state()
        by_hand()
        assert torch.get_rng_state().equal(before)


class TestProbabilities:
    @pytest.mark.parametrize("rationality", [0.0, 0.3, 2.0])
    @pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0])
    def test_formula(self, rationality, epsilon):
        found = by_hand().probabilities(OBSERVATIONS, rationality, epsilon)
        assert found.dtype == torch.float64
        for row, scores in zip(found.tolist(), SCORES, strict=True):
            weights = [math.exp(rationality * score) for score in scores]
            expected = [(1 - epsilon) * weight / sum(weights) + epsilon / 3 for weight in weights]
            assert row == pytest.approx(expected, rel=1e-12)

    def test_rationality_zero_is_uniform(self):
        assert by_hand().probabilities(OBSERVATIONS, 0.0).flatten().tolist() == pytest.approx([1 / 3] * 12, abs=1e-15)

    def test_large_rationality_is_greedy(self):
        found = by_hand().probabilities(OBSERVATIONS, 1e9)
        assert found.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0]]

    def test_infinite_rationality_takes_the_highest_score(self):
        found = by_hand().probabilities(OBSERVATIONS, math.inf)
        assert found.argmax(-1).tolist() == by_hand().act(OBSERVATIONS.numpy()).tolist()
        assert found.sort(-1).values.tolist() == [[0, 0, 1]] * 4

    def test_log_probabilities_come_back_as_they_are_with_rationality_one(self):
        logits = torch.tensor([0.2, 0.5, 0.3]).log() + 7  # unnormalised
        policy = NetworkPolicy.from_layers([(torch.zeros(3, 1), logits)], "tanh", "log_probability")
        assert policy.probabilities(torch.ones(1), 1.0).tolist() == pytest.approx([0.2, 0.5, 0.3], rel=1e-6)


class TestAct:
    def test_takes_the_highest_score(self):
        actions = by_hand().act(OBSERVATIONS.numpy())
        assert actions.tolist() == [0, 1, 1, 1]
        assert actions.dtype == np.int64

    def test_a_single_observation_in_float64(self):
        assert by_hand().act(np.array([[2.0, 0.0]])).tolist() == [0]


class TestFingerprint:
    def test_is_that_of_what_acts(self, tmp_path):
        layers = [(torch.randn(8, 4), torch.randn(8)), (torch.randn(2, 8), torch.randn(2))]
        policy = NetworkPolicy.from_layers(layers, "relu", "q")
        policy.save(tmp_path)
        carded = NetworkPolicy.from_layers(layers, "relu", "q", {"return": 500.0})
        assert policy.fingerprint == carded.fingerprint == NetworkPolicy.load(tmp_path).fingerprint

    def test_differs_where_the_policy_does(self):
        layers = [(torch.randn(8, 4), torch.randn(8)), (torch.randn(2, 8), torch.randn(2))]
        weight, bias = layers[-1]
        policies = [
            NetworkPolicy.from_layers(layers, "relu", "q"),
            NetworkPolicy.from_layers(layers, "tanh", "q"),
            NetworkPolicy.from_layers(layers, "relu", "log_probability"),
            NetworkPolicy.from_layers([layers[0], (weight, torch.nextafter(bias, bias + 1))], "relu", "q"),
            NetworkPolicy.from_layers([layers[0], (weight.flip(0), bias)], "relu", "q"),
            NetworkPolicy.from_layers(layers[:1], "relu", "q"),
        ]
        assert len({policy.fingerprint for policy in policies}) == len(policies)


class TestStorage:
    @pytest.mark.parametrize("sizes", [(4, 2), (4, 16, 2), (6, 32, 32, 3)])
    @pytest.mark.parametrize("activation", ["relu", "tanh"])
    @pytest.mark.parametrize("scores", ["q", "log_probability"])
    def test_a_policy_survives_bit_for_bit(self, sizes, activation, scores, tmp_path):
        card = {"return": 487.25, "seeds": [0, 1], "from": "a test"}
        policy = random_policy(*sizes, activation=activation, scores=scores, card=card)
        policy.save(tmp_path / "new" / "place")
        twin = NetworkPolicy.load(tmp_path / "new" / "place")
        for name, tensor in policy.network.state_dict().items():
            assert twin.network.state_dict()[name].equal(tensor)
        observation = torch.randn(20, sizes[0])
        assert twin(observation).equal(policy(observation))
        assert (twin.scores, twin.activation, twin.card) == (scores, activation, card)

    def test_saving_twice_changes_nothing(self, tmp_path):
        random_policy(4, 8, 2).save(tmp_path / "first")
        NetworkPolicy.load(tmp_path / "first").save(tmp_path / "second")
        for name in ("policy.safetensors", "card.json"):
            assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()

    def test_it_replaces_the_one_that_was_there(self, tmp_path):
        random_policy(4, 8, 2).save(tmp_path)
        policy = random_policy(6, 3)
        policy.save(tmp_path)
        assert NetworkPolicy.load(tmp_path)(torch.ones(6)).equal(policy(torch.ones(6)))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["card.json", "policy.safetensors"]

    def test_weights_are_kept_in_float32(self, tmp_path):
        policy = NetworkPolicy.from_layers(
            [(torch.full((1, 1), 1 / 3, dtype=torch.float64), torch.zeros(1))], "relu", "q"
        )
        assert policy(torch.ones(1)).item() == np.float32(1 / 3)
        policy.save(tmp_path)
        stored = load((tmp_path / "policy.safetensors").read_bytes())
        assert all(tensor.dtype == torch.float32 for tensor in stored.values())

    def test_nothing_there(self, tmp_path):
        with pytest.raises(StorageError, match="no policy there"):
            NetworkPolicy.load(tmp_path / "nowhere")

    @pytest.mark.parametrize("name", ["policy.safetensors", "card.json"])
    def test_one_of_the_files_is_missing(self, name, tmp_path):
        random_policy(4, 8, 2).save(tmp_path)
        (tmp_path / name).unlink()
        with pytest.raises(StorageError, match=str(tmp_path)):
            NetworkPolicy.load(tmp_path)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda content: b"",
            lambda content: content[: len(content) // 2],
            lambda content: content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
            lambda content: bytes([content[0] ^ 1]) + content[1:],
            lambda content: b"x" * 100,
        ],
    )
    @pytest.mark.parametrize("name", ["policy.safetensors", "card.json"])
    def test_damaged_files(self, name, damage, tmp_path):
        random_policy(4, 8, 2).save(tmp_path)
        path = tmp_path / name
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(StorageError, match=str(tmp_path)):
            NetworkPolicy.load(tmp_path)

    @pytest.mark.parametrize(
        "change",
        [
            {"sizes": [4, 8, 3]},
            {"sizes": [4, 7, 2]},
            {"sizes": [5, 8, 2]},
            {"sizes": [4, 8, 2, 2]},
            {"sizes": [4]},
            {"sizes": []},
            {"sizes": None},
            {"sizes": "482"},
            {"activation": "step"},
            {"activation": []},
            {"scores": "advantage"},
            {"sha256": "0" * 64},
        ],
    )
    def test_a_card_that_does_not_fit(self, change, tmp_path):
        random_policy(4, 8, 2).save(tmp_path)
        card = json.loads((tmp_path / "card.json").read_text())
        card["network"] |= change
        (tmp_path / "card.json").write_text(json.dumps(card))
        with pytest.raises(StorageError, match="damaged"):
            NetworkPolicy.load(tmp_path)

    @pytest.mark.parametrize("card", ["[]", '"text"', "3", "{}", '{"network": 3}', "null"])
    def test_a_card_of_another_form(self, card, tmp_path):
        random_policy(4, 8, 2).save(tmp_path)
        (tmp_path / "card.json").write_text(card)
        with pytest.raises(StorageError):
            NetworkPolicy.load(tmp_path)

    def test_weights_of_another_policy_are_refused(self, tmp_path):
        """As when the machine stops between the two files."""
        for name in ("old", "new"):
            random_policy(4, 8, 2).save(tmp_path / name)
        (tmp_path / "new" / "policy.safetensors").replace(tmp_path / "old" / "policy.safetensors")
        with pytest.raises(StorageError, match="damaged, its checksum is not the one"):
            NetworkPolicy.load(tmp_path / "old")

    def test_a_pickle_is_not_read(self, tmp_path):
        random_policy(4, 8, 2).save(tmp_path)
        trace = tmp_path / "unpickled"
        content = pickle.dumps(_WhenUnpickled(trace))
        pickle.loads(content)
        assert trace.exists()  # it does what it should when somebody reads it
        trace.unlink()
        for rewrite_checksum in (False, True):
            (tmp_path / "policy.safetensors").write_bytes(content)
            if rewrite_checksum:
                _sign(tmp_path)
            with pytest.raises(StorageError, match="damaged"):
                NetworkPolicy.load(tmp_path)
            assert not trace.exists()

    def test_layers_that_are_not_there(self, tmp_path):
        random_policy(4, 8, 2).save(tmp_path)
        path = tmp_path / "policy.safetensors"
        tensors = load(path.read_bytes())
        del tensors["2.bias"]
        path.write_bytes(save(tensors))
        _sign(tmp_path)
        with pytest.raises(StorageError, match=r"2\.bias"):
            NetworkPolicy.load(tmp_path)


class _WhenUnpickled:
    """Makes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return open, (str(self.trace), "w")


def _sign(directory: Path) -> None:
    """Write the checksum of whatever the weights are now to the card."""
    card = json.loads((directory / "card.json").read_text())
    card["network"]["sha256"] = sha256((directory / "policy.safetensors").read_bytes()).hexdigest()
    (directory / "card.json").write_text(json.dumps(card))


@pytest.mark.parametrize(("rationality", "epsilon"), [(0.0, 0.0), (5.0, 0.3), (math.inf, 0.0)])
def test_a_uniform_policy_is_uniform_however_rational(rationality: float, epsilon: float) -> None:
    probabilities = UniformPolicy(NumberedActions(4)).probabilities(torch.randn(2, 3, 5), rationality, epsilon)
    assert torch.equal(probabilities, torch.full((2, 3, 4), 0.25, dtype=torch.float64))
