"""./inv on a machine that has just been installed: a bare Debian tree without Python, make, git or sudo."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.debian_tree import ANSWER_SECONDS, Tree, bare

from .conftest import cpu_seconds

ROOT = Path(__file__).resolve().parents[2]
NOT_COPIED = (".git", ".venv", ".venv.lock", "__pycache__", ".*_cache", ".hypothesis")

pytestmark = [pytest.mark.root, pytest.mark.timeout(ANSWER_SECONDS)]


@pytest.fixture(params=["bookworm", "trixie"])
def tree(request: pytest.FixtureRequest) -> Iterator[Tree]:
    with bare(request.param) as tree:
        ignore = shutil.ignore_patterns(*NOT_COPIED)
        shutil.copytree(ROOT, tree.folder / "root" / "mailrelay", ignore=ignore, symlinks=True)
        yield tree


def services(tree: Tree) -> set[Path]:
    folders = (tree.folder / "etc" / "init.d", tree.folder / "usr" / "lib" / "systemd" / "system")
    return {path for folder in folders if folder.exists() for path in folder.iterdir()}


def test_the_demo_works_on_a_bare_debian_and_a_second_start_is_fast(tree: Tree) -> None:
    for name in ("python3", "git", "make", "sudo"):
        assert tree.run("sh", "-c", f"command -v {name}").returncode != 0, f"{name} is in the bare tree"
    before = services(tree)

    first = tree.run("/root/mailrelay/inv", "demo", "--local")
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
