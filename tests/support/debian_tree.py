"""A bare Debian in a folder: made once a day for each suite, by mmdebstrap, and unpacked for each test that wants one.

The proof of ./inv on a new machine (tests/bare) and that of the .deb (tests/deb) start here. Needs root.
"""

from __future__ import annotations

import datetime
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from forge.core import paths
from forge.core.errors import ForgeError
from forge.host import debian_packages, host
from forge.host.namespaces import apart

CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
ANSWER_SECONDS = 900
KEPT_SECONDS = 7 * 86400


class Tree:
    """A bare tree and a way to run commands in it, seeing none of the machine's processes or settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        self.binds: dict[Path, str] = {}  # folders of the machine's, and where the tree has them

    def run(self, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
        namespaces = apart("--pid", "--fork", "--kill-child", f"--mount-proc={self.folder / 'proc'}")
        binds = [word for here, there in self.binds.items() for word in (str(here), f"{self.folder}{there}")]
        script = 'tree=$1 count=$2; shift 2; while [ $count -gt 0 ]; do mount --bind "$1" "$2" || exit; shift 2'
        script += '; count=$((count - 1)); done; exec chroot "$tree" "$@"'
        return subprocess.run(
            [*namespaces, "sh", "-c", script, "sh", self.folder, str(len(binds) // 2), *binds, *argv],
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=ANSWER_SECONDS,
        )

    def keep(self, name: str) -> None:
        """From here on what is downloaded is kept on the machine for the next tree; renewed every week."""
        kept = paths.cache("bare", name)
        if time.time() - kept.stat().st_ctime > KEPT_SECONDS:
            shutil.rmtree(kept)
        for folder, there in (("archives", "/var/cache/apt/archives"), ("cache", "/root/.cache")):
            (self.folder / there.lstrip("/")).mkdir(parents=True, exist_ok=True)
            self.binds[paths.cache("bare", name, folder)] = there
        paths.cache("bare", name, "archives", "partial")


@contextmanager
def bare(suite: str) -> Iterator[Tree]:
    """A tree of its own, with what this machine knows of proxies, keys and package indexes. Skips where none can be."""
    archive = _archive(suite)
    folder = Path(tempfile.mkdtemp(prefix="mailrelay-bare-", dir="/var/tmp"))
    try:
        folder.chmod(0o755)
        tree = Tree(folder / "tree")
        tree.folder.mkdir()
        subprocess.run(["tar", "--extract", f"--file={archive}", f"--directory={tree.folder}"], check=True)
        _bring_settings(tree)
        yield tree
    finally:
        shutil.rmtree(folder)


def _archive(suite: str) -> Path:
    """Made from the mirrors that this machine uses. A day later the package lists in it are out of date."""
    if not host.command("mmdebstrap"):
        pytest.skip("mmdebstrap is not installed")
    try:
        sources = debian_packages.sources(suite)
    except ForgeError as error:
        pytest.skip(error.message)
    folder = paths.cache("trees")
    archive = folder / f"{suite}-{datetime.date.today()}.tar"
    with FileLock(folder / f".{suite}.lock"):
        if not archive.exists():
            for old in folder.glob(f"{suite}-*.tar"):
                old.unlink()
            with tempfile.TemporaryDirectory(prefix="mailrelay-bare-", dir="/var/tmp") as scratch:
                settings = Path(scratch, "apt.conf")
                settings.write_text(_apt_settings())
                made = Path(scratch, "tree.tar")
                argv = ["mmdebstrap", "--quiet", "--variant=apt", "--mode=root", f"--aptopt={settings}", suite]
                done = subprocess.run([*argv, str(made), *sources], capture_output=True, text=True)
                assert done.returncode == 0, done.stderr
                partial = archive.with_suffix(".part")
                shutil.move(made, partial)
                partial.rename(archive)
    return archive


def _apt_settings() -> str:
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    kept = ("Acquire::http", "Acquire::ftp", "Acquire::Check", "Acquire::Retries")
    return "".join(f"{line}\n" for line in dump.splitlines() if line.startswith(kept))


def _bring_settings(tree: Tree) -> None:
    """How this machine reaches the network: names, proxies, certificates and package indexes."""
    shutil.copy("/etc/resolv.conf", tree.folder / "etc" / "resolv.conf")
    if Path("/etc/pip.conf").exists():
        shutil.copy("/etc/pip.conf", tree.folder / "etc" / "pip.conf")
    tree.environment |= {
        name: value for name, value in os.environ.items() if name.lower().endswith("_proxy") or name.startswith("PIP_")
    }
    bundle = Path(os.environ.get("PIP_CERT") or CA_BUNDLE)
    if bundle.exists():
        shutil.copy(bundle, tree.folder / "etc" / "host-ca.crt")
        tree.environment["PIP_CERT"] = "/etc/host-ca.crt"
