"""Deadlines grow with what the machine is slow or busy by, and with the owner's own patience."""

from __future__ import annotations

import os

import pytest

from forge.core import timeouts
from forge.core.errors import UsageError


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "_measured", (0.0, -timeouts.FRESH))
    monkeypatch.setattr(timeouts, "REFERENCE", 1e9)  # as on a machine that is fast beyond measure
    monkeypatch.delenv(timeouts.VARIABLE, raising=False)


def test_a_fast_idle_machine_gets_the_plain_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 9.0, 9.0))
    assert timeouts.factor() == 1.0


def test_a_busy_machine_gets_longer_ones_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (6.0, 0.0, 0.0))
    assert timeouts.factor() == 3.0
    monkeypatch.setattr(timeouts, "_measured", (0.0, -timeouts.FRESH))
    monkeypatch.setattr(os, "getloadavg", lambda: (600.0, 0.0, 0.0))
    assert timeouts.factor() == timeouts.MOST


def test_patience_multiplies_and_must_be_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setenv(timeouts.VARIABLE, "3")
    assert timeouts.factor() == 3.0
    monkeypatch.setenv(timeouts.VARIABLE, "long")
    with pytest.raises(UsageError, match="MAILRELAY_PATIENCE is 'long'"):
        timeouts.factor()
