"""How much each parameter of a search matters for being among its best trials."""

import math
import warnings

from optuna import Study
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from mavrl.metrics import DIGITS

LEAST_TRIALS = 50  # five in the best tenth


def importances(study: Study) -> dict[str, float] | str:
    """Shares of the parameters, which sum to 1, the largest first; or why there are none.

    PED-ANOVA (Watanabe et al. 2023): how much the distribution of a parameter among the best tenth of the trials
    differs from that among all.
    """
    trials = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    if len(trials) < LEAST_TRIALS:
        return f"not computed from {len(trials)} completed trials, it takes {LEAST_TRIALS}"
    if len({_loss(trial, 1.0) for trial in trials}) == 1:
        return "not computed, all trials have the same value"
    varied = [name for name in trials[0].params if len({str(trial.params.get(name)) for trial in trials}) > 1]
    sign = 1.0 if study.direction == StudyDirection.MINIMIZE else -1.0
    if not varied:
        return "not computed, nothing was varied"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is experimental, and takes a lower target to be better
        found = get_param_importances(
            study,
            evaluator=PedAnovaImportanceEvaluator(),
            params=varied,
            target=lambda trial: _loss(trial, sign),
            normalize=False,
        )
    total = sum(found.values())
    if not math.isfinite(total) or total < 1e-12:
        return "not computed, the best trials differ from the others in nothing"
    return {name: value / total for name, value in found.items()}


def _loss(trial: FrozenTrial, sign: float) -> float:
    assert trial.value is not None
    return sign * round(trial.value, DIGITS)
