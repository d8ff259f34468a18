"""The stand-in for OpenWrt answers what a real OpenWrt answered: tests/data/openwrt-answers.txt, command by command."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests import openwrt_answers
from tests.package.router import LAN, WAN, Router

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def router() -> Iterator[Router]:
    with Router() as router:
        router.network(LAN, WAN)
        yield router


def test_every_recorded_answer_is_given_again(router: Router) -> None:
    def ask(command: str) -> tuple[str, int]:
        # Here /sbin/procd's stand-in is faster than the recorded waits.
        done = router.sh(re.sub(r"sleep \d+;", "sleep 1;", command))
        return done.stdout + done.stderr, done.returncode

    def put(path: str, text: str, mode: int) -> None:
        router.write(path[1:], text, mode)

    asked, differences = openwrt_answers.differences(ask, put)
    assert not differences, "\n\n".join(differences)
    assert asked > 45
