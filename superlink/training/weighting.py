"""How the losses of language and decoders are weighed against each other while they are trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, distributed, nn

from ..errors import ConfigError
from ..registry.suggestions import suggest

__all__ = ["GradNormWeighting", "LossWeighting", "UncertaintyWeighting", "build_weighting"]


class LossWeighting(nn.Module, ABC):
    """Weights of groups of losses, one for each; they change once a step.

    Weights are buffers, and no parameters of the stage's optimizer: within a step they are
    constants, so that any split of a step into forwards and processes trains the same. `update`
    learns from all forwards since the last step, of all processes.

    Args:
        names: The groups: `lm`, and the decoders.
        rate: Step size of the weights.
    """

    def __init__(self, names: Sequence[str], rate: float) -> None:
        super().__init__()
        self.names = tuple(names)
        self.rate = rate
        # No buffer: DistributedDataParallel would replace it by that of the first process.
        self._seen: Tensor | None = None

    @property
    @abstractmethod
    def weights(self) -> Tensor:
        """The weight of each group, (G,), in the order of `names`."""

    @abstractmethod
    def learn(self, losses: Tensor, norms: Tensor, present: Tensor) -> None:
        """Change the weights by one step.

        Args:
            losses: The loss of each group in the step, (G,), unweighed.
            norms: The norm of its gradient at the shared states, (G,); 0 where nothing reaches
                them, or where they are not wanted.
            present: Which groups there were, (G,), with a loss that is a number.
        """

    def gradient_norm(self, loss: Tensor, shared: Tensor | None) -> Tensor:
        """What `learn` gets to know of a gradient, squared; nothing, unless a subclass asks."""
        return loss.new_zeros((), dtype=torch.float32)

    def forward(self, losses: Mapping[str, Tensor], shared: Tensor | None = None) -> Tensor:
        """The weighed sum of the losses of one forward, to call backward on.

        Args:
            losses: By group, the part that this forward has of the loss of the step: divided by
                the counts of the whole step, so that parts add up over forwards and processes.
                Factors that undo an average over processes come after. Absent groups are missing.
            shared: What all groups share, with its graph: the LLM's last hidden states (B, T, C).
                The very tensor that enters the output head, as `StateTap` gives it: losses do not
                depend on a slice that was taken of it.

        Raises:
            ConfigError: A group is none of `names`.
        """
        weights = self.weights
        total = weights.new_zeros(())
        # (3, G): losses, squared norms, presence
        seen = weights.new_zeros(3, len(self.names), dtype=torch.float32)
        for name, loss in losses.items():
            index = self._index(name)
            total = total + weights[index] * loss
            if torch.is_grad_enabled():
                seen[0, index] = loss.detach()
                seen[1, index] = self.gradient_norm(loss, shared)
                seen[2, index] = 1
        if torch.is_grad_enabled():
            self._seen = seen if self._seen is None else self._seen + seen
        return total

    @torch.no_grad()
    def update(self) -> None:
        """End a step: called once after the optimizer's, in every process."""
        seen = self._seen
        if seen is None:
            seen = self.weights.new_zeros(3, len(self.names), dtype=torch.float32)
        self._seen = None
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(seen)
        losses, squares, counts = seen
        present = (counts > 0) & losses.isfinite() & squares.isfinite()
        self.learn(losses, squares.sqrt(), present)

    def by_name(self) -> dict[str, float]:
        """The weights, for a log."""
        return dict(zip(self.names, self.weights.tolist(), strict=True))

    def _index(self, name: str) -> int:
        if name not in self.names:
            raise ConfigError(
                f"The loss {name!r} is of no group that is weighed. {suggest(name, self.names)}"
            )
        return self.names.index(name)


class UncertaintyWeighting(LossWeighting):
    """Weights by homoscedastic uncertainty (Kendall, Gal, Cipolla, arXiv 1705.07115, eq. 7).

    With a log variance s_i = log(sigma_i ** 2) for each group, the paper's objective for
    regression, sum of exp(-s_i) / 2 * L_i + s_i / 2, times 2: sum of exp(-s_i) * L_i + s_i. All
    groups take this form, those of classification too, and training begins as with fixed weights.
    At the optimum s_i = log L_i: each loss is divided by its own size.

    The s_i descend their gradient, 1 - exp(-s_i) * L_i, by plain steps of at most `rate`, and stay
    within `limit`: a loss that goes to zero, or below, does not take all weight. As they are
    constants of a step, the terms s_i are left out of the total. Absent groups have no term.

    Args:
        names: The groups.
        rate: Step size of the s_i; the optimum is neared in about 1 / rate steps.
        limit: Weights stay between exp(-limit) and exp(limit).
    """

    log_variances: Tensor

    def __init__(self, names: Sequence[str], rate: float = 0.02, limit: float = 4.0) -> None:
        super().__init__(names, rate)
        self.limit = limit
        self.register_buffer("log_variances", torch.zeros(len(self.names)))

    @property
    def weights(self) -> Tensor:
        """exp(-s), (G,)."""
        return torch.exp(-self.log_variances)

    def learn(self, losses: Tensor, norms: Tensor, present: Tensor) -> None:
        """One bounded step down the gradient of the s_i."""
        gradient = (1 - self.weights * losses).clamp(-1, 1)
        step = torch.where(present, self.rate * gradient, 0)
        self.log_variances.copy_((self.log_variances - step).clamp(-self.limit, self.limit))


class GradNormWeighting(LossWeighting):
    """GradNorm (Chen et al., arXiv 1711.02257, algorithm 1), at hidden states.

    The gradients of all groups are brought to one size, larger for groups that train more slowly:
    the L1 distance of G_i = w_i * |dL_i / d shared| from mean(G) * r_i ** alpha goes down, where
    r_i is L_i / L_i(first step) over its mean, and the target is a constant. Weights then add up
    to the number of groups.

    Norms are taken at the LLM's last hidden states in place of a layer's weights, since every
    gradient passes through them: it costs a backward pass through heads and decoders alone, where
    weights of the LLM would cost one through the LLM for each group, and the chain rule bounds what
    reaches those by it, as in MGDA (arXiv 1810.04650, section 3.3).

    Unlike the paper, steps are taken in log w, relative to mean(G): weights stay positive, and
    `rate` means the same at any scale. Groups that are absent, or whose gradient does not reach
    the shared states, keep their weights; the others share what they had together.

    Args:
        names: The groups.
        rate: Step size of the weights; the paper's.
        alpha: How strongly slow groups are favoured; the paper's for tasks that differ much. 0
            makes all gradients the same size.
    """

    log_weights: Tensor
    first_losses: Tensor

    def __init__(self, names: Sequence[str], rate: float = 0.025, alpha: float = 1.5) -> None:
        super().__init__(names, rate)
        self.alpha = alpha
        self.register_buffer("log_weights", torch.zeros(len(self.names)))
        self.register_buffer("first_losses", torch.full((len(self.names),), torch.nan))

    @property
    def weights(self) -> Tensor:
        """w, (G,), whose sum is the number of groups."""
        return torch.exp(self.log_weights)

    def gradient_norm(self, loss: Tensor, shared: Tensor | None) -> Tensor:
        """The squared norm of the gradient at the shared states; rows of a step add up."""
        if shared is None or not (loss.requires_grad and shared.requires_grad):
            return loss.new_zeros((), dtype=torch.float32)
        (gradient,) = torch.autograd.grad(loss, shared, retain_graph=True, allow_unused=True)
        if gradient is None:
            return loss.new_zeros((), dtype=torch.float32)
        return gradient.float().square().sum()

    def learn(self, losses: Tensor, norms: Tensor, present: Tensor) -> None:
        """One step of the weights of groups whose gradient is known, then their old sum again."""
        known = present & (norms > 0)
        unseen = known & self.first_losses.isnan()
        self.first_losses.copy_(torch.where(unseen, losses, self.first_losses))
        if known.sum() < 2:
            return
        weights = self.weights[known]
        sizes = weights * norms[known]  # G
        target = sizes.mean() * self._slowness(losses[known], known) ** self.alpha
        step = self.rate * torch.sign(sizes - target) * sizes / sizes.mean()
        moved = self.log_weights[known] - step
        self.log_weights[known] = moved + weights.sum().log() - moved.exp().sum().log()

    def _slowness(self, losses: Tensor, known: Tensor) -> Tensor:
        """r: what is left of each first loss, over its mean; 1 where that says nothing."""
        first = self.first_losses[known]
        left = torch.where(first > 0, losses.clamp(min=0) / first, 1)
        mean = left.mean()
        return left / mean if mean > 0 else torch.ones_like(left)


def build_weighting(
    kind: Literal["fixed", "uncertainty", "gradnorm"], names: Sequence[str]
) -> LossWeighting | None:
    """What weighs the losses of a stage.

    Args:
        kind: `loss_weighting` of the stage.
        names: The groups: `lm`, and the decoders.

    Returns:
        A module, or None for fixed weights.
    """
    if kind == "uncertainty":
        return UncertaintyWeighting(names)
    return GradNormWeighting(names) if kind == "gradnorm" else None
