"""The stand-in's apk answers what the real one answered (tests/data/apk-answers.txt), and takes nothing unsigned."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from forge.packages import apk, stage
from tests import apk_answers
from tests.apk_answers import DATA, feed, probe, trust
from tests.support.router_container import Container

pytestmark = pytest.mark.root


@pytest.fixture
def router() -> Iterator[Container]:
    with Container("25.12") as router:
        yield router


def test_every_recorded_answer_is_given_again(router: Container, tmp_path: Path) -> None:
    asked, differences = apk_answers.differences(router, tmp_path)
    assert not differences, "\n\n".join(differences)
    assert asked > 50


def test_of_a_key_that_the_router_has_a_package_is_taken(router: Container, tmp_path: Path) -> None:
    """And of no other, nor one that was changed since."""
    ours, strangers = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    made = probe(tmp_path, 1)
    trust(router, ours)
    for key, said in ((None, "UNTRUSTED signature"), (strangers, "UNTRUSTED signature"), (ours, "")):
        if key is not None:
            apk.sign(made, key)
        router.upload([made])
        done = router.run("apk", "add", f"/tmp/{made.name}")
        assert (done.status, said in done.errors) == (99 if said else 0, True), done
    router.ok("apk", "del", "probe")
    (router.root / "tmp" / made.name).write_bytes(made.read_bytes()[:-40])
    done = router.run("apk", "add", "--allow-untrusted", f"/tmp/{made.name}")
    assert (done.status, "file format is invalid" in done.errors) == (99, True)


def test_a_feed_is_believed_by_its_key_and_its_packages_by_its_index(router: Container, tmp_path: Path) -> None:
    ours, strangers = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    trust(router, ours)
    first, second = probe(tmp_path, 1), probe(tmp_path, 2)
    feed(router, strangers, first)
    done = router.run("apk", "update")
    assert done.status == 1 and "WARNING: updating and opening /mnt/packages.adb: UNTRUSTED signature" in done.errors
    assert "no such package" in router.run("apk", "add", "probe").errors

    feed(router, ours, first)
    router.ok("apk", "update")
    router.ok("apk", "add", "probe")
    assert "probe\n" in router.read("/etc/apk/world"), "the newest that a feed has"
    feed(router, ours, second)
    router.ok("apk", "update")
    assert "upgradable from: probe-1.0.0-r1" in router.ok("apk", "list", "probe")
    assert "Upgrading probe (1.0.0-r1 -> 1.0.0-r2)" in router.ok("apk", "upgrade")
    other = router.root / "mnt/probe-1.0.0-r2.apk"
    shutil.copy(router.root / "mnt/probe-1.0.0-r1.apk", other)
    router.ok("apk", "del", "probe")
    done = router.run("apk", "add", "probe")
    assert done.status and "BAD signature" in done.errors
    assert router.run("apk", "info", "-e", "probe").status == 1


def test_what_is_needed_comes_and_goes_with_it(router: Container, tmp_path: Path) -> None:
    """And two that provide the same name refuse each other."""
    key = ec.generate_private_key(ec.SECP256R1())
    with stage.staged(Path(__file__).resolve().parents[2] / "package/mailrelay", epoch=1_700_000_000) as packages:
        made = [path for package in packages for path in apk.pack(package, tmp_path)]
    app = tmp_path / "app"
    shutil.copytree(DATA / "apk-probe", app)
    text = (app / "Makefile.probe").read_text().replace("  PKGARCH:=all", "  PKGARCH:=all\n  DEPENDS:=+mailrelay")
    (app / "Makefile").write_text(text)
    with stage.staged(app, epoch=1_700_000_000) as packages:
        made += apk.pack(packages[0], tmp_path)
    router.upload(made)
    done = router.run("apk", "add", "--allow-untrusted", f"/tmp/{made[-1].name}")
    assert done.status == 1
    assert "  mailrelay (no such package):\n    required by: probe-1.0.0-r1[mailrelay]" in done.errors

    trust(router, key)
    feed(router, key, *made[:-1])
    assert "(1/2) Installing mailrelay (" in router.ok("apk", "add", "--allow-untrusted", f"/tmp/{made[-1].name}")
    said = router.run("apk", "add", "mailrelay-postfix").errors
    assert "unable to select packages" in said
    assert "not removed due to:\n  mailrelay: probe\n" in router.ok("apk", "del", "mailrelay")
    assert "(2/2) Purging mailrelay (" in router.ok("apk", "del", "probe")


def test_with_another_root_a_firmware_is_filled_and_nothing_started(router: Container, tmp_path: Path) -> None:
    made = probe(tmp_path, 1)
    router.upload([made])
    for name in (
        "lib/functions.sh",
        "lib/functions/procd.sh",
        "usr/share/libubox/jshn.sh",
        "etc/rc.common",
        "lib/apk/db/installed",
        "etc/apk/world",
    ):
        router.put(f"/mnt/root/{name}", router.read(name), 0o755)
    for name in ("etc/rc.d", "usr/sbin", "tmp"):
        (router.root / "mnt/root" / name).mkdir(parents=True)
    for name in ("passwd", "group", "shadow"):
        router.put(f"/mnt/root/etc/{name}", "")
    router.ok("apk", "--root", "/mnt/root", "add", "--allow-untrusted", f"/tmp/{made.name}")
    assert str((router.root / "mnt/root/etc/rc.d/S95probe").readlink()) == "../init.d/probe"
    assert (router.root / "mnt/root/usr/lib/probe/tool").exists()
    assert (router.root / "mnt/root/etc/uci-defaults/90-probe").exists(), "for its first boot"
    assert not (router.root / "usr/lib/probe").exists()
