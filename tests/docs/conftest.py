"""A scratch checkout in which the documentation's command lines are run, with a cache and settings of its own."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge.core import paths

NOT_COPIED = (".git", ".venv", ".venv.lock", "__pycache__", ".*_cache", ".hypothesis", "dist", "img")
CLOSED = "http://127.0.0.1:9"  # a proxy that answers nobody: no server is asked


class Checkout:
    """A copy of this checkout. Its .venv has this machine's packages, so that ./inv has none to bring."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "mailrelay"
        shutil.copytree(paths.ROOT, self.folder, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True)
        venv = self.folder / ".venv"
        venv.mkdir()
        for name in ("bin", "lib", "lib64", "pyvenv.cfg"):
            (venv / name).symlink_to(Path(sys.prefix, name))
        locks = {"base": paths.REQUIREMENTS} | {one.stem: one for one in (paths.ROOT / "requirements").glob("*.txt")}
        for name, lock in locks.items():
            digest, python = hashlib.sha256(lock.read_bytes()).hexdigest(), os.path.realpath(venv / "bin" / "python")
            (venv / f".stamp.{name}").write_text(f"{digest}  - {python} {self.folder}\n")
        kept = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "USER")
        self.environment = {name: os.environ[name] for name in kept if name in os.environ} | {
            "MAILRELAY_CACHE": str(folder / "cache"),
            "MAILRELAY_CONFIG": str(folder / "config"),
            "http_proxy": CLOSED,
            "https_proxy": CLOSED,
            "TERM": "dumb",
        }

    def sh(self, script: str, **more: str) -> subprocess.CompletedProcess[str]:
        """A shell's line, in the checkout's folder, with both outputs in one."""
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )

    def ok(self, script: str, **more: str) -> str:
        done = self.sh(script, **more)
        assert done.returncode == 0, (script, done.returncode, done.stdout)
        return done.stdout


@pytest.fixture(scope="session")
def checkout() -> Iterator[Checkout]:
    """With the packages built for both package managers, for Debian, and as a feed."""
    folder = Path(tempfile.mkdtemp(prefix="mailrelay-docs-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        checkout = Checkout(folder)
        checkout.ok("./inv --quiet build build --format deb feed --url https://example.org/feed")
        for name in ("my-site.toml", "plant7.toml", "sites/plant7.toml"):
            place = checkout.folder / name
            place.parent.mkdir(exist_ok=True)
            shutil.copy(checkout.folder / "examples/site.toml", place)
        yield checkout
    finally:
        shutil.rmtree(folder)
