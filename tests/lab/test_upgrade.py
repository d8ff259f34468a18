"""A newer package over a running one, and the way back to a router that never had it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from forge.core import paths
from forge.inv import release
from forge.packages import minisdk
from forge.servers.postfix import Provider
from tests.support.router import SETTINGS
from tests.support.router_ssh import SshRouter

NEWER = release.following(release.current(), "patch")

# What a removed package leaves on purpose, and what its stay changed in files of others'.
REMAINS = re.compile(r"/etc/(config/mailrelay|mailrelay(/.*)?|hosts|passwd-?|group-?|shadow-?)")


@pytest.fixture(scope="session")
def newer_package(bare_router: SshRouter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The next version, whose code says so."""
    folder = tmp_path_factory.mktemp("newer")
    source = folder / "mailrelay"
    shutil.copytree(paths.PACKAGES / "mailrelay", source, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    makefile = source / "Makefile"
    makefile.write_text(makefile.read_text().replace(f"PKG_VERSION:={release.current()}", f"PKG_VERSION:={NEWER}"))
    os.environ["SOURCE_DATE_EPOCH"] = "1800000000"
    try:
        return minisdk.packed("mailrelay", folder / "dist", bare_router.packages.ending, source)
    finally:
        del os.environ["SOURCE_DATE_EPOCH"]


def test_an_upgrade_keeps_settings_and_queue_and_runs_the_new_code(
    router: SshRouter, provider: Provider, newer_package: Path
) -> None:
    provider.stop()
    router.send("Before the upgrade")
    [waiting] = router.wait(router.queue, "the mail is queued")
    settings = router.ok("cat /etc/config/mailrelay")
    before = int(router.status()["pid"])
    router.install(newer_package)
    status = router.wait_relay(other_than=before)
    assert status["version"] == NEWER, "the new code runs"
    assert router.ok("mailrelay --version").strip().endswith(NEWER)
    assert router.ok("cat /etc/config/mailrelay") == settings
    assert waiting in router.queue()
    assert not router.host.file(SETTINGS + router.packages.shipped).exists
    provider.start()
    router.ok("service mailrelay flush")
    [mail] = provider.wait_for(1)
    assert b"Before the upgrade" in mail.header


def files(router: SshRouter) -> set[str]:
    """Everything but what is in memory."""
    return set(router.ok("find / -xdev ! -path '/overlay/*' ! -path '/rom/*' 2>/dev/null; true").splitlines())


def test_removal_leaves_nothing_but_settings_and_queue(ready_router: SshRouter) -> None:
    ready_router.return_to("bare")
    before = files(ready_router)
    ready_router.return_to("ready")
    pid = int(ready_router.wait_relay()["pid"])
    ready_router.remove("mailrelay")
    ready_router.wait(lambda: not ready_router.host.file(f"/proc/{pid}").exists, "the relay has ended")
    left = files(ready_router) - before
    assert {path for path in left if not REMAINS.fullmatch(path)} == set()
    assert not ready_router.listening(25)
    ready_router.wait(lambda: " 25 " not in ready_router.ok("nft list ruleset"), "the firewall is shut")
    assert ready_router.run("""ubus call service list '{"name":"mailrelay"}' | grep -q running""").status == 1
    for link in ("/usr/sbin/sendmail", "/usr/bin/mailq", "/usr/bin/newaliases"):
        file = ready_router.host.file(link)
        assert not file.exists and not file.is_symlink
    assert "mailrelay" not in ready_router.packages.installed()
