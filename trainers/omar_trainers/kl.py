"""The KL coefficient, held or adapted."""

from __future__ import annotations

from collections.abc import Mapping


class KLController:
    """A KL coefficient that moves until the KL is where it should be.

    ``error = clip(KL/target − 1, ±0.2)``, ``coefficient *= 1 + error/horizon``: the
    proportional controller of Ziegler et al. (arXiv 1909.08593, section 2.2), in
    iterations where theirs counts episodes.

    Args:
        coefficient: at the start.
        target: KL to hold, in nats per token; 0 keeps the coefficient as it is.
        horizon: iterations over which it adapts, at least 1.
    """

    MAX_ERROR = 0.2

    def __init__(self, coefficient: float, *, target: float, horizon: int) -> None:
        self._set = coefficient
        self._coefficient = coefficient
        self._target = target
        self._horizon = horizon

    @property
    def coefficient(self) -> float:
        """Of the coming iteration."""
        return self._coefficient

    def update(self, kl: float) -> None:
        """Adapt after an iteration whose own tokens had this mean KL (nats).

        A KL that is not a number changes nothing.
        """
        if self._target == 0.0 or kl != kl:
            return
        error = min(max(kl / self._target - 1.0, -self.MAX_ERROR), self.MAX_ERROR)
        self._coefficient *= 1.0 + error / self._horizon

    def state_dict(self) -> dict[str, float]:
        """For a checkpoint."""
        return {"coefficient": self._coefficient, "set": self._set}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Go on from what :meth:`state_dict` gave.

        Without a target, or where another coefficient is set now, what is set is kept.
        """
        if self._target and state.get("set", self._set) == self._set:
            self._coefficient = state["coefficient"]
