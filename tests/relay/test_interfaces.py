"""interfaces: a name becomes all the addresses and subnets that the kernel has for it."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess

import pytest

from mailrelay.config import interfaces
from mailrelay.core.net import Net, is_private


def test_loopback_has_its_addresses_and_networks() -> None:
    listen, subnets = interfaces.resolve(["lo"])
    assert "127.0.0.1" in listen
    assert "127.0.0.0/8" in subnets


def test_a_name_given_twice_counts_once() -> None:
    assert interfaces.resolve(["lo", "lo"]) == interfaces.resolve(["lo"])
    assert interfaces.resolve([]) == ([], [])


def test_an_unknown_name_adds_nothing() -> None:
    assert interfaces.resolve(["lo", "lo0", "lan"]) == interfaces.resolve(["lo"])


def message(family: int, length: int, flags: int, attributes: dict[int, bytes]) -> bytes:
    data = struct.pack("=BBBBI", family, length, flags, 0, socket.if_nametoindex("lo"))
    for kind, value in attributes.items():
        data += struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
    return data


def read(data: bytes) -> interfaces.Address:
    found = interfaces._address(data)
    assert found is not None
    return found


V4 = socket.inet_aton
V6 = "2001:db8::7"


def test_a_secondary_address_keeps_its_interface_and_its_label() -> None:
    found = read(message(socket.AF_INET, 24, 1, {1: V4("10.9.8.7"), 2: V4("10.9.8.7"), 3: b"lo:cabinet\0"}))
    assert (found.interface, found.label, found.address, found.subnet) == (
        "lo",
        "lo:cabinet",
        "10.9.8.7",
        "10.9.8.0/24",
    )
    assert found.lasting


def test_a_point_to_point_link_listens_here_and_serves_the_other_end() -> None:
    found = read(message(socket.AF_INET, 32, 0, {1: V4("10.0.0.2"), 2: V4("10.0.0.1")}))
    assert (found.address, found.subnet) == ("10.0.0.1", "10.0.0.2/32")


def test_a_link_local_address_carries_its_zone() -> None:
    found = read(message(socket.AF_INET6, 64, 0, {1: socket.inet_pton(socket.AF_INET6, "fe80::1")}))
    assert (found.address, found.subnet) == ("fe80::1%lo", "fe80::/64")


def test_an_ipv6_privacy_address_is_not_listened_on() -> None:
    address = socket.inet_pton(socket.AF_INET6, V6)
    assert not read(message(socket.AF_INET6, 64, 0x01, {1: address})).lasting
    assert read(message(socket.AF_INET6, 64, 0x80, {1: address})).lasting


def test_an_address_that_somebody_else_has_is_left_out() -> None:
    assert interfaces._address(message(socket.AF_INET6, 64, 0x08, {1: socket.inet_pton(socket.AF_INET6, V6)})) is None


@pytest.mark.root
def test_real_secondary_addresses_are_found() -> None:
    ip = shutil.which("ip")
    if ip is None:
        pytest.skip("needs the ip command")
    added = subprocess.run([ip, "address", "add", "127.99.0.1/24", "dev", "lo"], capture_output=True)
    if added.returncode:
        pytest.skip("this machine does not let us add an address")
    try:
        listen, subnets = interfaces.resolve(["lo"])
    finally:
        subprocess.run([ip, "address", "del", "127.99.0.1/24", "dev", "lo"], check=True)
    assert "127.99.0.1" in listen
    assert "127.99.0.0/24" in subnets


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.0.1", "169.254.1.1", "::1", "fd00::1"]
)
def test_private(address: str) -> None:
    assert is_private(Net.parse(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "172.32.0.1", "100.64.0.1", "2001:db8::1", "0.0.0.0"])
def test_not_private(address: str) -> None:
    assert not is_private(Net.parse(address))


def test_a_network_is_private_if_all_of_it_is() -> None:
    assert is_private(Net.parse("192.168.1.0/24"))
    assert not is_private(Net.parse("192.0.0.0/8"))
    assert not is_private(Net.parse("0.0.0.0/0"))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"])
def test_own(address: str) -> None:
    assert interfaces.own(address)


def test_every_address_of_this_machine_is_its_own() -> None:
    assert all(interfaces.own(entry.address) for entry in interfaces.addresses())
    assert not interfaces.own("198.51.100.77")
