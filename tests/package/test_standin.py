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
