"""Which domains mail from the internet does not reach."""

from __future__ import annotations

import pytest

from mailrelay.core.domains import is_private_domain

PRIVATE = "raspberrypi localhost localhost.localdomain nas.local NAS.LAN pi.home.arpa home.arpa lan nas.lan. x.internal"


@pytest.mark.parametrize("domain", ["", *PRIVATE.split()])
def test_a_name_without_a_dot_or_of_a_private_network_is_private(domain: str) -> None:
    assert is_private_domain(domain.encode())


@pytest.mark.parametrize("domain", ["example.org", "lan.example.org", "thelan.example", "arpa.example", "mylocal.org"])
def test_other_names_are_public(domain: str) -> None:
    assert not is_private_domain(domain.encode())
