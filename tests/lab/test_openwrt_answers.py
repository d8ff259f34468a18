"""The router answers what a real OpenWrt answered when it was asked the same.

Where this is a lab guest it is the stand-in that is tested here, booted; where it is a real one, it is the record.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import apk_answers, openwrt_answers
from tests.support.router_ssh import GuestRouter, SshRouter

RECORDED_LAN = ("192.168.1.1", "fd00:1:2::1")


@pytest.fixture
def fresh_router(bare_router: SshRouter) -> Iterator[SshRouter]:
    """As it was before it was ever told to reload_config: the first time is recorded too."""
    bare_router.return_to("bare")
    yield bare_router
    bare_router.run("/etc/init.d/demo stop; /etc/init.d/demo disable; rm -f /etc/init.d/demo /etc/config/demo")


def test_every_recorded_answer_is_given_again(fresh_router: SshRouter) -> None:
    router = fresh_router
    own = router.ok(
        ". /lib/functions/network.sh; network_get_ipaddr a lan; network_get_ipaddr6 b lan; echo $a $b"
    ).split()

    def ask(command: str) -> tuple[str, int]:
        done = router.run(f"({command}\n) 2>&1")
        return done.output, done.status

    def localise(text: str) -> str:
        for here, there in zip(own, RECORDED_LAN):
            text = text.replace(here, there)
        return text

    # Its respawn takes seven seconds, and is the relay's own tests' business.
    asked, differences = openwrt_answers.differences(ask, router.put, leave_out="^kill -9", localise=localise)
    assert not differences, "\n\n".join(differences)
    assert asked > 45


def test_apk_answers_as_it_is_recorded(fresh_router: SshRouter, tmp_path: Path) -> None:
    if fresh_router.packages.program != "apk":
        pytest.skip("this router has opkg, of which nothing is recorded")
    if not isinstance(fresh_router, GuestRouter):
        pytest.skip("feeds and keys of a router on the network are its owner's")
    asked, differences = apk_answers.differences(fresh_router, tmp_path)
    assert not differences, "\n\n".join(differences)
    assert asked > 50
