"""./inv: what a user may rely on when starting it."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterable
from pathlib import Path

import pytest

from forge.host.namespaces import apart
from tests.support.waiting import wait

from .conftest import Checkout, clean_environment, cpu_seconds

# What a start with everything in place needs from the system.
TOOLS = ("sh", "dirname", "readlink", "cat", "sha256sum", "id", "stat", "grep", "sed", "flock", "touch", "chown", "env")


def tool_folder(folder: Path, names: Iterable[str] = TOOLS) -> Path:
    """A folder to be the whole search path: the real tools, and no others."""
    folder.mkdir()
    for name in names:
        real = shutil.which(name)
        assert real, name
        (folder / name).symlink_to(real)
    return folder


def fake(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


# ---- starting -------------------------------------------------------------------------------------------------------


def test_it_works_from_any_folder_through_a_symbolic_link(started: Checkout, scratch: Path) -> None:
    first, second = scratch / "link", scratch / "link to link"
    first.symlink_to(started.inv)
    second.symlink_to("link")
    result = started.ok("--list", argv0="./link to link", cwd=scratch)
    assert "demo" in result.stdout


@pytest.mark.parametrize("shell", ["dash", "busybox sh", "bash --posix"])
def test_every_posix_shell_runs_it(started: Checkout, shell: str) -> None:
    if not shutil.which(shell.split()[0]):
        pytest.skip(f"{shell.split()[0]} is not installed")
    result = started.ok("--list", shell=shell.split())
    assert result.stderr == ""


def test_a_second_start_takes_under_300_ms(started: Checkout) -> None:
    durations = []
    for _ in range(5):
        before = cpu_seconds()
        started.ok("hello")
        durations.append(cpu_seconds() - before)
    assert min(durations) < 0.3, durations


def test_a_second_start_asks_neither_apt_nor_dpkg_nor_pip(started: Checkout, scratch: Path) -> None:
    tools = tool_folder(scratch / "tools")
    for name in ("apt-get", "apt-cache", "dpkg", "dpkg-query", "sudo", "pip", "python3"):
        fake(tools, name, f"echo {name} >>'{scratch}/asked'")
    started.ok("hello", env=clean_environment(PATH=str(tools)))
    assert not (scratch / "asked").exists()


# ---- .venv ----------------------------------------------------------------------------------------------------------


def test_a_start_that_was_killed_while_making_venv_mends_itself(checkout: Checkout) -> None:
    killed = checkout.begin()
    wait((checkout.venv / "pyvenv.cfg").exists, "the environment is begun", 60)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not checkout.stamp.exists()
    (checkout.venv / "left behind").touch()
    checkout.ok("hello")
    assert checkout.stamp.exists()
    assert not (checkout.venv / "left behind").exists()


def test_of_two_starts_at_once_one_makes_venv_and_both_go_on(checkout: Checkout) -> None:
    starts = [checkout.begin() for _ in range(2)]
    results = [start.communicate(timeout=120) for start in starts]
    assert [start.returncode for start in starts] == [0, 0], results
    assert sorted("Making .venv" in errors for _, errors in results) == [False, True], results
    assert all("hello" in output for output, _ in results)


def test_venv_is_made_anew_when_the_lock_file_changes(checkout: Checkout) -> None:
    checkout.ok("hello")
    (checkout.venv / "old").touch()
    with (checkout.folder / "requirements.txt").open("a") as file:
        file.write("# changed\n")
    checkout.ok("hello")
    assert not (checkout.venv / "old").exists()


def test_a_package_with_another_hash_is_refused_with_what_pip_says(checkout: Checkout) -> None:
    lock = checkout.folder / "requirements.txt"
    name = lock.read_text().split()[0]
    lock.write_text(f"{name} --hash=sha256:{'0' * 64}\n")
    result = checkout.start("hello")
    assert result.returncode == 1
    assert "pip could not install" in result.stderr
    assert "DO NOT MATCH THE HASHES" in result.stderr or "do not match" in result.stderr
    assert not checkout.stamp.exists()


# ---- system packages ------------------------------------------------------------------------------------------------


def test_without_apt_it_says_what_is_missing_and_why(started: Checkout, scratch: Path) -> None:
    tools = tool_folder(scratch / "tools")
    result = started.start("linted", env=clean_environment(PATH=str(tools)))
    assert result.returncode == 3
    assert "shellcheck     checks the shell scripts" in result.stderr
    assert "there is no apt-get here" in result.stderr
    assert "apt-get install --no-install-recommends shellcheck" in result.stderr


@pytest.mark.parametrize(
    ("sudo", "why"),
    [(False, "not root, and there is no sudo here"), (True, "sudo wants a password, and there is no terminal")],
)
def test_without_root_it_says_what_is_missing_and_how_big_and_never_waits_for_a_password(
    started: Checkout, scratch: Path, sudo: bool, why: str
) -> None:
    tools = fake_apt(scratch)
    fake(tools, "id", "echo 1000")
    if sudo:
        fake(tools, "sudo", f"printf '%s ' \"$@\" >>'{scratch}/sudo'; exit 1")
    result = started.start("linted", env=clean_environment(PATH=str(tools)))
    assert result.returncode == 3
    for said in ("shellcheck     checks the shell scripts", "to download: 3,141 kB", why):
        assert said in result.stderr
    assert "apt-get install --no-install-recommends shellcheck" in result.stderr
    assert not installs(scratch)
    assert not sudo or (scratch / "sudo").read_text().startswith("-n ")


@pytest.mark.root
def test_as_root_it_names_reason_and_size_before_it_installs(started: Checkout, scratch: Path) -> None:
    tools = fake_apt(scratch)
    result = started.ok("linted", env=clean_environment(PATH=str(tools)), shell=hide_sbin())
    said = result.stderr
    assert said.index("checks the shell scripts") < said.index("to download: 3,141 kB") < said.index("Installing")
    (install,) = installs(scratch)
    assert "--no-install-recommends" in install
    assert "--no-remove" in install
    assert install.endswith("install shellcheck")
    assert not any("update" in line for line in asked(scratch))


@pytest.mark.root
def test_the_package_lists_are_fetched_only_where_apt_does_not_know_the_package(
    started: Checkout, scratch: Path
) -> None:
    tools = fake_apt(scratch, lists=False)
    started.ok("linted", env=clean_environment(PATH=str(tools)), shell=hide_sbin())
    assert sum("update" in line for line in asked(scratch)) == 1
    assert len(installs(scratch)) == 1


@pytest.mark.root
def test_no_service_is_started_while_packages_are_installed(started: Checkout, scratch: Path) -> None:
    policy = "/usr/sbin/policy-rc.d"
    tools = fake_apt(scratch, during_install=f"{policy} ssh start; echo $? >'{scratch}/policy'")
    result = started.ok("linted", env=clean_environment(PATH=str(tools)), shell=hide_sbin(f"/bin/ls {policy}"))
    assert (scratch / "policy").read_text() == "101\n"
    assert "No such file" in result.stderr


@pytest.mark.root
def test_sudo_leaves_no_files_of_roots_behind(checkout: Checkout) -> None:
    user = 65534  # nobody
    for path in [checkout.folder, *checkout.folder.rglob("*")]:
        os.chown(path, user, user, follow_symlinks=False)
    environment = clean_environment(SUDO_UID=str(user), SUDO_GID=str(user), SUDO_USER="nobody")
    checkout.ok("hello", env=environment)
    owners = {path: path.lstat().st_uid for path in [checkout.folder, *checkout.folder.rglob("*")]}
    assert checkout.stamp in owners
    assert {path for path, owner in owners.items() if owner != user} == set()


def hide_sbin(afterwards: str = ":") -> list[str]:
    """Starts what follows with an empty /usr/sbin that nobody else sees, so that the machine's own stays as it is."""
    namespace = apart()
    unshare, mount, shell = shutil.which(namespace[0]), shutil.which("mount"), shutil.which("sh")
    assert unshare and mount and shell
    script = f'{mount} -t tmpfs none /usr/sbin && "$@" && {{ {afterwards} || :; }}'
    return [unshare, *namespace[1:], shell, "-c", script, "sh"]


def fake_apt(scratch: Path, *, lists: bool = True, during_install: str = ":") -> Path:
    """A search path whose apt-get only writes down what it is asked, and `installs` a fake shellcheck."""
    tools = tool_folder(scratch / "tools", [*TOOLS, "rm", "chmod", "mktemp"])
    if lists:
        (scratch / "lists").touch()
    fake(
        tools,
        "apt-get",
        f"""echo "$@" >>'{scratch}/asked'
case "$*" in
    *--assume-no*)
        [ -e '{scratch}/lists' ] || {{ echo 'E: Unable to locate package'; exit 100; }}
        echo 'Need to get 3,141 kB of archives.'
        echo 'After this operation, 27 MB of additional disk space will be used.'
        exit 1 ;;
    *update*) touch '{scratch}/lists' ;;
    *install*) {during_install}; printf '#!/bin/sh\\n' >'{tools}/shellcheck'; chmod 755 '{tools}/shellcheck' ;;
esac""",
    )
    return tools


def asked(scratch: Path) -> list[str]:
    path = scratch / "asked"
    return path.read_text().splitlines() if path.exists() else []


def installs(scratch: Path) -> list[str]:
    return [line for line in asked(scratch) if " install" in line and "--assume-no" not in line]


def test_the_lock_file_names_no_registry() -> None:
    lock = (Path(__file__).resolve().parents[2] / "requirements.txt").read_text()
    assert "://" not in lock
    assert "--index-url" not in lock
