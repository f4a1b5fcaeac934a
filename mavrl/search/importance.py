"""How much each parameter of a search matters for being among its best trials."""

import math
import warnings

from optuna import Study
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.study import StudyDirection
from optuna.trial import TrialState

from mavrl.search.record import comparable_value

LEAST_TRIALS = 10
_LEAST_BEST = 5  # of the trials that are set apart; fewer say nothing
_BEST_SHARE = 0.1


def importances(study: Study) -> dict[str, float] | str:
    """Shares of the parameters, which sum to 1, the largest first; or why there are none.

    PED-ANOVA (Watanabe et al. 2023): how much the distribution of a parameter among the best trials differs from that
    among all. The best are a tenth of all, but five at least.
    """
    trials = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    if len(trials) < LEAST_TRIALS:
        return f"not computed from {len(trials)} completed trials, it takes {LEAST_TRIALS}"
    if len({comparable_value(trial) for trial in trials}) == 1:
        return "not computed, all trials have the same value"
    names = dict.fromkeys(name for trial in trials for name in trial.params)
    varied = [name for name in names if len({str(trial.params.get(name)) for trial in trials}) > 1]
    sign = 1.0 if study.direction == StudyDirection.MINIMIZE else -1.0
    if not varied:
        return "not computed, nothing was varied"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is experimental, and takes a lower target to be better
        found = get_param_importances(
            study,
            evaluator=PedAnovaImportanceEvaluator(target_quantile=max(_BEST_SHARE, _LEAST_BEST / len(trials))),
            params=varied,
            target=lambda trial: sign * comparable_value(trial),
            normalize=False,
        )
    total = sum(found.values())
    if not math.isfinite(total) or total < 1e-12:
        return "not computed, the best trials differ from the others in nothing"
    return {name: value / total for name, value in found.items()}
