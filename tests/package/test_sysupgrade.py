"""What sysupgrade takes along: the queue for an upgrade, put to rest before the archive is made; never for a backup."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

import pytest

from forge.host.namespaces import enter
from tests.support.router_container import Container

pytestmark = pytest.mark.root
SPOOL = "etc/mailrelay/spool"


@pytest.fixture
def router() -> Iterator[Container]:
    """The relay runs, a mail waits, and the owner has a file of his own beside the spool."""
    with Container() as router:
        router.enabled_router()
        router.put("/lib/upgrade/keep.d/mailrelay", "/etc/config/mailrelay\n")
        router.put("/etc/mailrelay/ca.pem", "a certificate\n")
        router.send()
        yield router


@contextlib.contextmanager
def upgrade(router: Container, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """sysupgrade, up to where procd would take over; it is abandoned there at the block's end."""
    into = enter(router.pid, "--net", "--pid", "--wd")
    process = subprocess.Popen([*into, "/sbin/sysupgrade", *options])
    ready = router.root / "tmp/sysupgrade.ready"
    router.wait(lambda: ready.exists() and ready.read_text(), "the archive is made")
    yield process
    router.put("/tmp/sysupgrade.refused", "")
    process.wait(20)


def archived(router: Container, name: str = "/tmp/sysupgrade.tgz") -> list[str]:
    return router.ok("tar", "tzf", name).split()


def test_an_upgrade_takes_settings_queue_and_the_owners_files_along(router: Container) -> None:
    with upgrade(router):
        message = router.queue()[0]
        members = archived(router)
        listed = router.ok("tar", "tvzf", "/tmp/sysupgrade.tgz").splitlines()
    for name in ("etc/config/mailrelay", "etc/mailrelay/ca.pem", f"{SPOOL}/queue/{message}"):
        assert members.count(name) == 1, name
    folder = next(line for line in listed if line.endswith(f" {SPOOL}/"))
    assert folder.startswith("drwx------"), "tar keeps the folder's rights and owner"


def test_between_the_archive_and_the_reboot_no_mail_is_taken_or_sent(router: Container) -> None:
    before = router.instance()["pid"]
    with upgrade(router):
        assert f"exit mailrelay::relay {before}" in router.procd_log(), "it had ended when the archive was made"
        assert "refused" in router.try_to_send().lower()
        assert router.instance() == {}


@pytest.mark.parametrize("how", ["refused", "killed"])
def test_an_upgrade_that_comes_to_nothing_thaws_the_relay(router: Container, how: str) -> None:
    with upgrade(router) as process:
        if how == "killed":
            router.ok("kill", "-9", router.read("/tmp/sysupgrade.ready").strip())
            process.wait(20)
    router.wait(router.instance, "it is started again")
    router.wait_relay("192.168.1.1:25")
    assert len(router.queue()) == 1


def test_a_relay_that_its_owner_had_stopped_stays_stopped(router: Container) -> None:
    router.ok("/etc/init.d/mailrelay", "stop")
    router.wait(lambda: "exit mailrelay" in router.procd_log(), "it ends")
    with upgrade(router):
        assert f"{SPOOL}/queue/" in archived(router)
    router.wait(lambda: "mailrelay.sh" not in router.ok("ps", "-o", "args"), "nobody watches any more")
    assert router.instance() == {}


@pytest.mark.parametrize("keep", ["", "/etc/mailrelay/\n"])
def test_a_backup_does_not_carry_the_queue_and_disturbs_nobody(router: Container, keep: str) -> None:
    """A restore would send old mail again. Not even where the owner has told sysupgrade to keep the whole folder."""
    router.put("/etc/sysupgrade.conf", keep)
    before = router.instance()["pid"]
    router.ok("/sbin/sysupgrade", "-b", "/tmp/backup.tgz")
    listed = router.ok("/sbin/sysupgrade", "-l").split()
    router.ok("/sbin/sysupgrade", "-T")
    for members in (archived(router, "/tmp/backup.tgz"), [name[1:] for name in listed]):
        assert "etc/config/mailrelay" in members
        assert members.count("etc/mailrelay/ca.pem") == 1
        assert not [name for name in members if SPOOL in name]
    assert router.instance()["pid"] == before


def test_all_changed_files_carry_the_queue_once(router: Container) -> None:
    with upgrade(router, "-c"):
        assert archived(router).count(f"{SPOOL}/queue/{router.queue()[0]}") == 1


def test_a_queue_on_a_stick_stays_there(router: Container) -> None:
    router.put("/etc/config/fstab", "config mount\n\toption target '/mnt/usb'\n")
    (router.root / "mnt/usb").mkdir()
    router.ok("mount", "-t", "tmpfs", "none", "/mnt/usb")
    router.configure("option spool '/mnt/usb/mail'")
    router.ok("/etc/init.d/mailrelay", "reload")
    router.wait(lambda: router.status().get("spool") == "/mnt/usb/mail", "it runs there")
    with upgrade(router):
        members = archived(router)
        assert f"{SPOOL}/queue/{router.queue()[0]}" in members, "what is left in the usual place is kept for the owner"
    assert not [name for name in members if "usb" in name]
    router.ok("/sbin/sysupgrade", "-b", "/tmp/backup.tgz")
    assert not [name for name in archived(router, "/tmp/backup.tgz") if SPOOL in name], "but in no backup"


def test_without_the_engine_the_hook_is_harmless(router: Container) -> None:
    """As on the new firmware before the package is installed again, or while it is being removed."""
    (router.root / "usr/lib/mailrelay/common.sh").unlink()
    assert "/etc/config/mailrelay" in router.ok("/sbin/sysupgrade", "-l").split()


def test_what_came_back_is_used_by_the_package_when_it_is_installed_again(router: Container) -> None:
    with upgrade(router):
        message = router.queue()[0]
        router.ok("cp", "/tmp/sysupgrade.tgz", "/tmp/kept.tgz")
    router.ok("/etc/init.d/mailrelay", "stop")
    router.ok("rm", "-rf", "/etc/mailrelay", "/etc/config/mailrelay")
    router.ok("tar", "xzf", "/tmp/kept.tgz", "-C", "/")
    router.ok("sh", "/etc/uci-defaults/60-mailrelay")
    router.ok("/etc/init.d/mailrelay", "start")
    router.wait_relay("192.168.1.1:25")
    assert router.queue() == [message]
