"""The relay is imported from package/mailrelay/src, as on the router."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

RELAY = Path(__file__).resolve().parents[2] / "package" / "mailrelay" / "src"
if str(RELAY) not in sys.path:
    sys.path.insert(0, str(RELAY))

from mailrelay.spool.spool import Spool  # noqa: E402  # the line above makes their imports possible
from tests.relay.names import LOCALHOST  # noqa: E402  # the line above makes their imports possible
from tests.support.relay import Relay, smarthost  # noqa: E402
from tests.support.scripted_provider import ScriptedProvider  # noqa: E402

os.environ["TZ"] = "UTC"  # for the tests and what they start, wherever they run
time.tzset()


@pytest.fixture
def local_time() -> Iterator[Callable[[str], None]]:
    """What sets the time zone, for one test."""

    def change(zone: str) -> None:
        os.environ["TZ"] = zone
        time.tzset()

    yield change
    change("UTC")


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    """A provider without faults, to which the relay has done nothing against the rules."""
    with ScriptedProvider() as found:
        yield found
        assert found.violations == []


@pytest.fixture
def relay(provider: ScriptedProvider) -> Iterator[Relay]:
    """A relay that delivers to that provider, and tries again after a second."""
    with Relay("option retry_min '1'", smarthost(provider)) as found:
        yield found


@pytest.fixture
def box(tmp_path: Path) -> Spool:
    """An empty spool."""
    found = Spool(str(tmp_path / "spool"))
    os.mkdir(found.root)
    found.prepare()
    return found


@pytest.fixture
def localhost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name leads to 127.0.0.1, whatever this machine has in its /etc/hosts."""
    monkeypatch.setattr(socket, "getaddrinfo", socket.getaddrinfo)
    exec(LOCALHOST, {})


@pytest.fixture
def roles_pipes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the pipes of roles that a test runs in its own process; their processes' ends close them elsewhere."""
    made: list[int] = []
    pipe2 = os.pipe2

    def pipe2_recorded(flags: int) -> tuple[int, int]:
        made.extend(ends := pipe2(flags))
        return ends

    monkeypatch.setattr(os, "pipe2", pipe2_recorded)
    yield
    for descriptor in made:
        os.close(descriptor)
