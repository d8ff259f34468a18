"""Calls the relay's commands as real processes, as whoever a test wants."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.relay import SOURCE, Relay, relay_command, relay_python

STRANGER = 54321  # a uid without an entry in /etc/passwd
EXAMPLE = "m" * 16  # looks like a queue id


@dataclass
class Done:
    """What a command left: its exit code and what it printed."""

    code: int
    raw: bytes
    errors: str

    @property
    def text(self) -> str:
        return self.raw.decode()


def call(*arguments: str, given: bytes = b"", uid: int | None = None, python: str = "", source: Path = SOURCE) -> Done:
    """Run `mailrelay` with these arguments to its end; an exception on a terminal is never what a user should see."""
    argv = relay_command(*arguments, python=python, source=source)
    if uid is None:
        done = subprocess.run(argv, input=given, capture_output=True, timeout=60)
    else:
        done = subprocess.run(
            argv, input=given, capture_output=True, timeout=60, user=uid, group=uid, extra_groups=[], cwd="/"
        )
    errors = done.stderr.decode()
    assert "Traceback" not in errors, errors
    return Done(done.returncode, done.stdout, errors)


def places(relay: Relay) -> list[str]:
    """The options that lead to a test's relay."""
    return ["--config", str(relay.config), "--run-dir", str(relay.run_dir), "--spool", str(relay.spool)]


def python_for_all() -> str:
    """A Python that every user may run, with the sources readable too; skips the test where there is none."""
    readable = all(part.stat().st_mode & 0o001 for part in (SOURCE, *SOURCE.parents))
    for name in (relay_python(), "/usr/bin/python3", "/usr/local/bin/python3"):
        real = Path(os.path.realpath(name))
        if readable and real.exists() and all(part.stat().st_mode & 0o001 for part in (real, *real.parents)):
            version = subprocess.run(
                [name, "-c", "import sys; print(sys.version_info >= (3, 10))"], capture_output=True
            )
            if version.stdout.strip() == b"True":
                return name
    pytest.skip("no Python here that another user may run")
