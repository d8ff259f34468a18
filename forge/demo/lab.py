"""`./inv demo`: a router of the lab's boots in QEMU, gets the package and, by uci, a provider, and relays mail.

The machine that reports is on the router's LAN; the provider is on this machine's loopback, which the router reaches
through its WAN. What is shown is measured there and then. Nothing is left behind; a failure raises ForgeError.
"""

from __future__ import annotations

import contextlib
import shlex
import tempfile
import time
from pathlib import Path

from forge.core import console, logs, proc, timeouts
from forge.core.errors import ForgeError, UsageError
from forge.core.ports import greeting
from forge.demo import story
from forge.lab import firmware as firmwares
from forge.lab import package_state, targets
from forge.lab.targets import Target
from forge.packages import minisdk
from forge.servers import as_provider
from forge.servers.postfix import Provider
from forge.vm import machines, registry, relay
from forge.vm.guest import Guest
from forge.vm.relay import PATIENCE, SILENCE


@logs.kept("demo")
def run(target: str = "", release: str = "", keep: bool = False) -> None:
    """Play the whole story; with `keep`, provider and router stay up until Ctrl-C, to be tried by hand."""
    machine = machines.find(target)
    if not machine.lab:
        raise UsageError(f"--target {target}: the demo boots the lab's firmware", hint="./inv qemu boots images")
    made_as = targets.find(machine.target, release or targets.CURRENT)
    started = time.monotonic()
    proc.end_in_order()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mailrelay-demo-", dir=registry.PARENT)))
        firmware, package = _build(made_as, folder)
        guest = Guest(machine.target, firmware, disk=True, listed=True)
        stack.callback(guest.close)
        booting = time.monotonic()
        guest.open()
        with console.step("starting a mail provider (Debian's Postfix, unpacked in a private folder)"):
            provider = stack.enter_context(Provider())
        with console.step(f"the router {made_as.label} boots in QEMU"):
            guest.wait()
        _show_router(guest, made_as, time.monotonic() - booting)
        _install(guest, package)
        _configure(guest, provider)

        story.title("A Controllino on the LAN reports")
        story.play(guest.lan(25)[1], story.ALARM, patience=PATIENCE * timeouts.factor())
        _show_stranger(guest)
        (mail,) = provider.wait_for(1, PATIENCE)
        story.show_handover(provider)
        story.show_mail(mail, story.ALARM)
        _show_costs(guest, package)
        _outage(guest, provider)

        story.show_end(time.monotonic() - started, keep=keep)
        if keep:
            _keep(guest, provider)


def _build(target: Target, folder: Path) -> tuple[Path, Path]:
    with console.step(f"the firmware {target.label}, from Debian's packages (or as it was built before)"):
        firmware = firmwares.build(target, site=relay.site()).folder
    with console.step("the package mailrelay"):
        return firmware, minisdk.packed("mailrelay", folder, package_state.FORMATS[target.manager])


def _show_router(guest: Guest, target: Target, took: float) -> None:
    story.title(f"The router: {target.label} ({guest.machine.machine}, {guest.machine.cpu})")
    model = _ask(guest, "sed -n 's/^\\(cpu model\\|model name\\)[^:]*: //p' /proc/cpuinfo | head -n 1").strip()
    total, free = _ask(guest, "awk '/^MemTotal|^MemAvailable/ {print $2}' /proc/meminfo").split()
    console.say(f"  processor  {model or guest.machine.cpu}, emulated")
    console.say(
        f"  memory     {guest.machine.memory} MB; of {int(total) // 1024} MB for programs {int(free) // 1024} are free"
    )
    console.say(f"  kernel     {_ask(guest, 'uname -srm').strip()}")
    console.say(f"  OpenWrt    made as {target.release}: {target.manager}, {_ask(guest, 'python3 -V').strip()}")
    console.say(f"  up         in {console.seconds(took)}; OpenWrt's own parts are played by the lab's stand-in")


def _install(guest: Guest, package: Path) -> None:
    story.title("The package")
    guest.ssh.put([package])
    started = time.monotonic()
    _show_command(guest, relay.packages(guest).install(f"/tmp/{package.name}"))
    _ask(guest, f"rm /tmp/{package.name}")
    console.note(f"took {console.seconds(time.monotonic() - started)}, most of it compiling to bytecode, once")


def _configure(guest: Guest, provider: Provider) -> None:
    story.title("Its provider, by uci; the password is known to the router alone")
    _ask(guest, f"mkdir -p /etc/mailrelay; cat >{as_provider.CA_FILE}", input=provider.certificates.authority.decode())
    _ask(guest, f"echo '{machines.HOST_FROM_WAN} {as_provider.NAME}' >>/etc/hosts")
    lines = as_provider.commands(as_provider.settings(provider))
    for line in lines:
        console.say(f"  $ uci {line}".replace(provider.password, story.MASKED), "dim")
    console.say("  $ uci commit mailrelay; service mailrelay reload", "dim")
    _ask(guest, "uci batch", input="\n".join([*lines, "commit mailrelay", ""]))
    _ask(guest, "sync; service mailrelay reload")  # settings are not mail: only a sync makes them outlive a power cut
    relay.until_it_has_a_provider(guest)
    for line in _ask(guest, "logread | grep 'mailrelay'").splitlines():
        console.say(f"  {line}", "dim")


def _show_stranger(guest: Guest) -> None:
    story.title("A stranger on the WAN tries the same port")
    if said := greeting(guest.wan(25), SILENCE * timeouts.factor()):
        raise ForgeError(f"a stranger on the WAN is answered: {said}")
    console.say("  connects to port 25… not a byte: the firewall drops the packets, the relay does not even see them")


def _show_costs(guest: Guest, package: Path) -> None:
    story.title(f"What it takes of the router ({guest.machine.target})")
    relay.until("the courier has left", lambda: relay.status(guest).get("queue") == 0 and len(relay.memory(guest)) == 2)
    rows = relay.memory(guest)
    table = [(role, *(f"{kilobytes:,} kB" for kilobytes in row)) for role, row in zip(relay.ROLES, rows)]
    totals = [sum(column) for column in zip(*rows)]
    console.table(("memory, idle", "RSS", "PSS", "of its own"), [*table, ("together", *(f"{n:,} kB" for n in totals))])
    console.note("RSS counts what both share twice; PSS does not. A courier with TLS joins them while there is mail.")
    flash = _ask(guest, "du -sk /usr/lib/mailrelay | cut -f 1").strip()
    folders = "cd /usr/lib/mailrelay/relay && du -sk __pycache__ */__pycache__ */*/__pycache__ 2>/dev/null"
    bytecode = _ask(guest, f"{folders} | awk '{{ sum += $1 }} END {{ print sum + 0 }}'").strip()
    console.say(f"  flash: {flash} kB before compression, {bytecode} kB of it bytecode; the package has "
                f"{package.stat().st_size // 1024} kB")  # fmt: skip


def _outage(guest: Guest, provider: Provider) -> None:
    story.title("The provider goes down, and the machine has something to say")
    provider.stop()
    console.say("  (the provider's ports are closed)", "dim")
    story.play(guest.lan(25)[1], story.SECOND_ALARM, brief=True, patience=PATIENCE * timeouts.factor())

    def told() -> bool:
        status = relay.status(guest)
        return bool(status.get("last_failure")) and status.get("queue") == 1

    relay.until("the failure is told", told)
    _show_command(guest, "mailrelay queue")
    story.show_failure(relay.status(guest))

    story.title("Somebody pulls the router's plug; then both come back")
    guest.cut_power()
    console.say("  QEMU is killed: what was not on the flash is lost", "red")
    provider.start()
    guest.power_on()
    with console.step("the router boots again"):
        guest.wait()
    try:
        mails = provider.wait_for(2, PATIENCE)
    except ForgeError as error:
        log = guest.ssh.run("ls -l /etc/mailrelay; logread | grep mailrelay | tail", check=False).output
        raise ForgeError(error.message, hint=f"the router's log ends:\n{log}") from None
    story.show_second(mails)
    relay.until("the queue is empty", lambda: relay.status(guest).get("queue") == 0)
    _show_command(guest, "mailrelay queue")


def _ask(guest: Guest, command: str, *, input: str | None = None) -> str:
    return guest.ssh.run(command, input=input).output


def _show_command(guest: Guest, command: str) -> None:
    console.say(f"  $ {command}", "dim")
    story.show(_ask(guest, command))


def _keep(guest: Guest, provider: Provider) -> None:
    with story.until_interrupted("Router and provider stay up until Ctrl-C"):
        console.say(f"  send     swaks --server 127.0.0.1:{guest.lan(25)[1]} --to {story.RECIPIENT}")
        console.say("  log in   ./inv ssh")
        console.say(f"  ask      ./inv ssh -- {shlex.quote('mailrelay queue; mailrelay status; logread')}")
        console.say(f"  arrived  {provider.ca_file.parents[1] / 'mail/box/new'}")
