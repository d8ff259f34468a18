"""./inv on a machine that has just been installed: a bare Debian tree without Python, make, git, sudo or /etc/hosts.

The other Debian than this one: whole, as a newcomer does it. Then the ways in which a checkout gets onto a machine,
with a demo that ends before QEMU. What the trees download is kept for the next run; on a new machine nothing is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from forge.host import debian_packages
from tests.host.conftest import cpu_seconds
from tests.support.debian_tree import ANSWER_SECONDS, Tree, bare

ROOT = Path(__file__).resolve().parents[2]
NOT_COPIED = (".git", ".venv", ".venv.lock", "__pycache__", ".*_cache", ".hypothesis", "dist")
AREA = "package"  # has chroots, namespaces, other users and Debian's Postfix
FILES = [f"tests/{AREA}/test_{name}.py" for name in ("install", "postfix_mail", "standin_procd")]
OTHER = "bookworm" if debian_packages.release().get("VERSION_CODENAME") == "trixie" else "trixie"
OWN = "trixie" if OTHER == "bookworm" else "bookworm"
OWNER = 1234
HARMLESS = ("e2scrub", "qemu-vmsr-helper")  # of e2fsprogs and QEMU, and asleep

# The demo, up to what needs QEMU: all that it brings, and the package.
STUB = """

def run(target: str = "", release: str = "", keep: bool = False) -> None:
    with tempfile.TemporaryDirectory() as folder:
        console.say(f"packed {minisdk.packed('mailrelay', Path(folder)).name}")
"""

pytestmark = [pytest.mark.root, pytest.mark.timeout(2 * ANSWER_SECONDS)]


@pytest.fixture(scope="module")
def repository() -> Iterator[Path]:
    """A git repository with this checkout as it is, in two commits of which the last one touches no package."""
    folder = Path(tempfile.mkdtemp(prefix="mailrelay-repository-", dir="/var/tmp"))
    source = folder / "mailrelay"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*NOT_COPIED), symlinks=True)
    _git(source, "init", "--quiet")
    _commit(source, "2026-01-02T03:04:05Z")
    _commit(source, "2026-02-03T04:05:06Z")
    yield source
    shutil.rmtree(folder)


def _git(folder: Path, *words: str, **environment: str) -> None:
    who = {f"GIT_{role}_{what}": "nobody" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    subprocess.run(["git", "-C", folder, *words], check=True, env={**os.environ, **who, **environment})


def _commit(folder: Path, when: str) -> None:
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--allow-empty", "-m", when, GIT_AUTHOR_DATE=when, GIT_COMMITTER_DATE=when)


@pytest.fixture(scope="module")
def tree(repository: Path) -> Iterator[Tree]:
    with bare(OTHER) as tree:
        (tree.folder / "etc" / "hosts").unlink(missing_ok=True)
        (tree.folder / "root").chmod(0o700)
        tree.keep(OTHER)
        clone(repository, tree.folder / "root" / "mailrelay")
        yield tree


# ---- how a checkout comes to a machine ------------------------------------------------------------------------------


def clone(repository: Path, folder: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", repository, folder], check=True)


def shallow(repository: Path, folder: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{repository}", folder], check=True)


def archive(repository: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    with subprocess.Popen(["git", "-C", repository, "archive", "HEAD"], stdout=subprocess.PIPE) as packed:
        subprocess.run(["tar", "--extract", f"--directory={folder}"], stdin=packed.stdout, check=True)


def of_another_user(repository: Path, folder: Path) -> None:
    clone(repository, folder)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, OWNER, OWNER, follow_symlinks=False)


def inside_another_repository(repository: Path, folder: Path) -> None:
    """One that ignores everything, as a repository of a home folder's settings does."""
    archive(repository, folder)
    _git(folder.parent, "init", "--quiet")
    (folder.parent / ".gitignore").write_text("*\n")
    (folder.parent / "kept").touch()
    _git(folder.parent, "add", "--force", "kept")
    _commit(folder.parent, "2001-01-01T00:00:00Z")


def stub(folder: Path) -> None:
    with (folder / "forge" / "demo" / "lab.py").open("a") as file:
        file.write(STUB)


# ---- the proofs -----------------------------------------------------------------------------------------------------


def services(tree: Tree) -> set[Path]:
    folders = (tree.folder / "etc" / "init.d", tree.folder / "usr" / "lib" / "systemd" / "system")
    return {path for folder in folders if folder.exists() for path in folder.iterdir()}


def test_help_says_what_is_missing_and_installs_nothing(tree: Tree) -> None:
    before = (tree.folder / "var" / "lib" / "dpkg" / "status").read_bytes()
    for words in (["--help"], ["image", "--help"], ["--version"], []):
        said = tree.run("/root/mailrelay/inv", *words)
        assert said.returncode == 3
        assert "there is no" in said.stdout or "there is none" in said.stdout
        assert "./inv demo" in said.stdout
    assert (tree.folder / "var" / "lib" / "dpkg" / "status").read_bytes() == before


def test_the_demo_works_on_a_bare_debian_and_a_second_start_is_fast(tree: Tree) -> None:
    for name in ("python3", "git", "make", "sudo"):
        assert tree.run("sh", "-c", f"command -v {name}").returncode != 0, f"{name} is in the bare tree"
    before = services(tree)

    first = tree.run("/root/mailrelay/inv", "demo")
    print(first.stdout)
    assert first.returncode == 0
    assert "It works: 2 mails in by plain SMTP, 2 out" in first.stdout
    assert "System packages that are missing:" in first.stdout
    assert first.stdout.index("to download:") < first.stdout.index("Installing them")
    assert "git is not on this machine" in first.stdout
    brought = {path.name for path in services(tree) - before}
    assert all(name.startswith(HARMLESS) for name in brought), f"a system service was installed: {brought}"
    assert not (tree.folder / "usr" / "sbin" / "policy-rc.d").exists()
    for name in ("sendmail", "postfix", "chromium", "shellcheck", "git"):
        assert tree.run("sh", "-c", f"command -v {name}").returncode != 0, f"the demo brought {name}"
    assert not list((tree.folder / "root" / "mailrelay" / ".venv").glob("lib/python3*/site-packages/mypy"))

    used = cpu_seconds()
    second = tree.run("/root/mailrelay/inv", "--list")
    used = cpu_seconds() - used
    assert second.returncode == 0, second.stdout
    assert used < 0.3


def test_an_area_of_the_tests_passes_there(tree: Tree) -> None:
    done = tree.run("/root/mailrelay/inv", "test", "--only", AREA, "--", *FILES)
    print(done.stdout[-20000:])
    assert done.returncode == 0
    assert " 0 failed" in done.stdout


@pytest.mark.parametrize(
    ("lay", "note"),
    [
        (shallow, "2026-02-03 04:05:06 UTC"),
        (of_another_user, ""),
        (inside_another_repository, "2026-02-03 04:05:06 UTC"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_demo_takes_a_checkout_of_any_kind(
    tree: Tree, repository: Path, lay: Callable[[Path, Path], None], note: str
) -> None:
    """By now the tree has git. Where it does not tell the package's own commit, the time of HEAD is taken, and told."""
    folder = tree.folder / "root" / lay.__name__ / "mailrelay"
    folder.parent.mkdir()
    lay(repository, folder)
    stub(folder)
    done = tree.run(f"/root/{lay.__name__}/mailrelay/inv", "demo")
    print(done.stdout)
    assert done.returncode == 0
    assert "packed mailrelay_" in done.stdout
    assert note in done.stdout
    assert ("get the time" in done.stdout) == bool(note)
    shutil.rmtree(folder.parent)


def test_a_user_with_sudo_needs_to_do_nothing_as_root(repository: Path) -> None:
    with bare(OWN) as tree:
        tree.keep(OWN)
        assert tree.run("sh", "-c", "apt-get -qq update && apt-get -qq install --yes sudo </dev/null").returncode == 0
        assert tree.run("useradd", "--create-home", "--uid", str(OWNER), "owner").returncode == 0
        (tree.folder / "etc" / "sudoers.d" / "owner").write_text("owner ALL=(ALL) NOPASSWD: ALL\n")
        home = tree.folder / "home" / "owner"
        archive(repository, home / "mailrelay")
        stub(home / "mailrelay")
        for path in home.rglob("*"):
            os.chown(path, OWNER, OWNER, follow_symlinks=False)
        done = tree.run("setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--init-groups", "/home/owner/mailrelay/inv",
                        "demo", HOME="/home/owner")  # fmt: skip
        print(done.stdout)
        assert done.returncode == 0
        assert "packed mailrelay_" in done.stdout
        assert "2026-02-03 04:05:06 UTC" in done.stdout, "the time of HEAD is in the archive"
        assert {path for path in home.rglob("*") if path.lstat().st_uid != OWNER} == set()
