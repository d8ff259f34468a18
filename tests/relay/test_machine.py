"""machine: what is known of the machine that a config is for, and what the check makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mailrelay.config import machine, schema
from mailrelay.config.machine import Machine, ThisMachine
from tests.relay.test_schema import HOST, MAIN, SMTP, good


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """Give a machine a name and its files; return what the relay on it calls itself."""

    def hostname(name: str, **files: str) -> str:
        monkeypatch.setattr("socket.gethostname", lambda: name)
        for constant in ("DHCP", "HOSTS", "RESOLVER"):
            path = tmp_path / constant
            path.write_text(files.get(constant.lower(), ""))
            monkeypatch.setattr(machine, constant, str(path))
        ours = ThisMachine().hostname()
        assert good("").main.hostname == ours
        return ours

    return hostname


def test_the_system_name_is_made_fit_for_ehlo(system: Callable[..., str]) -> None:
    for name, ours in (("OpenWrt", "OpenWrt"), ("my_router", "my-router"), ("plc.plant.example", "plc.plant.example"),
                       ("localhost", "mailrelay"), ("localhost.localdomain", "mailrelay"), ("", "mailrelay"),
                       ("pi.localdomain", "pi"), ("10.0.0.1", "mailrelay")):  # fmt: skip
        assert system(name) == ours


@pytest.mark.parametrize(
    ("files", "ours"),
    [
        ({"dhcp": "config dnsmasq\n\toption domain 'lan'\n"}, "pi.lan"),
        ({"dhcp": "config dnsmasq\nconfig dhcp 'lan'\n", "resolver": "search plant.example\n"}, "pi.plant.example"),
        ({"dhcp": "no UCI", "hosts": "127.0.0.1 localhost\n127.0.1.1\tpi.plant.example pi\n"}, "pi.plant.example"),
        ({"hosts": "127.0.1.1 pi\n::1 localhost pi.localdomain pi\n"}, "pi"),
        ({"hosts": "127.0.0.1 localhost.localdomain pi\n192.0.2.1 other.example.org other\n"}, "pi"),
        ({"resolver": "domain old.example\nsearch plant.example. example\nnameserver 192.0.2.1\n"},
         "pi.plant.example"),
        ({"resolver": "# search no.example\nsearch .\n"}, "pi"),
        ({"resolver": "search\noptions edns0\n"}, "pi"),
        ({"resolver": "search localdomain\n"}, "pi"),
        ({"resolver": "search bad_domain\n"}, "pi"),
    ],
)  # fmt: skip
def test_a_name_without_a_dot_gets_the_domain_that_the_system_knows(
    files: dict[str, str], ours: str, system: Callable[..., str]
) -> None:
    assert system("pi", **files) == ours
    assert system("box.example.net", **files) == "box.example.net"


def test_a_spool_in_memory_is_recognised(tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    upper.mkdir()
    mounts = tmp_path / "mounts"
    mounts.write_text(
        f"overlayfs:/x / overlay rw,lowerdir=/,upperdir={upper},workdir=/w 0 0\n"
        f"tmpfs {tmp_path} tmpfs rw 0 0\n"
        "tmpfs /srv/ram tmpfs rw 0 0\n"
        "/dev/sda1 /srv/ram/disk ext4 rw 0 0\n"
        "tmpfs /srv/a\\040b tmpfs rw 0 0\n"
        "overlayfs:/y /srv/gone overlay rw,upperdir=/no/such/folder 0 0\n"
    )
    expected = {
        "/etc/spool": True,
        "/srv/ram/spool": True,
        "/srv/ramdisk": True,  # beside /srv/ram, so on the root overlay
        "/srv/ram/disk/spool": False,
        "/srv/a b/c": True,
        "/srv/gone/x": False,
    }
    assert {path: machine.on_memory(path, str(mounts)) for path in expected} == expected


def test_openwrt_networks_are_known_by_their_names(tmp_path: Path) -> None:
    file = tmp_path / "network"
    file.write_text("config interface 'lan'\n\toption device 'br-lan'\nconfig device\nconfig interface 'guest'\n")
    assert machine.openwrt_networks(str(file)) == ["lan", "guest"]
    assert machine.openwrt_networks(str(tmp_path / "none")) == []


NOT_HERE = "list network 'lo0'\noption spool '/tmp/mail'\noption notify '/no/such/program'\n"
NOT_HERE += SMTP + "option ca_file '/no/such/file'\noption username u\noption password p"


def test_of_another_machine_nothing_is_said_that_only_it_can_know() -> None:
    found, _, warnings = schema.check((MAIN + NOT_HERE).encode(), "FILE", Machine())
    assert found is not None and warnings == []
    assert len(schema.check((MAIN + NOT_HERE).encode(), "FILE", ThisMachine())[2]) >= 3


def test_the_machines_facts_are_those_that_are_passed_in() -> None:
    class Router(Machine):
        def networks(self) -> list[str]:
            return ["lan", "guest"]

        def owns(self, address: str) -> bool:
            return address == "192.0.2.7"

    text = MAIN + "list network lan\nlist network wan6\nlist network wan\n"
    text += HOST + "option host 192.0.2.7\noption port 25"
    _, faults, warnings = schema.check(text.encode(), "FILE", Router(exposed={"wan": "outside"}))
    assert [(fault.code, fault.line) for fault in faults] == [("exposed-network", 4), ("itself", 6)]
    assert "in the firewall zone 'outside', which faces the internet" in faults[0].problem
    assert [finding.line for finding in warnings if finding.code == "unknown-network"] == [3]
