"""The stand-in for OpenWrt answers what a real OpenWrt answered: tests/data/openwrt-answers.txt, command by command."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests import openwrt_answers
from tests.support.router_container import LAN, WAN, Container

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def router() -> Iterator[Container]:
    with Container() as router:
        router.network(LAN, WAN)
        yield router


def test_every_recorded_answer_is_given_again(router: Container) -> None:
    def ask(command: str) -> tuple[str, int]:
        # Here /sbin/procd's stand-in is faster than the recorded waits.
        done = router.run(re.sub(r"sleep \d+;", "sleep 1;", command))
        return done.output + done.errors, done.status

    asked, differences = openwrt_answers.differences(ask, router.put)
    assert not differences, "\n\n".join(differences)
    assert asked > 45


def test_an_address_has_its_prefix_or_netmask_or_stands_alone(router: Container) -> None:
    """As netifd reads them: 24.10 writes two options, 25.12 a list; without either it is one host."""
    head = "config interface 'own'\n\toption device 'lo'\n\toption proto 'static'\n"
    for lines, subnets in (
        ("\toption ipaddr '10.5.1.1'\n\toption netmask '255.255.255.0'\n", "10.5.1.1/24"),
        ("\tlist ipaddr '10.5.2.1/24'\n\tlist ipaddr '10.5.3.1/16'\n", "10.5.2.1/24 10.5.3.1/16"),
        ("\toption ipaddr '10.5.4.1/24'\n", "10.5.4.1/24"),
        ("\toption ipaddr '10.5.5.1'\n", "10.5.5.1/32"),
    ):
        router.put("/etc/config/network", head + lines)
        router.ok("ubus", "call", "network", "reload")
        asked = ". /lib/functions/network.sh; network_get_subnets subnets own; echo $subnets"
        assert router.ok(asked) == f"{subnets}\n"
