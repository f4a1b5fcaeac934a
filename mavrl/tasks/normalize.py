"""The task that measures what normalized returns and baselines are made of."""

from omegaconf import DictConfig

from mavrl.configuration.settings import RunSettings
from mavrl.progress import stage


def normalize(config: DictConfig) -> None:
    """Measure the returns of an optimal and of the uniform policy, and print them.

    Where policies are trained, those that are paid a constant are measured too: trained by PPO with the settings of
    `policy`, one for each replicate's seed.
    """
    with stage(config.progress, "importing torch"):
        from mavrl.families.base import family_of
        from mavrl.reports.other_tasks import print_normalization
        from mavrl.workers import workers

    with workers(config.processes) as pool:
        found = family_of(RunSettings.from_config(config), pool).normalization()
    print_normalization(config.env.name, found.returns, found.stderr, found.normalized(), found.how, found.environment)
