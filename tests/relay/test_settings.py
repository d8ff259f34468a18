"""settings: plain values that travel without secrets, and networks that hold exactly their addresses."""

from __future__ import annotations

import ipaddress
import json
import marshal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrelay.config import schema, settings
from mailrelay.config.machine import ThisMachine
from mailrelay.core.net import Net
from tests.support.relay import SOURCE

CONFIG = b"""
config mailrelay 'main'
	list network 'lan'
config smarthost 'p'
	option host 'smtp.example.org'
	option username 'owner@example.org'
	option password 'provider-secret'
config client 'camera'
	option address '192.168.1.40'
	option username 'camera'
	option password 'lan-secret'
"""


def checked(data: bytes = CONFIG) -> settings.Settings:
    found, faults, _ = schema.check(data, "config", ThisMachine())
    assert found is not None, faults
    return found


def test_nothing_of_a_smarthost_becomes_public() -> None:
    public = settings.public(checked())
    assert public["provider"] is True
    assert public["main"].pop("postmaster") == "owner@example.org", "that is no secret where it is an address"
    for secret in ("provider-secret", "owner@example.org", "smtp.example.org"):
        assert secret not in json.dumps(public)
    assert "lan-secret" in json.dumps(public)


def test_the_public_half_survives_marshal() -> None:
    found = checked()
    back = settings.restore(marshal.loads(marshal.dumps(settings.public(found))))
    assert (back.main, back.clients, back.provider, back.smarthosts) == (found.main, found.clients, True, [])


def test_no_secret_shows_in_a_repr() -> None:
    found = checked()
    assert "secret" not in f"{found!r} {found.smarthosts!r} {found.clients!r}"


@pytest.mark.parametrize("kind", [settings.Main, settings.Smarthost, settings.Client, settings.Settings])
def test_slots_and_annotations_are_the_same_fields(kind: type[settings.Values]) -> None:
    assert kind.__slots__ == tuple(kind.__annotations__)


def test_loads_nothing_that_the_listener_must_not_hold() -> None:
    heavy = "typing dataclasses enum re json argparse ipaddress subprocess logging ssl difflib"
    # The bare `socket` module brings enum with it; what settings adds to that must be itself alone.
    code = (
        "import sys, socket; sys.path.insert(0, sys.argv[1]); before = set(sys.modules);"
        "import mailrelay.config.settings;"
        "print(*(set(sys.modules) - before - {'__future__'}))"
    )
    run = [sys.executable, "-I", "-S", "-c", code, str(SOURCE)]
    added = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    assert not set(added) & set(heavy.split())
    assert set(added) == {"mailrelay", "mailrelay.config", "mailrelay.config.settings"}


ADDRESSES = st.ip_addresses().filter(lambda address: getattr(address, "ipv4_mapped", None) is None)


@given(ADDRESSES, st.integers(0, 128), ADDRESSES)
def test_contains_what_ipaddress_says(base: ipaddress.IPv4Address, length: int, other: ipaddress.IPv4Address) -> None:
    length = min(length, base.max_prefixlen)
    net = Net.parse(f"{base}/{length}")
    theirs = ipaddress.ip_network(f"{base}/{length}", strict=False)
    for address in (base, other, theirs[0], theirs[-1]):
        if getattr(address, "ipv4_mapped", None) is None:
            assert net.contains(str(address)) == (address in theirs)


@pytest.mark.parametrize(
    ("net", "address", "inside"),
    [
        ("192.168.1.1/24", "192.168.1.200", True),
        ("192.168.1.1/24", "192.168.2.1", False),
        ("192.168.1.0/24", "::ffff:192.168.1.7", True),
        ("::ffff:192.168.1.0/120", "192.168.1.7", True),
        ("::ffff:192.168.1.0/120", "192.168.2.7", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("0.0.0.0/0", "8.8.8.8", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("::/0", "8.8.8.8", False),
        ("::/0", "::ffff:8.8.8.8", False),
        ("fe80::/10", "fe80::1%eth0", True),
        ("192.168.1.0/24", "no address", False),
        ("192.168.1.0/24", "", False),
        ("192.168.1.0/24", "192.168.1.7\0", False),
    ],
)
def test_contains(net: str, address: str, inside: bool) -> None:
    assert Net.parse(net).contains(address) is inside


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/24",
        "192.168.1.0/",
        "192.168.1.0/33",
        "192.168.1.0/-1",
        "192.168.1.0/255.255.255.0",
        "192.168.1/24",
        "lan",
    ]
    + [
        "192.168.1.0/2 4",
        "::1/129",
        "fe80::1%eth0",
        "1.2.3.4 ",
        "192.168.1.0/٣",
        "::ffff:1.2.3.4/95",
        "1.2.3.4\0",
        "é",
    ],
)
def test_what_is_no_network_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(is|has) "):
        Net.parse(text)


def test_equal_networks_are_equal_however_written() -> None:
    assert Net.parse("192.168.1.7/24") == Net.parse("192.168.1.0/24") != Net.parse("192.168.1.0/25")
    assert len({Net.parse("10.0.0.1"), Net.parse("10.0.0.1/32"), Net.parse("::ffff:10.0.0.1")}) == 1


def test_covers_smaller_networks_only() -> None:
    assert Net.parse("10.0.0.0/8").covers(Net.parse("10.1.0.0/16"))
    assert not Net.parse("10.1.0.0/16").covers(Net.parse("10.0.0.0/8"))
    assert not Net.parse("10.0.0.0/8").covers(Net.parse("fd00::/64"))
