"""The LightningModule that trains the reward posteriors of all replicates at once."""

import math
from typing import Any, Generic, Literal

import torch
from lightning import LightningModule
from torch import Tensor

from mavrl.errors import TrainingError
from mavrl.feedback.base import FeedbackBatch
from mavrl.model.objective import Loss, Objective, Posterior, RewardInference, Source
from mavrl.streams import AntitheticNoise, StepNoise

Feedback = dict[str, FeedbackBatch] | FeedbackBatch


class RewardLearner(LightningModule, Generic[Posterior, Source]):
    """Minimises an objective by AdamW, every model on its own: clipping, selection and failure are per model.

    A model whose loss or gradient is not finite gets back the weights of the step before, and is trained no further;
    the others go on untouched. The loss is computed once more after the last step. Early stopping, too, ends one model
    without the others.

    Args:
        inference: what is learned.
        objective: the loss of every model.
        seeds: one per model, as words that address its noise: (seed of the replicate, member).
        lr: learning rate of AdamW.
        schedule: "constant", or "cosine" to decay the learning rate to 0 over `total_steps`.
        total_steps: training steps in all.
        gradient_clip: largest gradient norm of one model.
        weight_decay: of AdamW.
        selection: "last" weights, or those of the "best" validation loss of each model.
        patience: validations without improvement after which a model stops; None for never.
    """

    active: Tensor  # models that are still trained
    failed: Tensor
    bound: Tensor  # evidence lower bound of the last epoch, mean over its steps, in nats
    best_loss: Tensor
    since_best: Tensor
    _finite_loss: Tensor

    def __init__(
        self,
        inference: RewardInference[Posterior, Source],
        objective: Objective,
        seeds: list[tuple[int, int]],
        lr: float,
        schedule: Literal["constant", "cosine"],
        total_steps: int,
        gradient_clip: float,
        weight_decay: float,
        selection: Literal["last", "best"] = "last",
        patience: int | None = None,
    ) -> None:
        super().__init__()
        self.inference = inference
        self.objective = objective
        self.lr, self.schedule, self.total_steps = lr, schedule, total_steps
        self.gradient_clip, self.weight_decay = gradient_clip, weight_decay
        self.selection, self.patience = selection, patience
        noise = StepNoise if inference.state_correlation is None else AntitheticNoise
        self._noise = {split: noise(seeds, split) for split in ("train", "validation")}
        n_models = len(seeds)
        self.register_buffer("active", torch.ones(n_models, dtype=torch.bool))
        self.register_buffer("failed", torch.zeros(n_models, dtype=torch.bool))
        self.register_buffer("bound", torch.full((n_models,), torch.nan))
        self.register_buffer("best_loss", torch.full((n_models,), torch.inf))
        self.register_buffer("since_best", torch.zeros(n_models, dtype=torch.int64))
        kept = inference.named_parameters() if selection == "best" else ()
        self._best = {name: parameter.detach().clone() for name, parameter in kept}
        self._good = {name: parameter.detach().clone() for name, parameter in inference.named_parameters()}
        self._last_batch: Feedback | None = None
        self._sums: dict[str, Tensor] = {}
        self._steps = 0
        self.register_buffer("_finite_loss", torch.ones(n_models, dtype=torch.bool), persistent=False)

    def configure_optimizers(self) -> Any:
        groups = self.inference.parameter_groups(self.lr)
        optimizer = torch.optim.AdamW(groups, lr=self.lr, weight_decay=self.weight_decay, fused=True)
        if self.schedule == "constant":
            return optimizer
        decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self._cosine(step))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": decay, "interval": "step"}}

    def _cosine(self, step: int) -> float:
        return 0.5 * (1 + math.cos(math.pi * min(step / self.total_steps, 1.0)))

    def transfer_batch_to_device(self, batch: Feedback, device: torch.device, dataloader_idx: int) -> Feedback:
        if isinstance(batch, dict):
            return {kind: part.to(device) for kind, part in batch.items()}
        return batch.to(device)

    def training_step(self, batch: Feedback, batch_idx: int) -> Tensor:
        """The loss of all models together.

        Args:
            batch: of each kind, by its name; or one alone, where its kind is all that is learned from.
        """
        loss = self._loss("train", batch, self.global_step)
        self._finite_loss = loss.total.detach().isfinite()
        self._last_batch = batch
        self._record(loss)
        return loss.total.sum()

    def _loss(self, split: str, batch: Feedback, step: int) -> Loss:
        batches = batch if isinstance(batch, dict) else {batch.kind: batch}
        noise = self._noise[split]
        return self.objective(self.inference, batches, lambda count: noise.draw(step, count).to(self.device))

    # Every model by itself ------------------------------------------------------------------------------------------

    def configure_gradient_clipping(self, optimizer: Any, *args: Any, **kwargs: Any) -> None:
        """Clip each model's gradient, and keep the weights of this step, at which those that go on are healthy."""
        trained = [(p, p.grad) for p in self.inference.parameters() if p.grad is not None]
        squares = [gradient.reshape(len(self.active), -1).square().sum(-1) for _, gradient in trained]
        norm = torch.stack(squares).sum(0).sqrt()
        self._fail(self.active & ~(norm.isfinite() & self._finite_loss))
        factor = (self.gradient_clip / (norm + 1e-6)).clamp(max=1.0)
        for _, gradient in trained:
            gradient.mul_(factor.view(-1, *[1] * (gradient.ndim - 1)))
        for name, good in self._good.items():
            good.copy_(self.inference.get_parameter(name).detach())

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        if not self.active.all():
            self._restore(self._good, ~self.active)

    def _fail(self, models: Tensor) -> None:
        """Give models that are not healthy the weights at which they were, and end their training."""
        if not models.any():
            return
        self.failed |= models
        self.active &= ~models
        self._restore(self._good, models)
        if self.failed.all():
            raise TrainingError(f"step {self.global_step}: the loss of every replicate is infinite or NaN")

    @torch.no_grad()
    def _restore(self, weights: dict[str, Tensor], models: Tensor) -> None:
        for name, kept in weights.items():
            self.inference.get_parameter(name)[models] = kept[models]

    # Training curves -------------------------------------------------------------------------------------------------

    def _record(self, loss: Loss) -> None:
        terms = {"loss": loss.total, **loss.terms, "prior_scale": self.inference.prior.variance.sqrt().squeeze(-1)}
        for name, value in terms.items():
            previous = self._sums.get(name)
            self._sums[name] = value.detach() if previous is None else previous + value.detach()
        self._steps += 1

    def on_train_epoch_end(self) -> None:
        healthy = ~self.failed
        means = {name: value / self._steps for name, value in self._sums.items()}
        self.log_dict({f"train/{name}": value[healthy].mean() for name, value in means.items()}, batch_size=1)
        if "kl" in means:
            likelihoods = [value for name, value in means.items() if name.endswith("/log_likelihood")]
            of_teachers = sum(value for name, value in means.items() if name.endswith("/teacher_kl"))
            self.bound = torch.stack(likelihoods).sum(0) - means["kl"] - of_teachers
        self._sums, self._steps = {}, 0
        if self.trainer.should_stop or self.current_epoch + 1 == self.trainer.max_epochs:
            self._check_last_step()

    def _check_last_step(self) -> None:
        """No step follows the last one, whose loss would tell whether it was healthy."""
        if self._last_batch is None:
            return
        self.eval()  # prior and planning do not go on
        with torch.inference_mode():
            finite = self._loss("train", self._last_batch, self.global_step).total.isfinite().tolist()
        self.train()
        self._last_batch = None
        self._fail(~self.failed & ~torch.tensor(finite, device=self.device))

    # Validation ------------------------------------------------------------------------------------------------------

    def validation_step(self, batch: Feedback, batch_idx: int) -> None:
        loss = self._loss("validation", batch, self.current_epoch).total
        better = self.active & (loss < self.best_loss)
        self.best_loss = torch.where(better, loss, self.best_loss)
        self.since_best = torch.where(better, 0, self.since_best + 1)
        for name, kept in self._best.items():
            kept[better] = self.inference.get_parameter(name).detach()[better]
        self.log("validation/loss", loss[~self.failed].mean(), batch_size=1)
        if self.patience is not None:
            self.active &= self.since_best < self.patience
            self.trainer.should_stop = not bool(self.active.any())

    def on_fit_start(self) -> None:
        self._best, self._good = (
            {name: weights.to(self.device) for name, weights in kept.items()} for kept in (self._best, self._good)
        )

    def on_fit_end(self) -> None:
        """Give each model the weights that were selected for it; one that never had a finite loss keeps its last."""
        self._restore(self._best, self.best_loss.isfinite())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["best"], checkpoint["good"] = self._best, self._good

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._best, self._good = checkpoint["best"], checkpoint["good"]
