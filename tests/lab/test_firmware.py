"""What is on the router before anything of ours: the userland and the Python that the product must be content with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forge.core import proc
from forge.images import lab
from forge.lab import firmware as firmwares
from forge.lab import python
from forge.lab.applets import APPLETS
from forge.site import site as sites
from tests.support.router_ssh import SshRouter, lab_site

# Names found and not found, by the guest's own Python. What is listed but not asked for is found by walking its path.
ASK = """
import importlib.util, json, pkgutil, sys
names = json.load(sys.stdin)
def there(name):
    if name in sys.builtin_module_names:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
own = {one.name for one in pkgutil.iter_modules(sys.path[-2:])}
own = {"_sysconfigdata" if name.startswith("_sysconfigdata") else name for name in own}  # the rest tells the CPU
print(json.dumps({"there": [name for name in names if name in own or there(name)], "own": sorted(own)}))
"""


RELEASES = {"3.11": "24.10", "3.13": "25.12"}  # by their Python


@pytest.fixture(scope="module")
def split(ready_router: SshRouter) -> str:
    """The release that divides this router's Python into packages."""
    version = ready_router.ok("python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'").strip()
    if version not in RELEASES:
        pytest.skip(f"what OpenWrt's packages of Python {version} hold is not recorded")
    return RELEASES[version]


@pytest.fixture(scope="module")
def asked(split: str, ready_router: SshRouter) -> dict[str, list[str]]:
    if ready_router.packages.installed("python3-asyncio"):
        pytest.skip("this router has more of Python than the package needs")
    names = sorted(python.modules(split) | foreign(split))
    ready_router.put("/tmp/ask.py", ASK)
    found: dict[str, list[str]] = json.loads(ready_router.ok("python3 -I -S /tmp/ask.py", input=json.dumps(names)))
    return found


def foreign(split: str) -> set[str]:
    """The modules that only packages have which we do not depend on."""
    lines = [line.split("\t") for line in python.TABLE.read_text().splitlines() if line.startswith(split)]
    others = {name for _, package, names in lines if package not in python.PACKAGES for name in names.split()}
    return (others | set(python.BUILT_IN_ELSEWHERE)) - python.modules(split)


def test_python_has_nothing_that_openwrts_packages_lack(split: str, asked: dict[str, list[str]]) -> None:
    assert {"asyncio", "logging", "email", "ctypes", "_ctypes", "sqlite3", "uuid", "unicodedata"} <= foreign(split)
    assert set(asked["there"]) & foreign(split) == set()
    assert set(asked["own"]) <= python.modules(split)


def test_python_has_all_that_openwrts_packages_have(split: str, asked: dict[str, list[str]]) -> None:
    assert python.modules(split) - set(asked["there"]) == set()


def test_host_names_as_text_fail_as_on_openwrt(asked: dict[str, list[str]], ready_router: SshRouter) -> None:
    done = ready_router.run("python3 -I -S -c 'import socket; socket.getaddrinfo(\"localhost\", 25)'")
    assert done.status != 0 and "unknown encoding: idna" in done.output
    ready_router.ok("python3 -I -S -c 'import socket; socket.getaddrinfo(b\"localhost\", 25)'")
    ready_router.ok(
        "python3 -I -S -c 'import ssl; assert ssl.create_default_context().cert_store_stats()[\"x509_ca\"] > 100'"
    )


def test_the_interpreter_writes_no_bytecode_of_its_library(
    asked: dict[str, list[str]], ready_router: SshRouter
) -> None:
    """It comes compiled, without sources, as OpenWrt's."""
    found = ready_router.ok("ls /usr/lib/python3*/ssl.py* /usr/lib/python3*/os.py*").split()
    assert found and all(name.endswith(".pyc") for name in found), found


# ---- the lab's own firmware -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def firmware(
    pytestconfig: pytest.Config, target: str, release: str, tmp_path_factory: pytest.TempPathFactory
) -> firmwares.Firmware:
    if pytestconfig.getoption("--host") or pytestconfig.getoption("--firmware"):
        pytest.skip("the firmware is not one that is built here")
    return firmwares.build(target, release, site=sites.load(lab_site(tmp_path_factory.mktemp("site"))))


def test_busybox_is_the_only_userland(firmware: firmwares.Firmware, ready_router: SshRouter) -> None:
    own = f"python3 python python{firmware.target.python} flock nft dropbear dropbearkey".split()
    found = ready_router.ok("cd /rom && ls bin/* sbin/* usr/bin/* usr/sbin/*").split()
    linked = ready_router.ok("cd /rom; for f in bin/* sbin/* usr/bin/* usr/sbin/*; do [ \"$(readlink $f)\" != "
                             "/bin/busybox ] || echo $f; done").split()  # fmt: skip
    programs = ready_router.ok("cd /rom && grep -l ELF bin/* sbin/* usr/bin/* usr/sbin/* 2>/dev/null; true").split()
    assert {Path(name).name for name in programs} - {Path(name).name for name in linked} <= {*own, "busybox"}
    assert set(linked) <= set(APPLETS) <= set(found)
    lacking = ready_router.ok("busybox --list").split()
    assert [name for name in APPLETS if Path(name).name not in lacking] == []


def test_the_manifest_names_every_package_with_version_and_hash(firmware: firmwares.Firmware) -> None:
    debian = firmware.manifest["debian"]
    assert any(name.startswith("linux-image-") for name in debian)
    for name in (
        "busybox",
        "libc6",
        f"python{firmware.target.python}-minimal",
        "nftables",
        "dropbear-bin",
        "ca-certificates",
    ):
        assert debian[name]["version"] and len(debian[name]["sha256"]) == 64
    assert set(firmware.manifest["files"]) == {"kernel", "initrd", "rootfs.squashfs"}


def listed(folder: Path) -> str:
    return proc.run(["unsquashfs", "-l", folder / "rootfs.squashfs"]).output


def test_what_qemu_boots_has_the_relay_and_its_pages(firmware: firmwares.Firmware, tmp_path: Path) -> None:
    site = lab_site(tmp_path)
    site.write_text(f'{site.read_text()}[lan]\naddress = "10.7.0.1/24"\n')
    made = lab.default(firmware.target.name, sites.load(site), firmware.target.release)
    files = listed(made.folder)
    assert "/usr/lib/mailrelay/relay/__main__.py\n" in files and "/etc/rc.d/S95mailrelay\n" in files
    assert "/usr/share/rpcd/acl.d/luci-app-mailrelay.json\n" in files
    assert made.manifest["lan"] == "10.7.0.1/24" and not firmware.manifest["lan"]
    assert "mailrelay" not in listed(firmware.folder), "the tests' own is bare"


def test_the_same_firmware_is_not_built_twice(firmware: firmwares.Firmware, tmp_path: Path) -> None:
    before = (firmware.folder / "rootfs.squashfs").stat().st_mtime_ns
    again = firmwares.build(firmware.target, site=sites.load(lab_site(tmp_path)))
    assert again.folder == firmware.folder and (again.folder / "rootfs.squashfs").stat().st_mtime_ns == before
    other = tmp_path / "other.toml"
    other.write_text('hostname = "other"\n')
    assert firmwares.build(firmware.target, site=sites.load(other)).folder != firmware.folder


def test_a_guest_brought_back_goes_on_at_once(firmware: firmwares.Firmware, ready_router: SshRouter) -> None:
    """QEMU's snapshots lack a MIPS CPU's timer, and malta's interrupts get lost: guest.py and init mend that."""
    for _ in range(4):
        ready_router.return_to("bare")
        before, after = ready_router.ok("cut -d ' ' -f 1 /proc/uptime; sleep 1; cut -d ' ' -f 1 /proc/uptime").split()
        assert float(after) - float(before) < 5, "by its own clock, a second took that long: its timer stood still"
