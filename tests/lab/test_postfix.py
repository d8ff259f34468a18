"""The package mailrelay-postfix: the same settings, carried out by Postfix, on a router with no package of ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from forge.core.ports import greeting
from forge.lab import postfix, targets
from forge.packages import minisdk
from forge.servers.postfix import Provider
from tests.support.router_ssh import SshRouter

PATIENCE = 90.0


@pytest.fixture(scope="module")
def router(
    pytestconfig: pytest.Config,
    target: str,
    release: str,
    bare_router: SshRouter,
    running_provider: Provider,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SshRouter]:
    built_here = not (pytestconfig.getoption("--host") or pytestconfig.getoption("--firmware"))
    if built_here and targets.find(target).memory < 256:
        pytest.skip("Debian's Postfix with its libraries is too much for a guest of 128 MB")
    files = [minisdk.packed("mailrelay-postfix", tmp_path_factory.mktemp("postfix"), bare_router.packages.ending)]
    bare_router.return_to("bare")
    if built_here:
        files.insert(0, postfix.packed(targets.find(target, release)))
    elif not bare_router.fetch("postfix"):
        pytest.skip("this router's feeds have no postfix, or cannot be reached")
    bare_router.install(*files)
    bare_router.set_up(running_provider, wait=False)
    bare_router.wait(
        lambda: f"{bare_router.lan_ip}:25" in bare_router.listening(25), "Postfix listens on the LAN", PATIENCE
    )
    yield bare_router
    bare_router.return_to("bare")  # whoever comes next may want the other engine


def test_it_listens_on_lan_and_loopback_only(router: SshRouter) -> None:
    found = router.listening(25)
    assert {f"{router.lan_ip}:25", "127.0.0.1:25"} <= found
    assert not found & {"0.0.0.0:25", ":::25"}, found
    assert router.run("service postfix enabled").status != 0, "OpenWrt's own instance is off"


def test_mail_from_the_lan_arrives_over_tls_with_a_login(router: SshRouter, provider: Provider) -> None:
    router.send("By Postfix")
    [mail] = provider.wait_for(1, PATIENCE)
    assert b"Subject: By Postfix" in mail.header
    assert "TLSv1." in mail.received and "Authenticated sender" in mail.received


def test_a_stranger_is_not_served(router: SshRouter) -> None:
    assert greeting(router.stranger_address()) == ""


def test_mail_that_waits_is_sent_on_flush(router: SshRouter, provider: Provider) -> None:
    provider.stop()
    router.send("Later")
    router.wait(lambda: '"queue": 1' in router.ok("mailrelay status"), "the mail is queued")
    provider.start()
    router.wait(lambda: router.run("service mailrelay flush").status == 0, "it is flushed")
    [mail] = provider.wait_for(1, PATIENCE)
    assert b"Subject: Later" in mail.header


def test_sendmail_reaches_the_provider(router: SshRouter, provider: Provider) -> None:
    router.ok("/usr/sbin/sendmail owner@phone.example", input="Subject: from a script\n\nx\n")
    [mail] = provider.wait_for(1, PATIENCE)
    assert b"Subject: from a script" in mail.header


def test_a_killed_master_is_started_again(router: SshRouter, provider: Provider) -> None:
    before = int(router.instance()["pid"])
    router.ok(f"kill -9 {before}")
    router.wait(lambda: router.instance().get("pid", before) != before, "procd starts another", PATIENCE)
    router.wait(lambda: greeting(router.lan(25)).startswith("220 "), "it greets", PATIENCE)
    router.send("After the kill")
    [mail] = provider.wait_for(1, PATIENCE)
    assert b"Subject: After the kill" in mail.header
