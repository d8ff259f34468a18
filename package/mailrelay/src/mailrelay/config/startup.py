"""From the command line and the config file to a plan: what `serve` needs to know, in plain values.

Runs in a short-lived child of the supervisor, so that neither the parsers nor a secret stay in memory; the plan goes
back through a pipe. Also leaves the config in the run directory, for the courier to read once it is in force.
"""

from __future__ import annotations

import argparse
import os
import pwd
import socket

from mailrelay.config import interfaces, machine, schema
from mailrelay.config.findings import Finding
from mailrelay.config.settings import Plan, pack_plan
from mailrelay.core import log, paths
from mailrelay.core.net import Net
from mailrelay.core.paths import DEFAULT_CONFIG, DEFAULT_RUN_DIR

DEFAULT_USER = "mailrelay"
LOOPBACK = ("127.0.0.1", "::1")


class Refused(Exception):
    """The relay cannot run like this: an exit code (sysexits.h) and lines that say why and what to do."""

    def __init__(self, code: int, *lines: str) -> None:
        super().__init__(*lines)
        self.code = code
        self.lines = lines


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options of `serve`."""
    options = argparse.ArgumentParser(
        prog="mailrelay serve",
        description="Take plain SMTP from the LAN and send it on with TLS and a login. Runs in the foreground.",
    )
    options.add_argument("--config", metavar="FILE", default=DEFAULT_CONFIG, help="settings (default %(default)s)")
    options.add_argument(
        "--listen",
        metavar="ADDR:PORT",
        action="append",
        default=[],
        help="listen here and nowhere else; repeatable; replaces what the settings name, loopback too",
    )
    options.add_argument(
        "--allow",
        metavar="NET",
        action="append",
        default=[],
        help="who may send; repeatable; replaces what the settings name (loopback always may)",
    )
    options.add_argument("--spool", metavar="DIR", help="where mail waits (default: what the settings name)")
    options.add_argument(
        "--spool-mount",
        metavar="DIR",
        default="",
        help="the spool lies under this mount point: while nothing is mounted there, all mail is refused for now",
    )
    options.add_argument(
        "--addresses",
        metavar="FILE",
        help="further options of these, a line each without the dashes: listen ADDR:PORT; read again at each reload",
    )
    options.add_argument("--run-dir", metavar="DIR", default=DEFAULT_RUN_DIR, help="status file (default %(default)s)")
    options.add_argument("--user", metavar="NAME", help=f"as root: run as this user (default {DEFAULT_USER})")
    options.add_argument("--log", choices=("auto", "syslog", "stderr"), default="auto", help="(default %(default)s)")
    return options


def plan(arguments: list[str]) -> Plan:
    """Return everything that `serve` runs by; raise Refused, or SystemExit for --help and wrong options."""
    options = parser().parse_args(arguments)
    sources = {path: paths.stamp(path) for path in (options.config, options.addresses) if path}
    if options.addresses:
        options = parser().parse_args([*arguments, *_lines(options.addresses)])
    log.setup(options.log)
    listen = [_endpoint(text) for text in options.listen]
    for text in options.allow:
        try:
            Net.parse(text)
        except ValueError as error:
            raise Refused(os.EX_USAGE, f"--allow {text}: {error}; write for example 192.168.1.0/24") from None
    owner = _owner(options.user)

    data = _read(options.config)
    # An init script hands us the last good copy; what is said of it is to be mended in the original.
    kept = f"{options.run_dir}/{paths.ACCEPTED_CONFIG}"
    name = DEFAULT_CONFIG if options.config == kept else options.config
    settings, faults, warnings = schema.check(data, name, machine.ThisMachine())
    if settings is None:
        raise Refused(os.EX_CONFIG, *map(str, faults))
    main = settings.main
    if options.spool and machine.on_memory(os.path.abspath(options.spool)):
        problem, hint = "is in memory: a power cut loses the mail in it", ("name a folder on a disk",)
        place, values = f"--spool {options.spool}", {"value": options.spool}
        warnings.append(Finding(place, 0, True, "spool-in-memory", "", "", problem, hint, values))

    allow = options.allow
    if not listen or not allow:
        addresses, subnets = interfaces.resolve(main.network)
        if not listen:
            listen = [(address, port) for address in (*LOOPBACK, *addresses) for port in main.port]
        if not options.allow:
            allow = [*main.allow, *subnets]

    listen = list(dict.fromkeys(listen))
    for smarthost in settings.smarthosts:
        if any(port == smarthost.port for _, port in listen) and interfaces.own(smarthost.host):
            place = f"{smarthost.host}:{smarthost.port}"
            raise Refused(os.EX_CONFIG, f"{options.config}: smarthost {place} is this relay itself")

    os.makedirs(options.run_dir, mode=0o755, exist_ok=True)
    if options.config != kept:
        fd = os.open(f"{kept}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # in force once we have the spool
        with os.fdopen(fd, "wb") as file:
            file.write(data)
    return Plan(
        config=options.config,
        sources=sources,
        listen=listen,
        allow=allow,
        spool=os.path.abspath(options.spool or main.spool),
        mount=options.spool_mount,
        follow=None if options.listen else main.network,
        run_dir=os.path.abspath(options.run_dir),
        owner=owner,
        log=options.log,
        warnings=[{**warning.facts(), "text": str(warning)} for warning in warnings],
        settings=settings,
        smarthosts={smarthost.name: f"{smarthost.host}:{smarthost.port}" for smarthost in settings.smarthosts},
    )


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise Refused(os.EX_CONFIG, f"{path}: {error.strerror}; name the settings with --config FILE") from None


def _lines(path: str) -> list[str]:
    """Read "listen ADDR:PORT" and its like as options of the command line."""
    words = (line.partition(" ") for line in os.fsdecode(_read(path)).splitlines())
    return [f"--{name}={value}" for name, _, value in words if name]


def _endpoint(text: str) -> tuple[str, int]:
    """Read ADDR:PORT or [ADDR]:PORT."""
    address, _, port = text.rpartition(":")
    address = address.strip("[]")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        socket.inet_pton(family, address.partition("%")[0])
        if not 0 < int(port) < 65536:
            raise ValueError
    except (OSError, ValueError):
        example = "write for example 192.168.1.1:25 or [fd00::1]:25"
        raise Refused(os.EX_USAGE, f"--listen {text}: not an address and a port; {example}") from None
    return address, int(port)


def _owner(name: str | None) -> tuple[int, int] | None:
    """Return uid and gid to run as; None where we are not root and stay who we are."""
    if os.geteuid() != 0:
        if name and name != pwd.getpwuid(os.geteuid()).pw_name:
            raise Refused(os.EX_USAGE, f"--user {name}: only root can run the relay as somebody else")
        return None
    try:
        entry = pwd.getpwnam(name or DEFAULT_USER)
    except KeyError:
        missing = f"--user {name}: there is no such user" if name else f"There is no user '{DEFAULT_USER}' to run as"
        raise Refused(os.EX_NOUSER, f"{missing}; make one or name another with --user NAME") from None
    return entry.pw_uid, entry.pw_gid


def main(arguments: list[str], answer: int) -> int:
    """Be the child: write the plan to the pipe `answer` and return 0, or say what is wrong and return why."""
    import marshal

    try:
        made = plan(arguments)
    except Refused as refused:
        for line in refused.lines:
            log.event("refused-to-run", log.ERROR, reason=line)
        return refused.code
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else os.EX_USAGE
    except OSError as error:
        log.event("refused-to-run", log.ERROR, reason=f"{error.filename}: {error.strerror}")
        return os.EX_CANTCREAT
    with os.fdopen(answer, "wb") as pipe:
        marshal.dump(pack_plan(made), pipe)
    return 0
