"""Installation, upgrade, change of engine and removal, in opkg's order and in apk's, with the packages as the Makefile
has them and the real relay.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge.lab import targets
from forge.packages import stage
from forge.packages.package import Package
from tests.package.managers import Manager, lay_out, packages
from tests.support.router import PROVIDER
from tests.support.router_container import PACKAGE, Container

pytestmark = pytest.mark.root
LINKS = ("usr/sbin/sendmail", "usr/bin/mailq", "usr/bin/newaliases")


@pytest.fixture(scope="module")
def built() -> Iterator[dict[str, Package]]:
    with packages() as found:
        yield found


@pytest.fixture
def router() -> Iterator[Container]:
    with Container() as router:
        yield router


@pytest.fixture(params=targets.RELEASES)
def manager(request: pytest.FixtureRequest) -> Iterator[Manager]:
    with Container(request.param) as router:
        yield Manager(router)


def install(manager: Manager, package: Package) -> None:
    """And set it up, so that it runs and has mail waiting."""
    router = manager.router
    manager.install(package)
    router.configure()
    router.ok("/etc/init.d/mailrelay", "reload")
    router.wait_relay()
    router.send()


def next_release(package: Package, folder: Path) -> Package:
    """The same with a newer version, and new code."""
    root = folder / "next"
    shutil.copytree(package.root, root)
    (root / "usr/lib/mailrelay/version").write_text("1.0.1-r1\n")
    return dataclasses.replace(package, version="1.0.1", root=root)


def test_a_fresh_installation_is_complete_but_for_the_provider(manager: Manager, built: dict[str, Package]) -> None:
    router = manager.router
    manager.install(built["mailrelay"])
    settings = router.root / "etc/config/mailrelay"
    assert settings.stat().st_mode & 0o777 == 0o600
    text = settings.read_text()
    assert "option enabled '0'" in text
    assert "list network 'lan'" in text
    assert "option hostname 'plant7.works.example'" in text
    assert router.ok("mailrelay", "check").count("fault") == 0
    assert not (router.root / "etc/uci-defaults/60-mailrelay").exists()
    assert router.instance() == {}
    assert router.run("/etc/init.d/mailrelay", "enabled").status == 0, "set up once, it starts at every boot"

    settings.write_text(text.replace("enabled '0'", "enabled '1'") + PROVIDER)
    router.ok("/etc/init.d/mailrelay", "reload")
    router.wait_relay("192.168.1.1:25")
    for link in LINKS:
        assert str((router.root / link).readlink()) == "/usr/lib/mailrelay/sendmail"
    sent = router.run("sendmail", "owner@example.org", input="Subject: Battery\n\nlow\n")
    assert (sent.status, len(router.queue())) == (0, 1)
    assert router.queue()[0] in router.ok("mailq")
    assert router.run("newaliases").status == 0


def test_an_upgrade_restarts_the_relay_and_keeps_settings_and_mail(
    manager: Manager, built: dict[str, Package], tmp_path: Path
) -> None:
    router = manager.router
    install(manager, built["mailrelay"])
    before = router.instance()["pid"]
    settings = (router.root / "etc/config/mailrelay").read_text()
    waiting = router.queue()
    manager.install(next_release(built["mailrelay"], tmp_path))
    router.wait(lambda: router.instance().get("pid", before) != before, "the new code runs")
    router.wait_relay()
    assert (router.root / "etc/config/mailrelay").read_text() == settings
    assert router.queue() == waiting
    assert (router.root / "var/run/mailrelay/config").exists()
    router.wait(lambda: f"exit mailrelay::relay {before}" in router.procd_log(), "the old one has ended")
    assert router.run("/etc/init.d/mailrelay", "enabled").status == 0


def test_an_upgrade_while_the_settings_are_faulty_keeps_the_relay_going(
    manager: Manager, built: dict[str, Package], tmp_path: Path
) -> None:
    router = manager.router
    install(manager, built["mailrelay"])
    before = router.instance()["pid"]
    router.configure("option port 'abc'")
    manager.install(next_release(built["mailrelay"], tmp_path))
    router.wait(
        lambda: router.instance().get("pid", before) != before, "the new code runs, with the last good settings"
    )
    router.wait_relay()


def test_removal_leaves_no_link_process_or_rule(manager: Manager, built: dict[str, Package]) -> None:
    router = manager.router
    install(manager, built["mailrelay"])
    assert router.rules()
    manager.remove(built["mailrelay"])
    assert router.rules() == []
    assert router.ask("list", {"name": "mailrelay"}) == {}
    router.wait(lambda: "exit mailrelay::relay" in router.procd_log(), "the process ends")
    router.wait(lambda: "mailrelay" not in router.ok("ps", "-o", "args"), "its children end")
    for link in LINKS:
        place = router.root / link
        applet = link.rpartition("/")[2] in router.ok("busybox", "--list").split()
        assert applet or not place.is_symlink(), f"{link} is left"
    assert list((router.root / "etc/rc.d").iterdir()) == []
    assert not (router.root / "var/run/mailrelay").exists()
    left = [path for path in router.root.joinpath("usr").rglob("*mailrelay*") if path.is_file()]
    assert left == []
    assert router.queue(), "settings and mail are the owner's"
    assert not (router.root / "etc/mailrelay/spool/days").exists(), "what was counted is not"
    assert (router.root / "etc/config/mailrelay").exists()


def test_removal_leaves_no_folder_of_ours_but_where_mail_is(manager: Manager, built: dict[str, Package]) -> None:
    router = manager.router
    install(manager, built["mailrelay"])
    assert (router.root / "etc/mailrelay/last-good").exists()
    manager.remove(built["mailrelay"])
    folders = sorted(router.run("find / -xdev -name host -prune -o -type d -name '*mailrelay*' -print").output.split())
    assert folders == ["/etc/mailrelay"]
    left = router.run("find /etc/mailrelay ! -type d").output.split()
    assert left == [f"/etc/mailrelay/spool/queue/{router.queue()[0]}"], "the password is gone, the mail is not"

    manager.install(built["mailrelay"])
    router.wait_relay()
    router.empty_queue()
    manager.remove(built["mailrelay"])
    assert not (router.root / "etc/mailrelay").exists() and (router.root / "etc/config/mailrelay").exists()


def test_the_web_interface_takes_its_folders_along(router: Container) -> None:
    with stage.staged(PACKAGE.parent / "luci-app-mailrelay", epoch=1786491911) as found:
        app = next(package for package in found if package.name == "luci-app-mailrelay")
        for name in ("www/luci-static/resources/view", "www/luci-static/resources"):
            (router.root / name / "mailrelay").mkdir(parents=True)
        router.ok("sh", "-c", app.scripts["postrm"])
    assert router.run("find /www -name '*mailrelay*'").output == ""


def test_another_engine_takes_the_settings_over(manager: Manager, built: dict[str, Package]) -> None:
    """And back again. The other engine's own tests are elsewhere: here it only has to find everything."""
    router = manager.router
    install(manager, built["mailrelay"])
    settings = (router.root / "etc/config/mailrelay").read_text()
    manager.remove(built["mailrelay"])
    other = built["mailrelay-postfix"]
    paths = lay_out(router, other)
    assert "/usr/lib/mailrelay/postfix.sh" in paths
    assert not (router.root / "usr/lib/mailrelay/python.sh").exists()
    assert (router.root / "etc/config/mailrelay").read_text() == settings
    for path in paths:
        (router.root / path[1:]).unlink()
    manager.install(built["mailrelay"])
    router.wait_relay()
    assert len(router.queue()) == 1


def test_both_packages_have_the_same_files_but_for_the_engine(built: dict[str, Package]) -> None:
    def files(name: str) -> set[str]:
        root = built[name].root
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}

    ours, other = files("mailrelay"), files("mailrelay-postfix")
    assert {"etc/init.d/mailrelay", "usr/libexec/rpcd/mailrelay", "usr/lib/mailrelay/common.sh"} <= ours & other
    assert not {"etc/config/mailrelay"} & (ours | other), "neither owns the settings"
    assert built["mailrelay"].provides == built["mailrelay-postfix"].provides == ["mailrelay-engine"]
    # opkg refuses by the files; a conflict that is declared would keep it from upgrading the one that is installed.
    assert built["mailrelay"].conflicts == built["mailrelay-postfix"].conflicts == []
    assert built["mailrelay-postfix"].alternatives == []


def test_defaults_never_touch_what_is_there(router: Container, built: dict[str, Package]) -> None:
    lay_out(router, built["mailrelay"])
    router.put("/etc/config/mailrelay", "config mailrelay 'main'\n", 0o644)
    for _ in range(2):
        router.ok("sh", "/etc/uci-defaults/60-mailrelay")
    settings = router.root / "etc/config/mailrelay"
    assert settings.read_text() == "config mailrelay 'main'\n"
    assert settings.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("hostname", "domain", "expected"),
    [
        ("plant7", "lan", "option hostname 'plant7.lan'"),
        ("plant7.works.example", "lan", "option hostname 'plant7.works.example'"),
        ("plant7", "", None),  # the relay finds it, and a domain if there is one
        ("localhost", "lan", None),
        ("/;&'", "lan", None),
    ],
)
def test_the_host_name_is_the_systems_and_never_localhost(
    router: Container, built: dict[str, Package], hostname: str, domain: str, expected: str | None
) -> None:
    lay_out(router, built["mailrelay"])
    router.ok("uci", "set", f"system.@system[0].hostname={hostname}")
    router.ok("uci", "set", f"dhcp.@dnsmasq[0].domain={domain}")
    router.ok("sh", "/etc/uci-defaults/60-mailrelay")
    text = (router.root / "etc/config/mailrelay").read_text()
    assert (expected in text) if expected else ("hostname" not in text)
    assert router.run("mailrelay", "check").status == 0
