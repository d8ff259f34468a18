"""The settings of a site file reach the router at its first boot, once, and leave alone what they do not name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge.site import overlay, site
from tests.support.router_container import Container

pytestmark = pytest.mark.root
HASH = "$6$saltsalt$" + "a" * 86
SITE = f"""
hostname = "pump-house"
timezone = "America/New_York"
[root]
password_hash = "{HASH}"
password_login = true
[lan]
address = "10.1.2.1/23"
[wan]
protocol = "pppoe"
username = "it's $(touch /tmp/gotcha) `touch /tmp/gotcha` \\"me\\""
password = "a b;c#d'"
dns = ["192.0.2.1", "192.0.2.2"]
[smarthost.x]
host = "smtp.example.org"
username = "u"
password = "p"
"""
NETWORK = """
config device
	option name 'br-lan'

config interface 'lan'
	option device 'br-lan'
	list ipaddr '192.168.1.1/24'
	option ip6assign '60'

config interface 'wan'
	option device 'eth1'
	option proto 'dhcp'
"""
SHADOW = "root:::0:99999:7:::\ndaemon:*:0:0:99999:7:::\nmailrelay:x:0:0:99999:7:::\n"
# As /etc/init.d/boot of OpenWrt does it: each in a subshell of its own, removed where it succeeds.
APPLY = "cd /etc/uci-defaults && for file in *; do ( . ./$file ) && rm -f $file; done; uci commit"


@pytest.fixture
def router() -> Iterator[Container]:
    with Container() as router:
        router.put("/etc/config/network", NETWORK)
        router.put("/etc/config/dropbear", "config dropbear\n\toption PasswordAuth 'on'\n")
        router.put("/etc/shadow", SHADOW, 0o600)
        yield router


def first_boot(router: Container, tmp_path: Path, text: str = SITE) -> None:
    (tmp_path / "site.toml").write_text(text)
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    overlay.render(site.load(tmp_path / "site.toml"), tmp_path / "out")
    shutil.copytree(tmp_path / "out", router.root, dirs_exist_ok=True)
    done = router.run(APPLY)
    assert done.status == 0 and not done.errors, done.errors


def get(router: Container, *places: str) -> list[str]:
    return [router.run("uci", "-q", "get", place).output.removesuffix("\n") for place in places]


def test_every_setting_is_applied_to_what_the_device_made_of_its_own(router: Container, tmp_path: Path) -> None:
    first_boot(router, tmp_path)
    assert get(router, *(f"system.@system[0].{name}" for name in ("hostname", "zonename", "timezone"))) == [
        "pump-house", "America/New_York", "EST5EDT,M3.2.0,M11.1.0",
    ]  # fmt: skip
    assert get(router, *(f"network.lan.{name}" for name in ("ipaddr", "netmask", "device", "ip6assign"))) == [
        "10.1.2.1", "255.255.254.0", "br-lan", "60",
    ]  # fmt: skip
    assert get(router, *(f"network.wan.{name}" for name in ("proto", "device", "username", "password"))) == [
        "pppoe", "eth1", "it's $(touch /tmp/gotcha) `touch /tmp/gotcha` \"me\"", "a b;c#d'",
    ]  # fmt: skip
    assert get(router, "network.wan.dns", "network.wan.peerdns") == ["192.0.2.1 192.0.2.2", "0"]
    assert get(router, "dropbear.@dropbear[0].PasswordAuth") == ["on"]
    assert (router.root / "etc/shadow").read_text() == SHADOW.replace("root::", f"root:{HASH}:", 1)
    assert (router.root / "etc/shadow").stat().st_mode & 0o777 == 0o600
    assert not (router.root / "tmp/gotcha").exists()
    assert not (router.root / "etc/uci-defaults/50-site").exists(), "it holds the hash, and is done"
    assert (router.root / "etc/config/mailrelay").stat().st_mode & 0o777 == 0o600


def test_what_the_owner_changed_survives_an_upgrade_that_keeps_settings(router: Container, tmp_path: Path) -> None:
    first_boot(router, tmp_path)
    router.ok("uci", "set", "system.@system[0].hostname=renamed")
    router.ok("uci", "commit", "system")
    first_boot(router, tmp_path)
    assert get(router, "system.@system[0].hostname") == ["renamed"]
    kept = (router.root / "lib/upgrade/keep.d/site").read_text().split()
    assert kept == ["/etc/site.applied"]
    (router.root / "etc/site.applied").unlink()  # as after an upgrade that keeps nothing
    first_boot(router, tmp_path)
    assert get(router, "system.@system[0].hostname") == ["pump-house"]


def test_a_setting_that_fails_is_tried_again_at_the_next_boot(router: Container, tmp_path: Path) -> None:
    (router.root / "etc/config/system").unlink()
    first_boot(router, tmp_path, 'hostname = "pump-house"\n')
    assert (router.root / "etc/uci-defaults/50-site").exists()
    assert "cannot set system.@system[0].hostname" in router.log()
    router.put("/etc/config/system", "config system\n")
    assert router.run(APPLY).status == 0
    assert get(router, "system.@system[0].hostname") == ["pump-house"]
    assert not (router.root / "etc/uci-defaults/50-site").exists()


def test_the_packages_own_defaults_see_the_sites_host_name(router: Container, tmp_path: Path) -> None:
    """Without relay settings in the site file the package writes its own at the first boot, after ours."""
    router.lay_out()
    first_boot(router, tmp_path, 'hostname = "pump-house"\n')
    assert get(router, "mailrelay.main.hostname") == ["pump-house.works.example"]
