"""The relay runs on what OpenWrt's python3-light and python3-openssl hold: every other module is missing here, too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.relay.names import LOCALHOST
from tests.support.certificates import Certificates
from tests.support.relay import SOURCE, Relay, relay_python
from tests.support.scripted_provider import ScriptedProvider
from tests.support.waiting import wait

TABLE = Path(__file__).resolve().parents[1] / "data" / "python-packages.tsv"
OURS = {"python3-base", "python3-light", "python3-openssl"}

# Runs the relay as `python3 -I -S` would, but finds no module of any other package.
LAUNCHER = """
import runpy, sys

class Missing:
    blocked = frozenset({blocked!r})

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in cls.blocked or name.split(".")[0] in cls.blocked:
            raise ModuleNotFoundError(f"not on the router: {{name}}", name=name)
        return None

loaded = [name for name in sys.modules if name.split(".")[0] in Missing.blocked]
assert not loaded, loaded
sys.meta_path.insert(0, Missing)
{localhost}
source = sys.argv.pop(1)
sys.argv[0] = source
runpy.run_path(source, run_name="__main__")
"""


def packages(release: str) -> dict[str, set[str]]:
    found = {}
    for line in TABLE.read_text().splitlines():
        if line.startswith(release + "\t"):
            _, package, modules = line.split("\t")
            found[package] = set(modules.split())
    return found


def blocked(release: str) -> list[str]:
    """Modules that only packages have which we do not depend on, and the codec that python3-codecs brings."""
    by_package = packages(release)
    assert by_package.keys() >= OURS
    ours = set().union(*(by_package[name] for name in OURS))
    others = set().union(*(modules for name, modules in by_package.items() if name not in OURS))
    return sorted(others - ours) + ["encodings.idna", "stringprep", "unicodedata"]


@pytest.fixture(scope="module", params=["24.10", "25.12"])
def launcher(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = blocked(request.param)
    assert {"asyncio", "logging", "email", "urllib", "sqlite3", "uuid", "ctypes", "multiprocessing"} <= set(names)
    path = tmp_path_factory.mktemp("subset") / "launcher.py"
    path.write_text(LAUNCHER.format(blocked=names, localhost=LOCALHOST))
    for folder in path.parents[:3]:
        folder.chmod(0o755)
    return path


def test_the_test_itself_finds_a_missing_module(launcher: Path, tmp_path: Path) -> None:
    for name in ("smtplib", "email", "logging", "encodings.idna"):
        (tmp_path / "__main__.py").write_text(f"import {name}\n")
        result = subprocess.run(
            [relay_python(), "-I", "-S", launcher, tmp_path], capture_output=True, text=True, check=False
        )
        assert result.returncode != 0 and "not on the router" in result.stderr, name


class Bare(Relay):
    launcher = Path()

    def command(self, *arguments: str) -> list[str]:
        return [relay_python(), "-I", "-S", str(self.launcher), str(SOURCE), *arguments]

    def ask(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(self.command(*arguments), input=stdin, capture_output=True, timeout=60, check=False)


def test_every_command_runs_without_the_rest_of_the_standard_library(launcher: Path, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    with ScriptedProvider(tls="starttls", certificate=certificates.good, users={"shop": "s3cret"}) as provider:
        section = f"""
config smarthost
	option host 'localhost'
	option port '{provider.port}'
	option family 'ipv4'
	option auth 'cram-md5'
	option username 'shop'
	option password 's3cret'
	option ca_file '{certificates.ca_file}'
"""
        tmp_path.chmod(0o755)
        relay = Bare("list alias 'root=owner@example.org'\noption postmaster 'boss@example.org'", section)
        relay.launcher = launcher
        with relay:
            place = ("--config", str(relay.config), "--run-dir", str(relay.run_dir))
            queue_id = relay.send("Subject: Grüße\r\n\r\nx\r\n".encode())
            provider.wait_for(1)
            assert provider.messages[0].tls and provider.messages[0].username == "shop"
            provider.script = {"rcpt": "550 5.1.1 no", "auth": "535 5.7.8 no"}
            second = relay.send()
            for words in (["check"], ["status"], ["queue"], ["queue", "--json"], ["show", second], ["hold", second]):
                result = relay.ask(*words[:1], *place, *words[1:])
                assert b"Traceback" not in result.stderr, result.stderr.decode()
                assert b"not on the router" not in result.stderr, result.stderr.decode()
            assert relay.ask("test", *place, "owner@example.org").returncode == 1
            provider.script = {}
            assert b"queued" in (done := relay.ask("test", *place, "owner@example.org")).stdout, done.stderr
            played = relay.ask("test", *place, "--machine")
            assert played.returncode == 0 and b"Delivered" in played.stdout, played.stderr
            for words in (["release", second], ["flush"], ["delete", "--all"]):
                assert b"Traceback" not in relay.ask(*words[:1], *place, *words[1:]).stderr
            sent = relay.ask("sendmail", *place, "-t", stdin=b"To: root\nSubject: x\n\nfrom nut\n.\nnot this\n")
            assert (sent.returncode, sent.stderr) == (0, b"")
            assert json.loads(relay.ask("status", *place, "--json").stdout)["running"]
            wait(lambda: "delivered" in relay.log(), "mail is delivered")
            assert queue_id in relay.log() and "crashed" not in relay.log(), relay.log()


def test_every_module_can_be_imported_by_itself(launcher: Path) -> None:
    files = sorted(path.relative_to(SOURCE).with_suffix("") for path in SOURCE.rglob("*.py"))
    names = [".".join(file.parts) for file in files if not file.name.startswith("__")]
    assert len(names) > 20
    blocker = launcher.read_text().split("source = ")[0]
    code = f"{blocker}\nsys.path.insert(0, {str(SOURCE)!r})\n" + "".join(f"import {name}\n" for name in names)
    result = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
