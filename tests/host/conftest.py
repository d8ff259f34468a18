"""A checkout of its own for tests of ./inv: the real wrapper and tasks, with a lock file that holds Invoke alone."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEEDED = ("inv", "tasks.py", "forge", "package/mailrelay/Makefile", "feeds")


# Tasks that need nothing but Invoke, and one that also wants a system package.
TASKS = '''

@cli.task(rest="words")
def hello(_: Context) -> None:
    """Say hello."""
    print("hello", *cli.remainder(), flush=True)


@cli.task(needs=needs.Needs(frozenset({"lint"})))
def linted(_: Context) -> None:
    """Say that shellcheck is there."""
    print("linted", flush=True)
'''


class Checkout:
    """A folder with a copy of what ./inv needs, and a way to start it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.inv = folder / "inv"
        self.venv = folder / ".venv"
        self.stamp = self.venv / ".stamp.base"
        folder.mkdir(parents=True)
        for name in NEEDED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, folder / name)
        with (folder / "tasks.py").open("a") as file:
            file.write(TASKS)
        entries = re.split(r"\n(?=[a-z0-9])", (ROOT / "requirements.txt").read_text().rstrip())
        (invoke,) = (entry for entry in entries if entry.startswith("invoke=="))
        (folder / "requirements.txt").write_text(invoke + "\n")
        (folder / "requirements").mkdir()
        for lock in (ROOT / "requirements").glob("*.txt"):
            (folder / "requirements" / lock.name).write_text(invoke + "\n")

    def start(self, *words: str, **options: object) -> subprocess.CompletedProcess[str]:
        """Runs ./inv to its end, with both its outputs."""
        settings: dict[str, object] = {"cwd": "/", "env": clean_environment(), "argv0": self.inv, **options}
        argv0 = settings.pop("argv0")
        shell = settings.pop("shell", [])
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            [*shell, argv0, *words],  # type: ignore[misc]
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            **settings,
        )

    def ok(self, *words: str, **options: object) -> subprocess.CompletedProcess[str]:
        """The same, which succeeds."""
        done = self.start(*words, **options)
        assert done.returncode == 0, done.stderr
        return done

    def begin(self, **environment: str) -> subprocess.Popen[str]:
        """`./inv hello` in a session of its own, not waited for."""
        return subprocess.Popen(
            [self.inv, "hello"],
            env=clean_environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without what pytest's own virtual environment or sudo put there."""
    left_out = ("VIRTUAL_ENV", "PYTHONPATH", "SUDO_UID", "SUDO_GID", "SUDO_USER")
    return {**{name: value for name, value in os.environ.items() if name not in left_out}, **more}


def cpu_seconds() -> float:
    """Processor time of all programs run to their end so far; unlike the clock, it bears a busy machine."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.fixture
def scratch() -> Iterator[Path]:
    """An empty folder that every user can look into, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="mailrelay-inv-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def checkout(scratch: Path) -> Checkout:
    return Checkout(scratch / "a checkout")


@pytest.fixture(scope="module")
def started() -> Iterator[Checkout]:
    """A checkout in which ./inv has been started once."""
    folder = Path(tempfile.mkdtemp(prefix="mailrelay-inv-", dir="/var/tmp"))
    checkout = Checkout(folder / "a checkout")
    checkout.ok("hello")
    yield checkout
    shutil.rmtree(folder)
