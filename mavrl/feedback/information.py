"""What an answer would tell about the reward: information gain, joint gain, and the greedy choice of a batch.

Everything is computed from the probabilities that K reward functions, drawn from the posterior, give each possible
answer. Axes: R replicate, K reward function, C candidate, Y answer, N questions of a batch. Gains are in nats; none is
above log K, all that can be known of which function it is.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_LEAST_NOISE = 1e-4  # of an answer, as a part of its variance: an answer without noise would be divided by 0


def information_gain(log_probs: Float[Tensor, "R K C *steps Y"]) -> Float[Tensor, "R C *steps"]:
    """Mutual information between an answer and the reward, H(mean_k p_k) - mean_k H(p_k); Houlsby et al. (2011).

    Exactly 0 where all reward functions agree: the means are taken of differences from the first function.

    Args:
        log_probs: log-probability of each answer under each reward function.
    """
    probs = log_probs.exp()
    each = torch.special.entr(probs).sum(-1)
    together = torch.special.entr(_mean_of_functions(probs)).sum(-1)
    return (together - _mean_of_functions(each)).clamp(min=0)


def joint_information_gain(questions: Sequence[Float[Tensor, "R K _"]]) -> Float[Tensor, "R"]:
    """Mutual information between the answers to all of these questions and the reward, by enumeration.

    Given the reward the answers are independent, so the table of the joint answer under function k is an outer product.
    It has as many entries as there are combinations of answers: for small batches only. Kirsch et al. (2019), eq. 9.

    Args:
        questions: log-probabilities of the answers to each; their numbers of answers Y may differ.
    """
    table = questions[0]
    for question in questions[1:]:
        table = (table[..., :, None] + question[..., None, :]).flatten(2)
    return information_gain(table[:, :, None]).squeeze(1)


def disagreement(log_probs: Float[Tensor, "R K C *steps Y"]) -> Float[Tensor, "R C *steps"]:
    """Variance over reward functions of the expected answer, the answers being numbers from 0 to 1 in equal steps.

    Of a pair that is the variance of the probability that the first is preferred, as in Christiano et al. (2017).
    """
    answer = torch.linspace(0, 1, log_probs.shape[-1], dtype=log_probs.dtype, device=log_probs.device)
    return _variance_of_functions(log_probs.exp() @ answer)


def disagreement_of_actions(log_probs: Float[Tensor, "R K C *steps A"]) -> Float[Tensor, "R C *steps"]:
    """Variance over reward functions of the probabilities of answers without an order, half of their sum.

    Of two answers that is the variance of the probability of one.
    """
    return 0.5 * _variance_of_functions(log_probs.exp()).sum(-1)


def _mean_of_functions(values: Float[Tensor, "R K *rest"]) -> Float[Tensor, "R *rest"]:
    """Mean over the functions; exactly their common value where they have one."""
    first = values[:, :1]
    return (first + (values - first).mean(1, keepdim=True)).squeeze(1)


def _variance_of_functions(values: Float[Tensor, "R K *rest"]) -> Float[Tensor, "R *rest"]:
    """Variance over the functions; exactly 0 where they have a common value."""
    return (values - values[:, :1]).var(1, correction=0)


class Overlap:
    """How much of each candidate's gain is left, given the questions chosen so far, for one replicate.

    Answers are taken to be linear in what is not known: an indicator of each answer, divided by the root of its mean
    probability, has features phi over the K functions, and what the chosen answers tell is a Gaussian update of a
    K x K covariance Sigma. Of the variance of a candidate's answer that the reward explains, tr(phi Sigma phi'), that
    leaves a share; the gain is multiplied by it. So the first choice has the exact gain, a question like a chosen one
    has little left, and one about something else has all. A choice takes time proportional to the candidates, however
    many were chosen before.

    Args:
        pools: by kind, log-probabilities of answers, shape (K, C, Y), or (K, C, T, A) where each step is answered.
        valid: of the same kinds, which answers are real, shape (C,) or (C, T).
    """

    def __init__(self, pools: Mapping[str, Float[Tensor, "K ..."]], valid: Mapping[str, Bool[Tensor, "..."]]) -> None:
        self._pools, self._valid = pools, valid
        self._covariance = torch.eye(len(next(iter(pools.values()))), dtype=torch.float64)
        features = {kind: _features(log_probs, valid[kind]).flatten(1, 2) for kind, log_probs in pools.items()}
        self._explained = {kind: phi.square().sum((1, 2)) for kind, phi in features.items()}
        self._left = {kind: explained.clone() for kind, explained in self._explained.items()}
        # Of episodes, which have more answers than there are functions, the K x K products of features are smaller.
        self._products = {kind: (phi.mT @ phi).flatten(1) for kind, phi in features.items() if _is_long(phi)}
        self._features = {kind: phi for kind, phi in features.items() if not _is_long(phi)}

    def share(self, kind: str) -> Float[Tensor, "C"]:
        """What is left of each candidate's gain, from 0 to 1."""
        explained = self._explained[kind]
        return torch.where(explained > 0, self._left[kind].clamp(min=0) / explained, 0.0).clamp(max=1)

    def add(self, kind: str, number: int) -> None:
        """Take account of one more chosen question."""
        only = slice(number, number + 1)
        phi = _features(self._pools[kind][:, only], self._valid[kind][only])[0].double()  # (T, Y, K)
        noise = (1 + _LEAST_NOISE) * torch.eye(phi.shape[1], dtype=phi.dtype) - phi @ phi.mT
        rows = torch.linalg.solve_triangular(torch.linalg.cholesky(noise), phi, upper=False).flatten(0, 1)
        if len(rows) > rows.shape[1]:
            rows = torch.linalg.qr(rows, mode="r").R  # the same products of columns, in K rows
        spread = self._covariance @ rows.mT
        root = torch.linalg.cholesky(torch.eye(len(rows), dtype=rows.dtype) + rows @ spread)
        learned = torch.linalg.solve_triangular(root.mT, spread, upper=True, left=False)  # (K, rows)
        change = learned @ learned.mT
        self._covariance = self._covariance - change
        for name, features in self._features.items():
            self._left[name] -= (features @ learned.to(features.dtype)).square().sum((1, 2))
        for name, products in self._products.items():
            self._left[name] -= products @ change.flatten().to(products.dtype)


def _is_long(features: Float[Tensor, "C rows K"]) -> bool:
    return features.shape[1] >= features.shape[2]


def _features(log_probs: Float[Tensor, "K C *steps Y"], valid: Bool[Tensor, "C *steps"]) -> Float[Tensor, "C T Y K"]:
    """Deviations of each answer's probability from its mean, in units of the root of that mean and of K.

    The sum of their squares is the part of the answer's variance that the reward explains. T is 1 where a candidate has
    one answer.
    """
    probs = log_probs.exp()
    mean = _mean_of_functions(probs[None]).squeeze(0)
    real = valid[..., None] & (mean > 0)
    scale = torch.where(real, (mean * len(probs)).rsqrt(), 0.0)
    features = ((probs - mean) * scale).movedim(0, -1)
    return (features if features.ndim == 4 else features[:, None]).contiguous()
