"""What the machine lacks for the tests is told in one line; and what they mount in a chroot stays theirs."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from forge.checks import lacking
from forge.host import namespaces
from forge.host.namespaces import apart, enter
from forge.servers import postfix


def fail(*_: object, **__: object) -> None:
    raise OSError(1, "not here")


def test_what_is_missing_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setattr(pty, "openpty", fail)
    monkeypatch.setattr(postfix, "obstacle", lambda: "no sudo")
    monkeypatch.setattr(namespaces, "apart", lambda *_: ["sh", "-c", "echo unshare: refused; exit 1"])
    line = lacking.line()
    assert "\n" not in line
    for thing in (
        "the name localhost (/etc/hosts: not here)",
        "pseudo terminals (/dev/pts: not here)",
        "root (no sudo)",
    ):
        assert thing in line
    assert ("namespaces (unshare: refused)" in line) == (os.geteuid() == 0)


def test_a_machine_that_lacks_nothing_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lacking, "_found", lambda: iter(()))
    assert lacking.line() == ""


# The root of a chroot is often no mount point: then it is not among the mounts that a process sees.
CHROOT = """
import sys
from pathlib import Path
from forge.host import namespaces
namespaces.MOUNTS = Path(sys.argv[1])
print(*namespaces.apart())
"""


def in_a_chroot(tmp_path: Path, propagation: str) -> subprocess.CompletedProcess[str]:
    mounts = tmp_path / "mountinfo"
    mounts.write_text("36 35 98:0 / /proc rw - proc proc rw\n")
    argv = [*apart("--propagation", propagation), sys.executable, "-c", CHROOT, str(mounts)]
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(argv, cwd=root, capture_output=True, text=True, timeout=60)


@pytest.mark.root
def test_in_a_chroot_mounts_are_made_only_where_they_do_not_show_outside(tmp_path: Path) -> None:
    if apart() != ["unshare", "--mount"]:
        pytest.skip("this is such a chroot, where unshare can't be told what to do")
    done = in_a_chroot(tmp_path, "private")
    assert done.stdout.split() == ["unshare", "--mount", "--propagation", "unchanged"], done.stderr
    done = in_a_chroot(tmp_path, "shared")
    assert "what is mounted in this chroot shows outside of it as well" in done.stderr


@pytest.mark.root
def test_what_is_mounted_in_a_namespace_is_seen_by_those_who_enter_it_alone(tmp_path: Path) -> None:
    script = 'mount -t tmpfs none "$0" && touch "$0/inside" && echo && exec cat'
    with subprocess.Popen(
        [*apart(), "sh", "-c", script, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout and holder.stdout.readline() == b"\n"
        listed = subprocess.run([*enter(holder.pid), "ls", tmp_path], capture_output=True, text=True)
        assert listed.stdout == "inside\n", listed.stderr
        assert list(tmp_path.iterdir()) == []
        holder.kill()
