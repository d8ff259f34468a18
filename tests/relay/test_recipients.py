"""Where mail goes: aliases of addresses, domains and local names, the postmaster, and what is refused."""

from __future__ import annotations

import os
from typing import Any

import pytest

from mailrelay.config import settings
from mailrelay.listener.recipients import Recipients
from tests.relay.server_loop import DEFAULTS

BOSS = [b"boss@example.org"]


def rules(*alias: str, postmaster: str = "", **main: Any) -> Recipients:
    values = {**DEFAULTS, "hostname": "gw.plant.example", "recipient": [], "allowed_recipient": [], **main}
    return Recipients(settings.Main(alias=list(alias), postmaster=postmaster, **values))


def system_names() -> list[str]:
    name = os.uname().nodename
    return [name, name.partition(".")[0], name.upper()]


LOCAL = [
    "root", "root@raspberrypi", "root@plant.local", "ROOT@a.b.LAN", "root@localhost", "root@localhost.localdomain",
    "root@pi.home.arpa", "root@nas.internal", "root@pi.home", "root@gw.plant.example", "root@GW", "root@raspberrypi.",
    "root@[192.168.1.1]", "root@[127.0.0.1]", "root@[IPv6:fe80::1]", "root@192.168.1.1",
    *(f"root@{name}" for name in system_names()),
]  # fmt: skip
PUBLIC = [
    "root@example.org",
    "root@plant.example",
    "root@local.example",
    "root@[192.0.2.1]",
    "root@192.0.2.1",
    "a@[IPv6:2001:db8::1]",
]


@pytest.mark.parametrize("recipient", LOCAL)
def test_a_local_name_follows_its_alias_then_goes_to_the_postmaster_and_else_is_refused(recipient: str) -> None:
    asked = recipient.encode()
    aliased = rules("root=owner@example.org", postmaster="boss@example.org")
    assert aliased.expand([asked]) == [b"owner@example.org"]
    assert rules("other=owner@example.org", postmaster="boss@example.org").expand([asked]) == BOSS
    refusal = str(rules("other=owner@example.org").refusal(asked))
    assert refusal.startswith("550 5.1.1 ") and "list alias 'root=" in refusal


@pytest.mark.parametrize("recipient", PUBLIC)
def test_any_other_address_is_delivered_to(recipient: str) -> None:
    asked = recipient.encode()
    assert rules("root=owner@example.org", postmaster="boss@example.org").expand([asked]) == [asked]


def test_an_alias_of_the_address_goes_before_its_domains_and_that_before_the_local_parts() -> None:
    known = rules(
        "root=local@example.org", "@plant.local=domain@example.org", "root@plant.local=exact@example.org",
        "@old.example=new@example.org,second@example.org", "me@old.example=me@example.org",
        postmaster="boss@example.org",
    )  # fmt: skip
    for asked, final in (
        (b"Root@Plant.local", [b"exact@example.org"]),
        (b"cron@plant.local", [b"domain@example.org"]),
        (b"root@other.local", [b"local@example.org"]),
        (b"cron@other.local", BOSS),
        (b"anyone@OLD.example", [b"new@example.org", b"second@example.org"]),
        (b"me@old.example", [b"me@example.org"]),
        (b"root@sub.old.example", [b"root@sub.old.example"]),
    ):
        assert known.expand([asked]) == final, asked


def test_a_server_in_the_own_network_is_delivered_to_if_the_owner_names_its_domain() -> None:
    """As the target of an alias, or in allowed_recipient; else nobody would take such mail."""
    known = rules("ops=ops@plant.local", postmaster="boss@example.org")
    assert known.expand([b"ops", b"ops@plant.local"]) == [b"ops@plant.local"]
    known = rules("root=ops@plant.local", allowed_recipient=["@Plant.local", "example.org"])
    for asked in (b"anyone@plant.local", b"root"):
        assert known.refusal(asked) is None
    assert known.expand([b"anyone@plant.local", b"root"]) == [b"anyone@plant.local", b"ops@plant.local"]
    assert known.refusal(b"anyone@other.local") is not None


def test_where_the_owner_sends_mail_need_not_stand_among_allowed_recipients() -> None:
    limits: dict[str, Any] = {"postmaster": "boss@account.example", "allowed_recipient": ["example.org"]}
    known = rules("ups=night@shift.example", "@old.example=new@shift.example", **limits)
    for asked in (b"root", b"root@nas.local", b"ups", b"a@old.example", b"a@example.org"):
        assert known.refusal(asked) is None
    for asked in (b"boss@account.example", b"night@shift.example", b"a@elsewhere.example"):
        assert known.refusal(asked) is not None
    assert rules(recipient=["all@shift.example"], **limits).refusal(b"a@elsewhere.example") is None


def test_aliases_lead_to_aliases_and_end() -> None:
    known = rules("a=b", "b=c,d", "c=c@example.org", "d=root@localhost", "root=e@example.org", "x=y", "y=x")
    assert known.expand([b"a"]) == [b"c@example.org", b"e@example.org"]
    assert known.expand([b"x"]) == []
