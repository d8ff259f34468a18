"""The address that a router is told to find this machine at: one that it can use, or none."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from forge.core.errors import UsageError
from forge.packages import feed, reach


class Probe:
    """A socket of a machine whose addresses on the way to anywhere are these."""

    own: dict[int, str] = {}

    def __init__(self, family: int, _: int) -> None:
        self.address = self.own.get(family)

    def __enter__(self) -> Probe:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def connect(self, _: tuple[str, int]) -> None:
        if self.address is None:
            raise OSError(101, "Network is unreachable")

    def getsockname(self) -> tuple[Any, ...]:
        return self.address, 5


@pytest.mark.parametrize(
    ("four", "six", "url"),
    [
        ("192.168.1.2", "fd00::2", "http://192.168.1.2:8000"),
        (None, "fd00::2", "http://[fd00::2]:8000"),
        (None, "fe80::2", "http://ADDRESS:8000"),
        ("127.0.0.1", None, "http://ADDRESS:8000"),
        ("169.254.3.4", "::1", "http://ADDRESS:8000"),
        (None, None, "http://ADDRESS:8000"),
    ],
)
def test_it_is_an_ip_address_in_brackets_if_need_be_or_said_to_be_unknown(
    monkeypatch: pytest.MonkeyPatch, four: str | None, six: str | None, url: str
) -> None:
    own = {socket.AF_INET: four, socket.AF_INET6: six}
    monkeypatch.setattr(Probe, "own", own)
    monkeypatch.setattr(socket, "socket", Probe)
    assert reach.url() == url
    assert feed.URLS.fullmatch(url)


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("192.168.1.2", "http://192.168.1.2:80"),
        ("fd00::2", "http://[fd00::2]:80"),
        ("[fd00::2]", "http://[fd00::2]:80"),
        ("pc.lan", "http://pc.lan:80"),
    ],
)
def test_an_address_that_is_given_is_taken(address: str, url: str) -> None:
    assert reach.url(80, address) == url


@pytest.mark.parametrize(
    "address", ["laptop", "localhost", "192.168.1", "1.2.3.4.5", "a b.lan", "fd00::2%eth0", "x;y.lan"]
)
def test_a_name_that_no_router_can_look_up_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="--address"):
        reach.url(80, address)
