"""./inv on a machine that has just been installed: a bare Debian tree without Python, make, git or sudo."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge import debs, host
from forge.errors import ForgeError

from .conftest import cpu_seconds

ROOT = Path(__file__).resolve().parents[2]
NOT_COPIED = (".git", ".venv", ".venv.lock", "__pycache__", ".*_cache", ".hypothesis")
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
ANSWER_SECONDS = 900

pytestmark = [pytest.mark.root, pytest.mark.timeout(ANSWER_SECONDS)]


class Tree:
    """A bare tree and a way to run commands in it, seeing none of the machine's processes or settings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        namespaces = ["--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={self.folder / 'proc'}"]
        return subprocess.run(
            ["unshare", *namespaces, "chroot", self.folder, *argv],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=ANSWER_SECONDS,
        )


@pytest.fixture(params=["bookworm", "trixie"])
def tree(request: pytest.FixtureRequest) -> Iterator[Tree]:
    """Made from the mirrors that this machine uses; what it knows of proxies, keys and package indexes comes along."""
    if not host.command("mmdebstrap"):
        pytest.skip("mmdebstrap is not installed")
    try:
        sources = debs.sources(request.param)
    except ForgeError as error:
        pytest.skip(error.message)
    folder = Path(tempfile.mkdtemp(prefix="mailrelay-bare-", dir="/var/tmp"))
    folder.chmod(0o755)
    try:
        tree = Tree(folder / "tree")
        acquire = folder / "apt.conf"
        acquire.write_text(apt_settings())
        made = subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=apt", "--mode=root", f"--aptopt={acquire}", request.param, tree.folder]
            + sources,
            capture_output=True,
            text=True,
        )
        assert made.returncode == 0, made.stderr
        bring_settings(tree)
        ignore = shutil.ignore_patterns(*NOT_COPIED)
        shutil.copytree(ROOT, tree.folder / "root" / "mailrelay", ignore=ignore, symlinks=True)
        yield tree
    finally:
        shutil.rmtree(folder)


def apt_settings() -> str:
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    kept = ("Acquire::http", "Acquire::ftp", "Acquire::Check", "Acquire::Retries")
    return "".join(f"{line}\n" for line in dump.splitlines() if line.startswith(kept))


def bring_settings(tree: Tree) -> None:
    """How this machine reaches the network: names, proxies, certificates and package indexes."""
    shutil.copy("/etc/resolv.conf", tree.folder / "etc" / "resolv.conf")
    if Path("/etc/pip.conf").exists():
        shutil.copy("/etc/pip.conf", tree.folder / "etc" / "pip.conf")
    tree.environment |= {
        name: value for name, value in os.environ.items() if name.lower().endswith("_proxy") or name.startswith("PIP_")
    }
    if CA_BUNDLE.exists():
        shutil.copy(CA_BUNDLE, tree.folder / "etc" / "host-ca.crt")
        tree.environment["PIP_CERT"] = "/etc/host-ca.crt"


def services(tree: Tree) -> set[Path]:
    folders = (tree.folder / "etc" / "init.d", tree.folder / "usr" / "lib" / "systemd" / "system")
    return {path for folder in folders if folder.exists() for path in folder.iterdir()}


def test_the_demo_works_on_a_bare_debian_and_a_second_start_is_fast(tree: Tree) -> None:
    for name in ("python3", "git", "make", "sudo"):
        assert tree.run("sh", "-c", f"command -v {name}").returncode != 0, f"{name} is in the bare tree"
    before = services(tree)

    first = tree.run("/root/mailrelay/inv", "demo")
    print(first.stdout)
    assert first.returncode == 0
    assert "System packages that are missing:" in first.stdout
    assert first.stdout.index("to download:") < first.stdout.index("Installing them")
    assert services(tree) == before, "a system service was installed"
    assert not (tree.folder / "usr" / "sbin" / "policy-rc.d").exists()
    assert tree.run("sh", "-c", "command -v sendmail || command -v postfix").returncode != 0

    started, used = time.monotonic(), cpu_seconds()
    second = tree.run("/root/mailrelay/inv", "--list")
    took, used = time.monotonic() - started, cpu_seconds() - used
    assert second.returncode == 0, second.stdout
    print(f"second start: {took:.2f} s, {used:.2f} s of it on the processor")
    assert used < 0.3
