"""The stand-in's opkg does what the real one is known to do: the order of scripts, what it keeps, what it refuses."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge.packages import ipk
from forge.packages.package import SCRIPTS, Package
from tests.forge.samples import PLAIN
from tests.support.router_container import Container

pytestmark = pytest.mark.root
# The wrappers hand the package's own scripts their file's name before the action.
NOTE = '#!/bin/sh\ncase "$1" in /*) shift ;; esac\necho "{who} {version} $1 $PKG_UPGRADE" >>/tmp/order\n'


@pytest.fixture
def router() -> Iterator[Container]:
    with Container() as router:
        yield router


def made(folder: Path, name: str, version: str = "1.0.0", **files: str) -> Package:
    """A package whose scripts note down that they ran; `files` by path, with _ for /."""
    root = folder / f"{name}-{version}"
    for path, text in files.items():
        place = root / path.replace("_", "/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    scripts = {who: NOTE.format(who=who, version=version) for who in SCRIPTS}
    own = {"name": name, "version": version, "sourcename": name, "depends": ["libc"], "root": root}
    return dataclasses.replace(PLAIN, **own, scripts=scripts, conffiles=["/etc/config/some"])


def placed(router: Container, package: Package) -> str:
    [packed] = ipk.pack(package, router.root / "tmp")
    return f"/tmp/{packed.name}"


def order(router: Container) -> list[str]:
    path = router.root / "tmp/order"
    lines = path.read_text().splitlines()
    path.unlink()
    return lines


def test_scripts_run_in_opkgs_order(router: Container, tmp_path: Path) -> None:
    old = made(tmp_path, "thing", usr_old="", usr_both="1")
    new = made(tmp_path, "thing", "1.0.1", usr_both="2")
    router.ok("opkg", "install", placed(router, old))
    assert order(router) == ["preinst 1.0.0 install 0", "postinst 1.0.0 configure 0"]
    assert "up to date" in router.ok("opkg", "install", placed(router, old))
    router.ok("opkg", "install", placed(router, new))
    assert order(router) == [
        "prerm 1.0.0 upgrade 1", "preinst 1.0.1 upgrade 1", "postrm 1.0.0 upgrade 1", "postinst 1.0.1 configure 1",
    ]  # fmt: skip
    assert not (router.root / "usr/old").exists(), "what the new version lacks is gone"
    assert (router.root / "usr/both").read_text() == "2"
    assert router.ok("opkg", "list-installed", "thing") == "thing - 1.0.1-r1\n"
    assert "Not downgrading" in router.ok("opkg", "install", placed(router, old))
    router.ok("opkg", "remove", "thing")
    assert order(router) == ["prerm 1.0.1 remove 0", "postrm 1.0.1 remove 0"]
    assert not (router.root / "usr/both").exists()
    assert not list((router.root / "usr/lib/opkg/info").iterdir())


def test_a_file_of_another_package_is_not_taken(router: Container, tmp_path: Path) -> None:
    router.ok("opkg", "install", placed(router, made(tmp_path, "one", usr_file="1")))
    done = router.run("opkg", "install", placed(router, made(tmp_path, "two", usr_file="2")))
    assert done.status == 255
    assert "already provided by package  * one" in done.errors
    assert (router.root / "usr/file").read_text() == "1"
    assert "two" not in router.ok("opkg", "list-installed")


def test_settings_that_the_owner_changed_stay(router: Container, tmp_path: Path) -> None:
    settings = router.root / "etc/config/some"
    router.ok("opkg", "install", placed(router, made(tmp_path, "thing", etc_config_some="1")))
    settings.write_text("owner's")
    router.ok("opkg", "install", placed(router, made(tmp_path, "thing", "1.0.1", etc_config_some="2")))
    assert settings.read_text() == "owner's"
    assert (router.root / "etc/config/some-opkg").read_text() == "2"
    router.ok("opkg", "remove", "thing")
    assert settings.read_text() == "owner's"


def test_what_is_needed_must_be_there_or_in_a_feed(router: Container, tmp_path: Path) -> None:
    needed = made(tmp_path, "needed", usr_needed="")
    package = made(tmp_path, "thing", usr_thing="")
    package.depends.append("needed")
    path = placed(router, package)
    done = router.run("opkg", "install", path)
    assert (done.status, "Cannot satisfy the following dependencies for thing" in done.errors) == (255, True)

    feed = router.root / "mnt/feed"
    feed.mkdir()
    [packed] = ipk.pack(needed, feed)
    digest = hashlib.sha256(packed.read_bytes()).hexdigest()
    entry = f"Package: needed\nVersion: 1.0.0-r1\nFilename: {packed.name}\nSHA256sum: {digest}\n\n"
    (feed / "Packages.gz").write_bytes(gzip.compress(entry.encode()))
    router.put("/etc/opkg/customfeeds.conf", "src/gz ours file:///mnt/feed\n")
    router.ok("opkg", "update")
    router.ok("opkg", "install", path)
    assert (router.root / "usr/needed").exists()
    done = router.run("opkg", "remove", "needed")
    assert "is depended upon by packages" in done.errors
    packed.write_bytes(b"something else")
    assert router.run("opkg", "--force-reinstall", "install", "needed").status == 255


def test_with_another_root_a_firmware_is_filled_and_nothing_started(router: Container, tmp_path: Path) -> None:
    package = made(tmp_path, "thing", usr_thing="")
    place = package.root / "etc/init.d/thing"
    place.parent.mkdir(parents=True)
    place.write_text("#!/bin/sh /etc/rc.common\nSTART=95\nstart() { echo started >/tmp/started; }\n")
    place.chmod(0o755)
    for name in ("lib/functions.sh", "etc/rc.common", "usr/lib/opkg/status"):
        router.put(f"/mnt/root/{name}", (router.root / name).read_text(), 0o755)
    for name in ("etc/rc.d", "tmp"):
        (router.root / "mnt/root" / name).mkdir()
    router.ok("opkg", "-o", "/mnt/root", "install", placed(router, package))
    assert str((router.root / "mnt/root/etc/rc.d/S95thing").readlink()) == "../init.d/thing"
    assert (router.root / "mnt/root/usr/thing").exists()
    assert not (router.root / "tmp/started").exists()
    assert not (router.root / "usr/thing").exists()
