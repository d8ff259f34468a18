"""The tasks `qemu` and `ssh`: a router in QEMU, its console on this terminal, and a way in from another."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from forge.core import console, paths, proc
from forge.core.errors import UsageError
from forge.images import lab
from forge.site import site as sites
from forge.site.toml_document import InvalidValue
from forge.site.types import own_address
from forge.vm import firmware as firmwares
from forge.vm import machines, registry, terminal
from forge.vm.guest import Guest
from forge.vm.ssh import Ssh


def run(*, target: str, firmware: str, release: str, disk: str, site: str, lan: str, memory: int) -> None:
    """Boot it and stay until the guest ends, Ctrl-A X on a terminal, or Ctrl-C elsewhere."""
    machine = machines.find(target)
    chosen = sites.load(Path(site)) if site else sites.Site()
    for option, given in (("--site", site), ("--release", release)):
        if given and firmware:
            raise UsageError(
                f"{option} goes into firmware that is built here", hint=f"leave out --firmware, or {option}"
            )
    if lan:
        lan = _address(lan)
    elif chosen.lan:
        lan = f"{chosen.lan.address}/{chosen.lan.length}"
    elif firmware and machine.lab:
        lan = firmwares.lan(Path(firmware))
    image = Path(firmware) if firmware else _build(machine, chosen, release)
    proc.end_in_order()
    router = Guest(
        machine.target,
        image,
        disk=Path(disk).absolute() if disk else True,
        lan=lan or machines.LAN_ADDRESS,
        memory=memory,
        listed=True,
    )
    try:
        router.open()
        _introduce(router, disk)
        terminal.attach(router)
        console.say()
        console.good(f"{machine.target} has ended; nothing is left but {disk or 'its console log'}")
    finally:
        log = router.serial.keep()
        router.close()
        if log:
            console.note(f"its console: {log}")


def _address(text: str) -> str:
    try:
        return str(own_address(text))
    except InvalidValue as error:
        raise UsageError(f"--lan: {error.problem}", hint=error.hint) from None


def _build(machine: machines.Machine, site: sites.Site, release: str) -> Path:
    if not machine.lab:
        raise UsageError(
            f"{machine.target} boots an image of OpenWrt", hint="name it: --firmware openwrt-…-combined.img.gz"
        )
    with console.step(f"the firmware {machine.target}"):
        return lab.default(machine.target, site, release).folder


def _introduce(router: Guest, disk: str) -> None:
    console.title(f"{router.machine.target} on {router.machine.qemu}, {router.memory or router.machine.memory} MB")
    rows = [(side, str(port), f"127.0.0.1:{there}") for (side, port), there in router.ports.items()]
    console.table(("from its", "port", "reached at"), rows)
    console.note(f"this machine's loopback is {machines.HOST_FROM_WAN} for the guest")
    console.note(f"what it writes is kept in {disk}" if disk else "what it writes is gone when it ends (--disk FILE)")
    console.note("in another terminal: ./inv ssh")
    console.note("Ctrl-A X ends it" if terminal.is_interactive() else "Ctrl-C ends it")
    console.say()


def ssh(*, target: str, words: Sequence[str]) -> int:
    """A shell on the guest that runs (the newest, or that of `target`), or a command there; its exit status."""
    if target:
        target = machines.find(target).target
    listed = [(folder, state) for folder, state in registry.guests() if state.get("checkout") == str(paths.ROOT)]
    found = [(folder, state) for folder, state in listed if target in ("", state["target"])]
    if not found:
        raise UsageError(
            f"no guest {target + ' ' if target else ''}is running", hint="start one in another terminal: ./inv qemu"
        )
    folder, state = found[0]
    if len(found) > 1:
        console.note(f"{len(found)} guests are running; this is the newest, {state['target']} (--target names another)")
    way = Ssh("127.0.0.1", int(state["lan"]["22"]), folder=folder)
    return subprocess.call([*way.argv, *words])
