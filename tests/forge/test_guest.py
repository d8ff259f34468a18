"""Guests: what QEMU is started with, what becomes of a guest that dies, and that nothing outlives its starter.

The guest here is a boot sector of our own on a real QEMU; tests/lab has whole routers.
"""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from forge.core import paths, timeouts
from forge.core.errors import MissingError, UsageError
from forge.host import host
from forge.vm import guest, machines, registry
from forge.vm.guest import Guest, GuestError
from forge.vm.machines import Disk, Forwards, Load
from forge.vm.terminal import Keys
from tests.forge import boot_sector
from tests.support.waiting import wait

READY = "procd: - init complete -\r\n"
INV = [sys.executable, "-P", "-c", "from forge.inv.main import main; main()"]
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Console logs and keys of tests are no one else's."""
    monkeypatch.setenv(paths.CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return boot_sector.disk(tmp_path / "disk.img", READY)


@pytest.fixture
def router(image: Path) -> Iterator[Guest]:
    with closing(Guest("x86/64", image)) as made:
        made.open()
        yield made


def booted(router: Guest) -> Guest:
    router.wait_console(guest.READY, end=timeouts.deadline(PATIENCE))
    return router


def type_and_see(router: Guest, line: str, back: bytes) -> None:
    router.serial.type(line)
    router.wait_console(re.compile(re.escape(back)), end=timeouts.deadline(PATIENCE))


def qemus(folder: Path) -> list[int]:
    """Processes whose command line names that folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(folder).encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found


# ---- what QEMU is started with --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target, words",
    [
        ("lab-mipsel", ["qemu-system-mipsel", "-machine malta", "-cpu P5600", "-m 128"]),
        ("lab-x86-64", ["qemu-system-x86_64", "-machine q35", "-cpu max"]),
        ("lab-arm64", ["qemu-system-aarch64", "-machine virt", "-cpu cortex-a53"]),
        ("lab-armhf", ["qemu-system-arm ", "-machine virt", "-cpu cortex-a15"]),
        ("x86/64", ["qemu-system-x86_64", "-machine q35", "virtio-net-pci,netdev=lan,mac=52:54:00:00:00:01"]),
        ("armsr/armv8", ["qemu-system-aarch64", "-bios /usr/share/qemu-efi-aarch64/QEMU_EFI.fd"]),
        ("malta/le", ["qemu-system-mipsel", "-cpu P5600", "ide-hd,drive=disk0", "pcnet,netdev=wan,mac"]),
    ],
)  # fmt: skip
def test_each_target_has_its_machine(target: str, words: list[str], tmp_path: Path) -> None:
    machine = machines.find(target)
    line = " ".join(machines.argv(machine, Load(disks=(Disk(tmp_path / "d", "d"),)), tmp_path))
    for word in [*words, "-accel tcg", "-nodefaults", "-display none"]:
        assert word in line
    assert not machine.lab or machine.target != "lab-mipsel" or "ieee754=relaxed" in machine.append


def test_the_lan_is_closed_and_knows_the_routers_own_address(tmp_path: Path) -> None:
    argv = machines.argv(
        machines.find("x86/64"), Load(), tmp_path, lan="10.9.0.2/29", forwards=Forwards(lan=(22,), wan=(25,))
    )
    lan, wan = (argv[at + 1] for at, word in enumerate(argv) if word == "-netdev")
    assert lan.split(",") == [
        "user", "id=lan", "net=10.9.0.0/29", "host=10.9.0.1", "dhcpstart=10.9.0.6", "dns=10.9.0.5", "restrict=on",
        "ipv6=off", "hostfwd=tcp:127.0.0.1:0-10.9.0.2:22",
    ]  # fmt: skip
    assert "restrict" not in wan and "hostfwd=tcp:127.0.0.1:0-203.0.113.15:25" in wan
    with pytest.raises(UsageError, match="too small"):
        machines.argv(machines.find("x86/64"), Load(), tmp_path, lan="10.9.0.1/30")


def test_a_comma_in_a_path_stays_in_the_path(tmp_path: Path) -> None:
    argv = machines.argv(machines.find("x86/64"), Load(disks=(Disk(Path("/a,b"), "d"),)), tmp_path)
    assert any("file=/a,,b" in word for word in argv)


@pytest.mark.parametrize(
    "target, words",
    [("lab-mips", "Did you mean lab-mipsel"), ("ramips/mt7621", "no machine for ramips; malta/le"), ("x86", "x86/64")],
)
def test_a_target_that_qemu_cannot_play_is_told_with_what_it_can(target: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        machines.find(target)
    assert words in str(caught.value)


def test_a_missing_qemu_is_told_with_its_package(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "command", lambda name: None)
    with pytest.raises(MissingError, match=r"qemu-system-x86_64 is not on this machine(.|\n)*qemu-system-x86"):
        Guest("x86/64", image).open()


# ---- a guest's life -------------------------------------------------------------------------------------------------


def test_a_snapshot_brings_memory_and_disk_back(router: Guest) -> None:
    type_and_see(booted(router), "a", b"a1\n2")
    snapshot = router.save()
    (disk,) = snapshot.disks
    disk.write_bytes(disk.read_bytes()[:-1] + b"x")
    type_and_see(router, "b", b"b3\n4")
    router.restore(snapshot, ssh=False)
    assert disk.read_bytes()[-1:] == b"\0"
    type_and_see(router, "c", b"c3\n4")


def test_the_power_can_be_cut_and_come_back(router: Guest) -> None:
    type_and_see(booted(router), "a", b"a1\n2")
    first = router.pid
    router.cut_power()
    assert not router.running() and not Path(f"/proc/{first}").exists()
    router.power_on()
    type_and_see(booted(router), "z", b"z1\n2")
    assert "a1" not in router.serial.text, "what was printed before does not count for this boot"


def test_ports_are_free_ones_of_loopback_and_differ_between_guests(router: Guest, image: Path) -> None:
    with closing(Guest("x86/64", image)) as other:
        other.open()
        assert set(router.ports) == {("lan", 22), ("lan", 25), ("lan", 80), ("wan", 22), ("wan", 25)}
        assert not set(router.ports.values()) & set(other.ports.values())
        assert router.lan(25) == ("127.0.0.1", router.ports["lan", 25])
    with pytest.raises(GuestError, match=r"port 110 of the guest's lan is not forwarded; these are: \[22, 25, 80\]"):
        router.lan(110)


def test_a_guest_that_powers_itself_off_is_told_with_its_last_words(tmp_path: Path) -> None:
    image = boot_sector.disk(tmp_path / "disk.img", "no root to be found\r\n", boot_sector.POWER_OFF)
    with pytest.raises(GuestError) as caught, Guest("x86/64", image):
        pass
    assert "is gone: powered itself off" in str(caught.value)
    assert "| no root to be found" in str(caught.value)
    kept = re.search(r"the whole console: (\S+)", str(caught.value))
    assert kept and "no root to be found" in Path(kept[1]).read_text()


def test_a_panic_ends_the_wait_at_once(tmp_path: Path) -> None:
    image = boot_sector.disk(tmp_path / "disk.img", "Kernel panic - not syncing: VFS\r\n")
    with pytest.raises(GuestError, match="has died: Kernel panic - not syncing: VFS"), Guest("x86/64", image):
        pass


def test_a_guest_that_stays_silent_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    with closing(Guest("x86/64", boot_sector.disk(tmp_path / "disk.img", "waiting for a root\r\n"))) as router:
        router.open()
        router.wait_console(re.compile(b"waiting for a root"), end=timeouts.deadline(PATIENCE))
        with pytest.raises(GuestError, match=r"has not finished booting(.|\n)*\| waiting for a root"):
            router.wait(seconds=0.05)


def test_qemus_own_complaint_is_shown(image: Path) -> None:
    router = Guest("x86/64", image, memory=1 << 40)
    with pytest.raises(GuestError, match="qemu-system-x86_64 does not start\n  QEMU: "):
        router.open()
    assert router.folder == Path(), "nothing is left of it"


# ---- nothing is left ------------------------------------------------------------------------------------------------


def test_qemu_ends_with_a_starter_that_is_killed(image: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from forge.vm.guest import Guest; import time\n"
        f"g = Guest('x86/64', Path({str(image)!r})); g.open(); print(g.folder, g.pid, flush=True); time.sleep(600)"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=paths.ROOT)
    assert starter.stdout is not None
    folder, pid = starter.stdout.readline().split()
    assert [state["pid"] for place, state in registry.guests() if str(place) == folder] == [int(pid)]
    starter.kill()
    starter.wait()
    starter.stdout.close()
    wait(lambda: not qemus(Path(folder)), "QEMU has ended")
    wait(lambda: folder not in [str(place) for place, _ in registry.guests()], "its state is known to be stale")
    os.utime(folder, (0, 0))
    registry.sweep()
    assert not Path(folder).exists()


def test_a_state_file_of_a_number_that_another_process_has_now_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "PARENT", str(tmp_path))
    folder = tmp_path / f"{registry.PREFIX}x"
    folder.mkdir()
    state = {"pid": os.getpid(), "started": registry.started(os.getpid()), "target": "x86/64"}
    (folder / "state.json").write_text(json.dumps(state))
    assert [found["target"] for _, found in registry.guests()] == ["x86/64"]
    (folder / "state.json").write_text(json.dumps({**state, "started": "1"}))
    assert registry.guests() == []
    (folder / "state.json").write_text("{")
    assert registry.guests() == []


def test_ctrl_c_ends_the_task_with_130_and_leaves_nothing(image: Path) -> None:
    argv = [*INV, "qemu", "--target", "x86/64", "--firmware", str(image)]
    task = subprocess.Popen(argv, cwd=paths.ROOT, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    assert task.stdout is not None
    lines = []
    for line in task.stdout:
        lines.append(line)
        if "init complete" in line:
            break
    (folder,) = (place for place, state in registry.guests() if state["firmware"] == str(image))
    task.send_signal(signal.SIGINT)
    lines.append(task.stdout.read())
    assert task.wait(PATIENCE * timeouts.factor()) == 130
    task.stdout.close()
    text = "".join(lines)
    assert re.search(r"^lan +25 +127\.0\.0\.1:\d+$", text, re.MULTILINE)
    assert not qemus(folder) and not folder.exists()
    assert "Traceback" not in text


@pytest.mark.terminal
def test_on_a_terminal_keys_reach_the_guest_and_ctrl_a_x_ends_it(image: Path) -> None:
    argv = [*INV, "qemu", "--target", "x86/64", "--firmware", str(image)]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(paths.ROOT)
        os.execv(argv[0], argv)
    seen = b""

    def read(until: bytes) -> None:
        nonlocal seen
        end = timeouts.deadline(PATIENCE)
        while until not in seen:
            assert time.monotonic() < end, seen
            if select.select([terminal], [], [], 1)[0]:
                seen += os.read(terminal, 4096)

    read(b"init complete")
    os.write(terminal, b"q")
    read(b"q1")
    os.write(terminal, b"\x03")  # Ctrl-C is the guest's
    read(b"\x032")
    os.write(terminal, b"\x01x")
    read(b"has ended")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)


def test_ctrl_a_twice_is_one_for_the_guest() -> None:
    keys = Keys()
    assert keys.take(b"ab\x01") == b"ab"
    assert keys.take(b"\x01c") == b"\x01c"
    assert keys.take(b"\x01X") is None


def test_ssh_without_a_guest_says_how_to_start_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from forge.inv import qemu

    monkeypatch.setattr(registry, "PARENT", str(tmp_path))
    with pytest.raises(UsageError, match=r"no guest is running \(start one in another terminal: ./inv qemu\)"):
        qemu.ssh(target="", words=[])
