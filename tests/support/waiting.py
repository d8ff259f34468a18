"""The one way in which tests wait for what somebody else does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from forge.core import timeouts

PATIENCE = 20.0  # seconds on a machine like ours until what should happen at once counts as not happening

T = TypeVar("T")


def wait(
    condition: Callable[[], T | None],
    what: str | Callable[[], str],
    patience: float = PATIENCE,
    pause: float = 0.01,
) -> T:
    """Ask until the answer counts as true, and return it; `what` did not happen otherwise."""

    def late() -> AssertionError:
        return AssertionError(f"not within {patience:.0f} s: {what if isinstance(what, str) else what()}")

    return timeouts.wait(condition, timeouts.deadline(patience), late, pause)
