"""The command line: finds the command, reads its options, and turns every error into one line and an exit code.

What the commands do is in queue_commands, queue_view, show_status and trial; `serve` and sendmail read options of their
own. Everything is imported where it is used: these commands start on slow machines.
"""

from __future__ import annotations

import os
import sys

from display import complain
from locate import DEFAULT_CONFIG, DEFAULT_RUN_DIR, Relay, Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import NoReturn

_COMMANDS = {
    "serve": "run the relay in the foreground",
    "check": "read the config and print every fault in it",
    "queue": "list the mail that waits, is held or has failed",
    "show": "print one mail with its envelope",
    "delete": "delete mail for good",
    "flush": "try everything, or some mail, at once",
    "hold": "keep mail from being sent",
    "release": "put held or failed mail back into the queue",
    "status": "does it run, where, for whom, what went well, what did not",
    "test": "send a test mail past the queue and show each step",
    "sendmail": "take a mail from standard input, as every Unix mail program calls it",
    "mailq": "list the queue as sendmail does",
    "newaliases": "nothing: aliases are in the config",
}
_DETAILS = {
    "check": "Exit status: 0 fine, 1 faults, 66 no such file, 77 not for this user.",
    "queue": """The JSON is one object: spool (its directory), running, and messages, a list of objects: id; state
(queue, hold or failed); sending (true while it is being delivered); damage (null, or what is wrong with the file, and
then nothing else is known); received (seconds since 1970); age (seconds); size (bytes); sender ("" for none);
recipients (objects of address and state: pending, delivered or failed); client; notice (true for the relay's own);
attempts; next_try (seconds since 1970, null for never); last_answer. More names may be added.""",
    "show": "On a terminal, control characters in the mail are shown as \\x1b and not obeyed.",
    "flush": "Every wait is forgotten, the provider's too. Only root may. Exit status 75: the relay does not run.",
    "release": "Recipients that had failed are tried again.",
    "status": """Any user may ask. Exit status: 0 running, 3 not running. The JSON is the status file as the relay wrote
it, with running (true or false) added; without a running relay it is what the last one left, if anything.""",
    "test": """Every step is printed with its time, and on failure what to change. Exit status: 0 accepted, 1 not.
--json-lines prints an object a step: step, ok, text, seconds, smarthost, detail (an object of strings); step "next"
with advice where another provider is tried; at the end result ("accepted" or "failed"), ok, text, advice, smarthost,
sender, recipients.""",
}
_INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Run a command; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    command = arguments[0] if arguments else ""
    name = f"mailrelay {command}" if command in _COMMANDS else "mailrelay"
    try:
        code = _run(command, list(arguments[1:]))
        sys.stdout.flush()
        return code
    except Stop as stop:
        complain(name, stop.text)
        return stop.code
    except BrokenPipeError:  # as with `mailrelay queue | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        hint = "; run this as root" if isinstance(error, PermissionError) else ""
        complain(name, f"{where}{error.strerror or error}{hint}")
        return os.EX_NOPERM if hint else os.EX_IOERR
    except KeyboardInterrupt:
        return _INTERRUPTED


def _run(command: str, arguments: list[str]) -> int:
    if command in ("help", "--help", "-h"):
        if arguments and arguments[0] in _COMMANDS:
            return _help(arguments[0])
        print(_usage())
        return 0
    if command in ("--version", "version"):
        from supervisor import VERSION

        print(f"mailrelay {VERSION}")
        return 0
    if not command:
        print(_usage(), file=sys.stderr)
        return os.EX_USAGE
    if command not in _COMMANDS:
        from kinds import nearest

        near = nearest(command, _COMMANDS)
        meant = f"did you mean '{near}'? " if near else ""
        raise Stop(os.EX_USAGE, f"there is no command '{command}'; {meant}'mailrelay help' lists all")
    if command in ("serve", "sendmail", "mailq", "newaliases"):
        return _hand_over(command, arguments)
    try:
        options = _parser(command).parse_args(arguments)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else os.EX_USAGE
    return _HANDLERS[command](options)


def _hand_over(command: str, arguments: list[str]) -> int:
    if command == "serve":
        import supervisor

        return supervisor.main(arguments)
    import sendmail

    return sendmail.main(command, arguments)


def _usage() -> str:
    lines = ["usage: mailrelay COMMAND [options]", ""]
    lines += [f"  {name:<11} {text}" for name, text in _COMMANDS.items()]
    return "\n".join([*lines, "", "'mailrelay help COMMAND' tells more, 'mailrelay --version' the version."])


def _help(command: str) -> int:
    if command in ("serve", "sendmail", "mailq", "newaliases"):
        return _hand_over(command, ["--help"])
    _parser(command).print_help()
    return 0


def _parser(command: str) -> argparse.ArgumentParser:
    import argparse

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise Stop(os.EX_USAGE, f"{message}; see 'mailrelay help {command}'")

    text = _COMMANDS[command]
    parser = Parser(
        prog=f"mailrelay {command}",
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=_DETAILS.get(command),
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if command == "test":
        parser.add_argument("address", metavar="ADDRESS", help="whom to send it to; aliases are resolved")
        parser.add_argument("--from", dest="sender", metavar="ADDRESS", default="", help="whom it is from")
        parser.add_argument("--json-lines", action="store_true", help="one JSON object a step")
    elif command == "show":
        parser.add_argument("ids", metavar="ID", nargs=1)
    elif command in ("delete", "flush"):
        parser.add_argument("ids", metavar="ID", nargs="*")
    elif command in ("hold", "release"):
        parser.add_argument("ids", metavar="ID", nargs="+")
    if command == "delete":
        parser.add_argument("--all", action="store_true", help="everything: queued, held and failed mail")
    if command in ("queue", "status"):
        parser.add_argument("--json", action="store_true", help="for programs; described below")
    parser.add_argument("--config", metavar="FILE", default=DEFAULT_CONFIG, help="settings (default %(default)s)")
    parser.add_argument(
        "--spool",
        metavar="DIR",
        default="",
        help="where mail waits (default: as the running relay or the settings say)",
    )
    parser.add_argument(
        "--run-dir", metavar="DIR", default=DEFAULT_RUN_DIR, help="where the relay's status is (default %(default)s)"
    )
    return parser


def _check(options: argparse.Namespace) -> int:
    import schema

    found, faults, warnings = schema.load(options.config)
    for finding in [*faults, *warnings]:
        print(finding)
    if found is not None:
        print(f"{options.config}: config is fine")
        return 0
    if not os.path.exists(options.config):
        return os.EX_NOINPUT
    return 1 if os.access(options.config, os.R_OK) else os.EX_NOPERM


def _queue(options: argparse.Namespace) -> int:
    import queue_view

    relay = _relay(options)
    where = relay.enter()
    (queue_view.as_json if options.json else queue_view.table)(where, relay.status, relay.running)
    return 0


def _show(options: argparse.Namespace) -> int:
    import queue_commands

    return queue_commands.show(_relay(options).enter(), options.ids[0])


def _delete(options: argparse.Namespace) -> int:
    import queue_commands

    if bool(options.ids) == options.all:
        raise Stop(os.EX_USAGE, "name the messages to delete, or all of them with --all")
    return queue_commands.delete(_relay(options).enter(), options.ids, options.all)


def _flush(options: argparse.Namespace) -> int:
    relay = _relay(options)
    control = relay.control()
    if not options.ids:
        control.flush()
        print("everything that waits is tried now")
        return 0
    import queue_commands

    return queue_commands.flush(relay.enter(), options.ids, control)


def _hold(options: argparse.Namespace) -> int:
    import queue_commands

    return queue_commands.hold(_relay(options).enter(), options.ids)


def _release(options: argparse.Namespace) -> int:
    import queue_commands

    relay = _relay(options)
    control = relay.control() if relay.running else None
    return queue_commands.release(relay.enter(), options.ids, control)


def _status(options: argparse.Namespace) -> int:
    import show_status

    return show_status.run(_relay(options), options.json)


def _test(options: argparse.Namespace) -> int:
    import trial

    return trial.run(_relay(options), options.address, options.sender, options.json_lines)


def _relay(options: argparse.Namespace) -> Relay:
    return Relay(options.config, options.run_dir, options.spool)


_HANDLERS = {
    "check": _check,
    "queue": _queue,
    "show": _show,
    "delete": _delete,
    "flush": _flush,
    "hold": _hold,
    "release": _release,
    "status": _status,
    "test": _test,
}
