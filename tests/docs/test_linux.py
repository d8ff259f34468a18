"""The relay on any Linux, as the documentation has it done: its lines typed as they stand, as root, on a machine of
their own with the user, the settings, port 25 and the interface eth0 that they name.

The machine is this one in namespaces of its own: /etc can be written to and is forgotten. No provider can be reached.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge.core import paths
from forge.host.namespaces import apart, enter
from tests.docs import pages, places
from tests.support.waiting import wait

pytestmark = pytest.mark.root

README = paths.ROOT / "README.md"
HOST = "router.example.net"  # as the dialogues have it
BOOT = f"""
mount -t proc proc /proc
mount -t tmpfs tmpfs "$0"
mkdir "$0/upper" "$0/work" "$0/bin" "$0/usb"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$0/upper,workdir=$0/work" /etc
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /mnt
mkdir /mnt/usb
userdel mailrelay 2>/dev/null || :
hostname {HOST}
ip link set lo up
ip link add eth0 type veth peer name cable
ip address add 192.168.1.1/24 dev eth0
ip link set eth0 up
ip link set cable up
echo ready
exec sleep infinity
"""
DIALOGUE = r"""
import re, socket, sys
with socket.create_connection(("192.168.1.1", 25), timeout=60) as client:
    stream = client.makefile("rwb")
    for line in sys.stdin.read().splitlines():
        if re.match(r"\d{3} ", line):
            print(stream.readline().decode().rstrip(), flush=True)
        else:
            stream.write(line.encode() + b"\r\n")
            stream.flush()
"""
# The words that readers put something of their own in place of; {id} is a mail that waits.
OPERANDS = {"ADDRESS": "you@example.org", "[ID…]": "{id}", "ID…": "{id}", "ID": "{id}", "FILE": "/etc/config/mailrelay"}
WITHOUT_PROVIDER = {"test": 1}  # exit statuses where no provider answers
ONLY_ON_ROUTERS = ("compile",)  # tests/relay/test_bytecode.py


class Linux:
    """`with Linux(folder)`: commands run in the checkout's folder, `mailrelay` is the relay's command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Linux:
        self.process = subprocess.Popen(
            [*apart("--net", "--uts", "--pid", "--fork", "--kill-child"), "sh", "-euc", BOOT, str(self.folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self.pid = int(children[0])
        self.sh(f"printf '#!/bin/sh\\nexec python3 -I -S {paths.RELAY} \"$@\"\\n' >{self.folder}/bin/mailrelay")
        self.sh(f"chmod 755 {self.folder}/bin/mailrelay")
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for server in self.servers:
            server.wait()

    def start(self, script: str) -> subprocess.Popen[str]:
        into = enter(self.pid, "--net", "--uts", "--pid", f"--wd={paths.ROOT}")
        return subprocess.Popen(
            [*into, "bash", "-c", script],
            env={"PATH": f"{self.folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def sh(self, script: str, stdin: str = "", status: int = 0) -> str:
        started = self.start(script)
        output, _ = started.communicate(stdin, timeout=120)
        assert started.returncode == status, (script, started.returncode, output)
        return output

    def serve(self, script: str) -> None:
        """Without waiting for its end; the relay answers afterwards."""
        self.servers.append(self.start(script))
        wait(lambda: self.start("mailrelay status").wait() == 0, "the relay runs")

    def a_mail(self) -> str:
        """The id of one that waits."""
        self.sh("mailrelay sendmail you@example.org", "Subject: Alarm\n\npump 3\n")
        return str(re.findall(r"^\w{16}\b", self.sh("mailrelay queue"), re.MULTILINE)[-1])


@pytest.fixture(scope="module")
def linux(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Linux]:
    """After the lines of the README that set the relay up and start it."""
    (settings,) = [one for one in pages.blocks() if one.first.page == README and one.kind == "settings"]
    folder = tmp_path_factory.mktemp("linux")
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == 0 and parent.name.startswith(("pytest", "linux")):
            parent.chmod(0o755)
    with Linux(folder) as linux:
        linux.sh(f"cat >{folder}/my-settings", settings.text)
        for line in [line for line in pages.commands() if line.page == README]:
            text = line.text.replace("my-settings", f"{folder}/my-settings")
            if re.match(r"useradd|install |python3 .* check", text):
                linux.sh(text)
            elif re.match(r"python3 .* serve", text):
                linux.serve(text)
        yield linux


def test_the_readmes_settings_are_in_effect(linux: Linux) -> None:
    status = linux.sh("mailrelay status")
    assert "192.168.1.1" in status and "gmail" in status
    assert linux.sh("stat -c %a /etc/config/mailrelay") == "600\n"


@pytest.mark.parametrize("block", [one for one in pages.blocks() if one.kind == "dialogue"], ids=str)
def test_the_relay_answers_the_dialogue_as_it_is_shown(block: pages.Block, linux: Linux) -> None:
    def same(text: str) -> str:
        return re.sub(r"(?<=Queued as )\S+", "ID", text)

    first, *said = block.text.splitlines()
    assert first.split() == ["$", "telnet", "192.168.1.1", "25"]
    answers = linux.sh(f"{sys.executable} -I -c '{DIALOGUE}'", "\n".join(said)).splitlines()
    assert [same(line) for line in answers] == [same(line) for line in said if re.match(r"\d{3} ", line)]


def lines() -> list[pages.Line]:
    """Each once, those in the prose and the tables as well."""
    found: dict[str, pages.Line] = {}
    for line in [*places.of("test_linux.py"), *(one for one in pages.spans() if one.text.startswith("mailrelay"))]:
        found.setdefault(line.command, line)
    return list(found.values())


@pytest.mark.parametrize("line", lines(), ids=str)
def test_the_line_works(line: pages.Line, linux: Linux) -> None:
    text = line.text.replace("package/mailrelay/src", str(paths.RELAY))
    words = text.split()
    command = words[4 if text.startswith("python3") else 1] if re.match("python3|mailrelay", text) else ""
    if command == "serve" or words[0] in ("useradd",) or "my-settings" in text or command in ONLY_ON_ROUTERS:
        return  # the fixture has run it, or says so
    if line.text.startswith("250 "):
        (swaks,) = [one.text for one in places.of("test_linux.py") if one.text.startswith("swaks ")]
        assert line.text.split("…")[0] in linux.sh(swaks)
        return
    for word, sample in OPERANDS.items():
        if re.search(rf"(?<= ){re.escape(word)}(?= |$)", text):
            text = text.replace(word, sample.format(id=linux.a_mail()) if "{id}" in sample else sample)
            break
    if command == "release":
        linux.sh(text.replace("release", "hold"))
    stdin = "To: you@example.org\n\n" if command == "sendmail" else ""
    if command == "sendmail":
        text += " -t"
    if command == "check":
        assert "fault" not in linux.sh(text)
        return
    linux.sh(text, stdin, WITHOUT_PROVIDER.get(command, 0))


def test_mailq_and_newaliases_are_commands(linux: Linux) -> None:
    for command in ("mailq", "newaliases"):
        linux.sh(f"mailrelay {command}")


@pytest.mark.parametrize("block", [one for one in pages.blocks() if one.kind == "script"], ids=str)
def test_the_script_sends_mail(block: pages.Block, linux: Linux) -> None:
    script = block.text.replace("/path/to", str(paths.ROOT))
    linux.sh(f"cat >{linux.folder}/sendmail && chmod 755 {linux.folder}/sendmail", script)
    before = linux.sh("mailrelay queue").count("\n")
    linux.sh(f"{linux.folder}/sendmail you@example.org", "Subject: cron\n\nby a script\n")
    wait(lambda: linux.sh("mailrelay queue").count("\n") > before, "the mail is in the queue")
