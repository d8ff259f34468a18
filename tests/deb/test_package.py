"""The .deb on a clean Debian: installed by apt, run as its unit says, mailed through, upgraded, removed and purged."""

from __future__ import annotations

import dataclasses
import email
import json
import re
import shutil
import smtplib
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge.core import paths
from forge.packages import deb, minisdk, stage
from tests.deb.machine import LAN, Lan, Machine, Service
from tests.support.certificates import Certificates
from tests.support.debian_tree import ANSWER_SECONDS, bare
from tests.support.scripted_provider import ScriptedProvider
from tests.support.waiting import wait

pytestmark = [pytest.mark.root, pytest.mark.timeout(ANSWER_SECONDS)]

PASSWORD = "s3cr3t-of-the-provider"
SETTINGS = """\
config mailrelay 'main'
	list network 'eth0'
	list alias 'root=owner@example.org'
	option hostname 'pi.example.net'
	option spool '/var/lib/mailrelay/spool'
	option min_free_space '0'
	option retry_min '1s'

config smarthost 'provider'
	option host '127.0.0.1'
	option port '{port}'
	option username 'plant'
	option password '{password}'
	option ca_file '/etc/mailrelay/ca.pem'
"""


@pytest.fixture(scope="module")
def packages() -> Iterator[dict[str, list[Path]]]:
    """The packages of today's version and of the next one."""
    folder = Path(tempfile.mkdtemp(prefix="mailrelay-deb-"))
    found = {}
    with stage.staged(paths.PACKAGES / "mailrelay", ["mailrelay"], epoch=1_700_000_000) as (package,):
        for version in (package.version, "9.0.0"):
            found[version] = deb.pack(dataclasses.replace(package, version=version), folder)
    yield found
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def debs(packages: dict[str, list[Path]]) -> list[Path]:
    return next(iter(packages.values()))


@pytest.fixture(scope="module")
def machine(packages: dict[str, list[Path]]) -> Iterator[Machine]:
    """A clean machine on which the relay has been installed as people do it."""
    with bare("bookworm") as tree:
        machine = Machine(tree.folder)
        machine.environment = tree.environment
        machine.write("/etc/dpkg/dpkg.cfg.d/fast", "force-unsafe-io\n")
        for files in packages.values():
            machine.bring(*files)
        machine.sh("apt-get -qq update")
        relay = packages[next(iter(packages))][0]
        machine.sh(f"apt-get install -qq --no-install-recommends /root/{relay.name}")
        yield machine


@pytest.fixture(scope="module")
def network() -> Iterator[Lan]:
    with Lan() as network:
        yield network


@pytest.fixture(scope="module")
def provider(network: Lan, machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedProvider]:
    """One with TLS and a login, which the machine knows."""
    certificates = Certificates(tmp_path_factory.mktemp("certificates"))
    machine.write("/etc/mailrelay/ca.pem", certificates.ca_file.read_text())
    with network.within():
        found = ScriptedProvider(tls="starttls", certificate=certificates.good, users={"plant": PASSWORD})
    with found:
        yield found


def send(network: Lan, subject: str) -> None:
    with network.smtp() as client:
        client.sendmail("plc@plant.example", ["you@example.org"], f"Subject: {subject}\r\n\r\nstands still\r\n")


def mode(machine: Machine, path: str) -> tuple[str, int]:
    words = machine.sh(f"stat -c '%U:%G %a' {path}").split()
    return words[0], int(words[1], 8)


# ---- the file -------------------------------------------------------------------------------------------------------


def test_the_same_sources_make_the_same_bytes(debs: list[Path], tmp_path: Path) -> None:
    with stage.staged(paths.PACKAGES / "mailrelay", ["mailrelay"], epoch=1_700_000_000) as (package,):
        again = deb.pack(package, tmp_path)
    assert [path.name for path in again] == ["mailrelay_1.0.0-1_all.deb", "mailrelay-mta_1.0.0-1_all.deb"]
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in debs]


def test_it_holds_the_relay_that_routers_get_and_no_conffile(debs: list[Path]) -> None:
    contents = minisdk.read(debs[0])
    files = {one.path: one for one in contents.files}
    for source in paths.RELAY.rglob("*.py"):
        place = f"/usr/lib/mailrelay/relay/{source.relative_to(paths.RELAY)}"
        assert files[place].size == (
            source.stat().st_size if source.name != "version.py" else len('VERSION = "1.0.0"\n')
        )
    assert contents.conffiles == []
    assert {one.owner for one in contents.files} == {"root:root"}
    assert not [one for one in contents.files if one.mode & stat.S_IWOTH and one.kind != "link"]
    assert not [path for path in files if re.match("/(etc|bin|sbin|lib|usr/local)/", path)]
    assert set(contents.scripts) == {"postinst", "prerm", "postrm"}


def test_it_conflicts_with_nothing_and_its_sendmail_is_a_mail_transport_agent(debs: list[Path]) -> None:
    relay, mta = (dict(minisdk.read(path).control) for path in debs)
    assert not {"Conflicts", "Breaks", "Replaces", "Provides"} & set(relay)
    assert mta["Provides"] == mta["Conflicts"] == mta["Replaces"] == "mail-transport-agent"
    links = {one.path: one.target for one in minisdk.read(debs[1]).files if one.kind == "link"}
    assert {"/usr/sbin/sendmail", "/usr/lib/sendmail", "/usr/bin/mailq", "/usr/bin/newaliases"} <= set(links)


# ---- its life: the tests below follow each other on one machine -----------------------------------------------------


def test_after_the_installation_all_is_there_and_nothing_runs(machine: Machine) -> None:
    assert machine.sh("systemctl --version 2>&1 || echo none").endswith("none\n"), "systemd is not drawn in"
    assert mode(machine, "/etc/config/mailrelay") == ("root:root", 0o600)
    assert mode(machine, "/var/lib/mailrelay") == ("root:mailrelay", 0o750)
    assert mode(machine, "/var/lib/mailrelay/spool") == ("mailrelay:mailrelay", 0o755)
    assert "option enabled '0'" in machine.read("/etc/config/mailrelay")
    assert machine.sh("mailrelay check").count(": warning: ") == 1, "that no provider is set"
    assert machine.sh("id -nG mailrelay") == "mailrelay\n"
    wants = machine.folder / "etc/systemd/system/multi-user.target.wants/mailrelay.service"
    assert wants.is_symlink(), "it is started at boot"
    compiled = machine.folder / "usr/lib/mailrelay/relay"
    assert len(list(compiled.rglob("*.pyc"))) == len(list(paths.RELAY.rglob("*.py")))
    assert machine.sh("mailrelay serve; echo $?").endswith("\n0\n"), "switched off is no failure"


def test_a_mail_from_the_lan_reaches_the_provider(machine: Machine, network: Lan, provider: ScriptedProvider) -> None:
    machine.write("/etc/config/mailrelay", SETTINGS.format(port=provider.port, password=PASSWORD), 0o600)
    with Service(machine, network) as service:
        send(network, "Pump 3")
        provider.wait_for(1, 30)
        (received,) = provider.messages
        assert (received.username, received.tls is not None) == ("plant", True)
        assert email.message_from_bytes(received.data)["Subject"] == "Pump 3"

        with pytest.raises(smtplib.SMTPConnectError, match="554"):
            network.smtp(source="10.9.9.9")

        pids = service.pids()
        names = [re.findall(r"^(?:Uid|CapEff):\s+(\S+)", Path(f"/proc/{pid}/status").read_text(), re.M) for pid in pids]
        uid = machine.sh("id -u mailrelay").strip()
        assert names[0][0] == "0"
        assert bin(int(names[0][1], 16)).count("1") == len(service.unit["CapabilityBoundingSet"].split())
        assert all(one == [uid, "0" * 16] for one in names[1:]), "everybody else is mailrelay without any rights"
        status = json.loads(service.sh("mailrelay status --json"))
        assert {f"{LAN}.1:25", "127.0.0.1:25", "[::1]:25"} <= set(status["listening"])
        assert f"{LAN}.0/24" in status["allow"]


def test_a_reload_takes_new_settings_and_refuses_faulty_ones(machine: Machine, network: Lan) -> None:
    settings = machine.read("/etc/config/mailrelay")
    with Service(machine, network) as service:
        machine.write("/etc/config/mailrelay", settings.replace("'pi.example.net'", "'other.example.net'"))
        service.reload()
        wait(lambda: _name(network) == b"other.example.net", "the settings are taken")
        machine.write("/etc/config/mailrelay", settings.replace("min_free_space '0'", "min_free_space 'none'"))
        service.reload()
        wait(lambda: "reload-refused" in service.log.read_text(), "the fault is told")
        assert network.greets()
    machine.write("/etc/config/mailrelay", settings)


def _name(network: Lan) -> bytes:
    with network.smtp() as client:
        return client.docmd("HELO plc")[1].split()[0]


def test_it_follows_the_addresses_of_its_interface(machine: Machine, network: Lan) -> None:
    with Service(machine, network) as service:
        network.ip("address", "add", "192.168.8.1/24", "dev", "eth0")
        wait(lambda: network.greets("192.168.8.1"), "it listens on a new address")
        wait(lambda: "192.168.8.0/24" in service.sh("mailrelay status"), "and serves the machines beside it")
        network.ip("address", "delete", "192.168.8.1/24", "dev", "eth0")
        wait(lambda: "192.168.8" not in service.sh("mailrelay status"), "and stops when it is gone")
        reloads = service.log.read_text().count(" reloaded ")
        network.ip("address", "add", "192.168.9.1/24", "dev", "cable")  # an interface that it was not told of
        network.ip("address", "add", "192.168.8.1/24", "dev", "eth0")
        wait(lambda: network.greets("192.168.8.1"), "it listens again")
        wait(lambda: service.log.read_text().count(" reloaded ") > reloads, "and says so")
        assert service.log.read_text().count(" reloaded ") == reloads + 1


def test_programs_of_the_machine_mail_through_it_too(
    machine: Machine, network: Lan, provider: ScriptedProvider, debs: list[Path]
) -> None:
    wanted = machine.sh("apt-get install -s bsd-mailx | grep -c '^Inst exim4-daemon' || true")
    assert wanted == "1\n", "without it, what recommends a mail server brings another one"
    machine.sh(f"dpkg --install /root/{debs[1].name}")
    assert machine.sh("apt-get install -s bsd-mailx | grep -c '^Inst exim4' || true") == "0\n"
    before = len(provider.messages)
    with Service(machine, network) as service:
        service.sh("printf 'Subject: cron\\n\\nfailed\\n' | /usr/lib/sendmail root", "nobody")
        provider.wait_for(before + 1, 30)
        assert provider.messages[-1].recipients == [b"owner@example.org"]
        assert provider.messages[-1].sender == b"nobody@pi.example.net"
        assert "empty" in service.sh("mailq")
        assert "aliases" in service.sh("newaliases", "nobody").lower()


def test_an_upgrade_keeps_settings_and_queue(
    machine: Machine, network: Lan, provider: ScriptedProvider, packages: dict[str, list[Path]]
) -> None:
    provider.script = {"mail": "451 4.3.0 not now"}
    before = len(provider.messages)
    with Service(machine, network) as service:
        send(network, "waits")
        wait(lambda: "451" in service.sh("mailrelay queue"), "the provider has put it off")
    settings = machine.read("/etc/config/mailrelay")
    machine.sh("dpkg --install " + " ".join(f"/root/{path.name}" for path in packages["9.0.0"]))
    assert machine.sh("dpkg-query -W mailrelay mailrelay-mta") == "mailrelay\t9.0.0-1\nmailrelay-mta\t9.0.0-1\n"
    assert (machine.read("/etc/config/mailrelay"), mode(machine, "/etc/config/mailrelay")[1]) == (settings, 0o600)
    provider.script = {}
    # As in a spool that the owner moved elsewhere: the first process has not root's right to look in there.
    machine.sh("chmod 700 /var/lib/mailrelay/spool/*")
    with Service(machine, network):
        provider.wait_for(before + 1, 30)
    assert email.message_from_bytes(provider.messages[-1].data)["Subject"] == "waits"


def test_settings_that_the_owner_deleted_are_not_brought_back_by_an_upgrade(
    machine: Machine, packages: dict[str, list[Path]]
) -> None:
    config = machine.folder / "etc/config/mailrelay"
    kept = config.rename(machine.folder / "root/kept")
    machine.sh(f"dpkg --install /root/{packages['9.0.0'][0].name}")
    assert not config.exists()
    kept.rename(config)


def test_removal_keeps_what_is_the_owners_and_a_purge_leaves_nothing(machine: Machine) -> None:
    machine.write("/var/lib/mailrelay/spool/queue/something", "mail")
    print(machine.sh("dpkg --remove mailrelay-mta mailrelay"))
    assert PASSWORD in machine.read("/etc/config/mailrelay")
    assert (machine.folder / "var/lib/mailrelay/spool/queue/something").exists()
    assert not (machine.folder / "usr/lib/mailrelay").exists()
    assert not (machine.folder / "usr/sbin/sendmail").is_symlink()
    print(machine.sh("dpkg --purge mailrelay-mta mailrelay"))
    machine.sh("rm -r /etc/mailrelay")  # which was made by this test
    assert machine.left_of("mailrelay") == []
    assert not (machine.folder / "etc/config").exists()
    assert machine.sh("getent passwd mailrelay; getent group mailrelay; true") == ""
