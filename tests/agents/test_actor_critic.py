"""The batched networks: those of torch, one replicate after the other, and gradients as autograd finds them."""

import numpy as np
import pytest
import torch

from mavrl.agents.actor_critic import ActorCritic

FORM = ActorCritic(3, (5, 7), 2)


def rows(count: int = 2) -> torch.Tensor:
    found = torch.cat([FORM.initial(torch.Generator().manual_seed(k)) for k in range(count)])
    for _, bias in FORM.layers(found):
        bias.copy_(torch.randn(bias.shape, generator=torch.Generator().manual_seed(9)))
    return found


def by_hand(row: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    (w1, b1), (w2, b2), (w3, b3) = ((w[0], b[0, 0]) for w, b in FORM.layers(row[None]))
    return torch.tanh(torch.tanh(x @ w1 + b1) @ w2 + b2) @ w3 + b3


class TestFirstWeights:
    def test_they_are_those_of_stable_baselines(self):
        """Orthogonal columns with a gain of sqrt(2), 0.01 for the logits and 1 for the value; biases of 0."""
        (w1, b1), (w2, b2), (w3, b3) = FORM.layers(FORM.initial(torch.Generator().manual_seed(0)))
        for network in (0, 1):
            assert w1[network] @ w1[network].mT == pytest.approx(2 * np.eye(3), abs=1e-5)
            assert w2[network] @ w2[network].mT == pytest.approx(2 * np.eye(5), abs=1e-5)
        assert w3[0].mT @ w3[0] == pytest.approx(1e-4 * np.eye(2), abs=1e-8)
        assert w3[1, :, 0].norm() == pytest.approx(1.0)
        assert not w3[1, :, 1:].any()
        assert not any(each.any() for each in (b1, b2, b3))

    def test_a_generator_s_state_is_a_network(self):
        one, again, other = (FORM.initial(torch.Generator().manual_seed(k)) for k in (0, 0, 1))
        assert one.equal(again)
        assert not one.equal(other)
        assert not one[0].equal(one[1])


class TestOutputs:
    def test_each_network_sees_its_own_inputs(self):
        x = torch.randn(4, 6, 3, generator=torch.Generator().manual_seed(1))
        table = rows()
        found = FORM.outputs(table, x.clone())
        for k in range(4):
            assert found[k].numpy() == pytest.approx(by_hand(table[k], x[k]).numpy(), abs=1e-5)

    def test_the_inputs_stay(self):
        x = torch.randn(4, 6, 3)
        before = x.clone()
        FORM.outputs(rows(), x)
        assert x.equal(before)

    @pytest.mark.parametrize("count", [1, 2, 6])
    def test_they_do_not_depend_on_company(self, count: int):
        form = ActorCritic(8, (64, 64), 4)
        table = torch.cat([form.initial(torch.Generator().manual_seed(k)) for k in range(6)])
        x = torch.randn(12, 256, 8, generator=torch.Generator().manual_seed(1))
        assert form.outputs(table[: 2 * count], x[: 2 * count]).equal(form.outputs(table, x)[: 2 * count])


class TestGradient:
    def test_it_is_autograd_s(self):
        table = rows().requires_grad_()
        x, of_outputs = torch.randn(4, 6, 3), torch.randn(4, 6, 2)
        outputs = torch.stack([by_hand(row, part) for row, part in zip(table, x, strict=True)])
        (outputs * of_outputs).sum().backward()
        with torch.no_grad():
            found = FORM.gradient(table, FORM.activations(table, x), of_outputs)
        assert found.numpy() == pytest.approx(table.grad.numpy(), abs=1e-4)
        assert found.abs().max() > 1


def test_the_policy_is_the_first_network() -> None:
    table, x = rows(), torch.randn(6, 3)
    layers = FORM.policy_layers(table[2:])
    kept = [weight.clone() for weight, _ in layers]
    seen = x
    for number, (weight, bias) in enumerate(layers):
        seen = (seen.tanh() if number else x) @ weight.mT + bias
    assert seen.numpy() == pytest.approx(by_hand(table[2], x).numpy(), abs=1e-5)
    table.zero_()
    assert all(weight.equal(before) for (weight, _), before in zip(layers, kept, strict=True))


def test_own_parameters_are_beside_the_layers() -> None:
    form = ActorCritic(3, (5,), 2, 4)
    table = torch.zeros(2, form.width)
    form.own(table).fill_(1.0)
    assert not any(weight.any() or bias.any() for weight, bias in form.layers(table))
    assert table.sum() == 8
    assert form.width % 16 == 0
    assert ActorCritic(3, (5,), 2).width == form.width - 16
