"""A router whose threshold follows feedback while it is in use, so that a target holds under drift."""

from __future__ import annotations

from gym_stepwise_routing.calibration.certificate import CalibratedRouter
from gym_stepwise_routing.calibration.targets import Accuracy, RelativeAccuracy
from gym_stepwise_routing.evaluation.online_threshold import OnlineThreshold
from gym_stepwise_routing.routers.base import ALWAYS_SMALLEST, Scores, ThresholdRouter

__all__ = ["AdaptiveRouter"]


class AdaptiveRouter(ThresholdRouter):
    """A router at the threshold of :class:`OnlineThreshold`, which says what holds in the long run.

    Problems are routed one after the other: route a problem, tell how it went, route the next. Problems that are under
    way together share the threshold that they began with only if feedback waits until all of them have ended.

    Args:
        router: the router; a calibrated one starts at its own threshold.
        target: what to keep. Accuracy itself can be kept only where always-largest has it.
        initial: first threshold, in [0, 1]; None takes the calibrated one, or 0 (always-largest) if there is none.
        step: how far one error moves the threshold, > 0.
        decay: 0 follows drift for ever; in (0, 1) the threshold settles.

    Raises:
        ValueError: a parameter out of range, or another target.
    """

    def __init__(
        self,
        router: Scores,
        target: RelativeAccuracy | Accuracy,
        *,
        initial: float | None = None,
        step: float = 0.05,
        decay: float = 0.0,
    ) -> None:
        if not isinstance(target, RelativeAccuracy | Accuracy):
            raise ValueError(f"target={target!r}; allowed: RelativeAccuracy or Accuracy (feedback: right or wrong)")
        if initial is None:
            initial = min(router.threshold, ALWAYS_SMALLEST) if isinstance(router, CalibratedRouter) else 0.0
        base = router.base if isinstance(router, CalibratedRouter) else router
        if not step > 0.0:
            raise ValueError(f"step={step!r}; allowed: a number above 0")
        self._online = OnlineThreshold(initial, step_size=step, decay=decay, slack=step)
        super().__init__(base, self._online.threshold)
        self.target = target

    @property
    def updates(self) -> int:
        """Problems that moved the threshold so far."""
        return self._online.updates

    def feedback(self, right: bool, *, largest_right: bool | None = None) -> float:
        """Tell how a problem ended that was routed at the threshold of the moment.

        Args:
            right: whether the routed answer was right.
            largest_right: whether always-largest's would have been, for :class:`RelativeAccuracy`: from running it on a
                random sample of problems as well. Problems that it does not solve do not count.

        Returns:
            The threshold for the next problem.

        Raises:
            ValueError: ``largest_right`` is missing, or given where it has no meaning.
        """
        relative = isinstance(self.target, RelativeAccuracy)
        if relative != (largest_right is not None):
            allowed = "True or False" if relative else "None"
            raise ValueError(f"largest_right={largest_right!r}; allowed with target {self.target}: {allowed}")
        if largest_right is not False:
            self.threshold = self._online.update(float(not right) - self.target.alpha)
        return self.threshold
