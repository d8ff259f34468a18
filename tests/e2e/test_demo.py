"""`./inv demo`, with and without --local: shows what it promises, says so by its status, leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge.core import paths, uci_text
from forge.core.errors import ForgeError
from forge.core.paths import ROOT
from forge.demo import lab, story
from forge.demo import local as local_demo
from forge.servers import postfix, relay
from forge.vm import registry

BOTH = (
    "C: mail from: <plc@plant.example>",
    "250 2.0.0 Queued as ",
    "TLSv1.",
    "sasl_username=controllino@provider.example",
    "+ Message-ID: <",
    "  Tank level is 87 % and rising.",
    "Connection refused",
    "The queue is empty.",
    "It works",
)
pytestmark = pytest.mark.skipif(bool(postfix.obstacle()), reason=postfix.obstacle() or "-")


def left_behind() -> set[Path]:
    return set(Path(relay.PARENT).glob("mailrelay-*"))


@pytest.fixture
def kept() -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", "from forge.demo import local; local.run(keep=True)"]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True, text=True)
    yield process
    process.kill()
    process.wait()


def told_folders(process: subprocess.Popen[str]) -> set[Path]:
    """The folders it works in, read from what it prints, up to the end of its story."""
    assert process.stdout
    text = ""
    for line in process.stdout:
        text += line
        if line.startswith("  arrived  "):
            break
    return {Path(name) for name in re.findall(rf"{relay.PARENT}/mailrelay-[\w-]+", text)}


def test_tells_the_whole_story_and_keeps_the_password_to_itself(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    passwords = []

    class Watched(postfix.Provider):
        def __init__(self) -> None:
            super().__init__()
            passwords.append(self.password)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_demo, "Provider", Watched)
        patch.setattr(paths, "DIST", tmp_path)
        local_demo.run()
    shown = capsys.readouterr().out
    for promise in (*BOTH, "530 5.7.0 Must issue a STARTTLS", "+ Date: ", "kill -9"):
        assert promise in shown
    assert passwords[0] not in shown
    assert (tmp_path / "logs/demo-local.log").read_text() == shown
    assert "\x1b" not in shown, "no colours where there is no terminal"


@pytest.mark.timeout(600)  # two boots
def test_tells_the_whole_story_on_a_router_and_leaves_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix="demo-", dir=registry.PARENT) as own:  # others work beside this one
        monkeypatch.setattr(registry, "PARENT", Path(own))
        lab.run()
        assert os.listdir(own) == []
    shown = capsys.readouterr().out
    password = "uci set mailrelay.provider.password='••••••••'"
    installed = ("apk add --allow-untrusted", "(1/1) Installing mailrelay (", "made as 25.12: apk, Python 3.11")
    said = (password, "Debian has no Python 3.13 for mipsel", "not a byte", "listener", "QEMU is killed")
    for promise in (*BOTH, "MIPS", *installed, *said):
        assert promise in shown


def test_fails_when_the_mail_does_not_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "WAIT", 0.5)
    monkeypatch.setattr(local_demo, "_config", lambda provider: uci_text.uci([("mailrelay main", {"network": ["lo"]})]))
    with pytest.raises(ForgeError):
        local_demo.run()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_kept_up_it_ends_with_nothing_left_on_any_signal(kept: subprocess.Popen[str], number: int) -> None:
    folders = told_folders(kept)
    assert len(folders) == 2 and all(folder.is_dir() for folder in folders)
    os.killpg(kept.pid, number)
    assert kept.wait(20) == 0
    assert not folders & left_behind()
