"""The command line: finds the command, reads its options, and turns every error into one line and an exit code.

What the commands do is in queue_commands, queue_view, status and send_test; `serve` and sendmail read options of their
own. Everything is imported where it is used: these commands start on slow machines.
"""

from __future__ import annotations

import os
import sys

from mailrelay.cli.display import complain, prepare_streams
from mailrelay.cli.instance import Relay, Stop, fault_code
from mailrelay.core.paths import DEFAULT_CONFIG, DEFAULT_RUN_DIR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
    "check": """Exit status: 0 fine, 1 faults, 66 no such file, 77 not for this user. The JSON is a list of objects, a
hundred at most, faults first: code (a word that never changes), warning (true, or false for a fault), section and
option ("" for neither), line (0 for the whole file), problem, hint, values (what is filled in
there). More names may be added.""",
    "queue": """The JSON is one object: spool (its directory), running, total (how many there are), and messages, a
list of objects: id; state (queue, hold or failed); sending (true while it is being delivered); damage (null, or what is
wrong with the file, and then nothing else is known); received (seconds since 1970); age (seconds); size (bytes);
sender ("" for none); recipients (objects of address and state: pending, delivered or failed); subject (its first 80
characters, decoded); client; notice (true for the relay's own); attempts; next_try (seconds since 1970, null for
never); last_answer. With --state, total is of that state alone. More names may be added.""",
    "show": "On a terminal, control characters in the mail are shown as \\x1b and not obeyed.",
    "flush": "Every wait is forgotten, the provider's too. Only root may. Exit status 75: the relay does not run.",
    "release": "Recipients that had failed are tried again.",
    "status": """Any user may ask. Exit status: 0 running, 3 not running. The JSON is the status file as the relay wrote
it, with running (true or false) added; without a running relay it is what the last one left, if anything. troubles is
a list of objects, one for each thing that waiting does not end: cause (like login-refused, or stuck, damaged, disk);
smarthost and sender ("" where it is not about one); since (seconds since 1970); answer; advice. refusals is a list of
objects, one for each machine and reply that kept its mail out: client; reply; advice; count; since; last. providers is
a list of objects: name (of the section), smarthost, state (good; waiting: mail waits there; bad: it cannot be used;
unknown), since, text (the answer that says so), advice, next_try. last_failure is the latest whose cause is still
there, null for none; deferred counts the waiting mail that was tried. counts are since counted_since, days is a list
of objects for the last seven, each of day (2026-11-30) and its counts, today last. oldest is when the oldest waiting
mail came in (seconds since 1970, null for none). Beside each advice stand advice_code, which names it in every
language, and advice_values, what is filled in there. More names may be added.""",
    "test": """Every step is printed with its time, and on failure what to change. Exit status: 0 accepted, 1 not.
--json-lines prints an object a step: step, ok, text, seconds, smarthost, detail (an object of strings); before those
of a provider step "begin" with limit, how many seconds it may take for one answer; step "next" with advice where
another provider is tried; at the end result ("accepted" or "failed"), ok, text, advice (and its
advice_code and advice_values, as status has them), smarthost, sender, recipients. With --machine the mail is from
alarm@plc.lan and goes to the postmaster, if nobody else is named; smarthost is the relay's own port until step
"queued" (text: the queue id), then come sending, and delivered, deferred or failed, which is the result, too, beside
id. Exit status: 0 delivered, 1 not.""",
}
_OWN_OPTIONS = ("serve", "sendmail", "mailq", "newaliases")
_OPERANDS = {  # how they are written, and how many at least and at most
    "show": ("ID", 1, 1),
    "delete": ("ID...|--all", 0, sys.maxsize),
    "flush": ("[ID...]", 0, sys.maxsize),
    "hold": ("ID...", 1, sys.maxsize),
    "release": ("ID...|--all", 0, sys.maxsize),
    "test": ("ADDRESS|--machine [ADDRESS]", 0, 1),
}
_OPTIONS = {
    "check": (
        "--json         for programs; described below",
        "--exposed LIST networks that face the internet, by the firewall: NETWORK=ZONE, with commas between",
    ),
    "queue": (
        "--json         for programs; described below",
        "--limit N      at most so many, the first ones",
        "--state STATE  only those in queue, hold or failed",
    ),
    "status": ("--json         for programs; described below",),
    "delete": ("--all          everything: queued, held and failed mail",),
    "release": ("--all          everything that is held or has failed",),
    "test": (
        "--from ADDRESS whom it is from (default: option sender, or mailrelay at this machine)",
        "--machine      as a machine on the LAN sends it: to the relay's port, through its queue, followed to its end",
        "--json-lines   one JSON object a step, for programs; described below",
    ),
}
_COMMON = (
    f"--config FILE  settings (default {DEFAULT_CONFIG})",
    "--spool DIR    where mail waits (default: as the running relay or the settings say)",
    f"--run-dir DIR  where the relay's status is (default {DEFAULT_RUN_DIR})",
)
_INTERRUPTED = 130
_MOST_FINDINGS = 100  # as JSON, which has to fit into an answer on ubus


def main(arguments: Sequence[str]) -> int:
    """Run a command. Return the exit code."""
    prepare_streams()
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
        from mailrelay.core.version import VERSION

        print(f"mailrelay {VERSION}")
        return 0
    if not command:
        print(_usage(), file=sys.stderr)
        return os.EX_USAGE
    if command not in _COMMANDS:
        raise _wrong(f"there is no command '{command}'{_meant(command, _COMMANDS)}", "mailrelay help")
    if command in _OWN_OPTIONS:
        return _hand_over(command, arguments)
    if "--help" in arguments or "-h" in arguments:
        return _help(command)
    options = Options(command)
    options.read(arguments)
    return _HANDLERS[command](options)


def _hand_over(command: str, arguments: list[str]) -> int:
    if command == "serve":
        from mailrelay.daemon import supervisor

        return supervisor.main(arguments)
    from mailrelay.cli import sendmail

    return sendmail.main(command, arguments)


def _usage() -> str:
    lines = ["usage: mailrelay COMMAND [options]", ""]
    lines += [f"  {name:<11} {text}" for name, text in _COMMANDS.items()]
    return "\n".join([*lines, "", "'mailrelay help COMMAND' tells more, 'mailrelay --version' the version."])


class Options:
    """What the arguments of one command say. argparse would take a third of the time that a command takes."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.operands: list[str] = []
        self.flags: set[str] = set()
        self.values = {"--config": DEFAULT_CONFIG, "--run-dir": DEFAULT_RUN_DIR, "--spool": ""}
        self.values.update({"--from": "", "--limit": "", "--exposed": "", "--state": ""})

    def read(self, arguments: list[str]) -> None:
        """Read the arguments; options may stand anywhere up to --. Stop for those that the command does not have."""
        known = [line.split()[0] for line in _OPTIONS.get(self.command, ()) + _COMMON]
        left = list(arguments)
        while left:
            argument = left.pop(0)
            name, equals, value = argument.partition("=")
            if argument == "--":
                self.operands += left
                break
            if not argument.startswith("-") or argument == "-":
                self.operands.append(argument)
            elif name not in known:
                raise self.wrong(f"there is no option {name}{_meant(name, known)}")
            elif name not in self.values:
                if equals:
                    raise self.wrong(f"{name} takes no value")
                self.flags.add(name)
            elif not equals and not left:
                raise self.wrong(f"{name} wants a value")
            else:
                self.values[name] = value if equals else left.pop(0)
        least, most = _OPERANDS.get(self.command, ("", 0, 0))[1:]
        if not least <= len(self.operands) <= most:
            raise self.wrong(f"write it as: {_synopsis(self.command)}")

    def wrong(self, text: str) -> Stop:
        return _wrong(text, f"mailrelay help {self.command}")

    def relay(self) -> Relay:
        return Relay(self.values["--config"], self.values["--run-dir"], self.values["--spool"])


def _wrong(text: str, ask: str) -> Stop:
    return Stop(os.EX_USAGE, text if text.endswith("?") else f"{text}; see '{ask}'")


def _synopsis(command: str) -> str:
    return f"mailrelay {command} [options] {_OPERANDS.get(command, ('', 0, 0))[0]}".rstrip()


def _meant(word: str, words: Iterable[str]) -> str:
    from mailrelay.config.invalid import nearest

    near = nearest(word, words)
    return f"; did you mean '{near}'?" if near else ""


def _help(command: str) -> int:
    if command in _OWN_OPTIONS:
        return _hand_over(command, ["--help"])
    text = _COMMANDS[command]
    print(f"usage: {_synopsis(command)}")
    print(f"\n{text[0].upper()}{text[1:]}.\n")
    for line in _OPTIONS.get(command, ()) + _COMMON:
        print(f"  {line}")
    if command in _DETAILS:
        print(f"\n{_DETAILS[command]}")
    return 0


def _check(options: Options) -> int:
    from mailrelay.config import machine, schema

    exposed = dict(pair.split("=", 1) for pair in options.values["--exposed"].split(",") if "=" in pair)
    config = options.values["--config"]
    found, faults, warnings = schema.load(config, machine.ThisMachine(exposed))
    if "--json" in options.flags:
        import json

        print(json.dumps([finding.facts() for finding in [*faults, *warnings][:_MOST_FINDINGS]]))
    else:
        for finding in [*faults, *warnings]:
            print(finding)
        if found is not None:
            print(f"{config}: {_greeting(found.main.hostname)}")
            aside = f", apart from the {'warning' if len(warnings) == 1 else 'warnings'} above" if warnings else ""
            print(f"{config}: config is fine{aside}")
    return 0 if found is not None else fault_code(config, 1)


def _greeting(hostname: str) -> str:
    if "." in hostname:
        return f"providers are greeted as '{hostname}'"
    return f"providers are greeted by the connection's own address, as '{hostname}' has no dot"


def _queue(options: Options) -> int:
    from mailrelay.cli import queue_view
    from mailrelay.spool.spool import STATES

    limit, state = options.values["--limit"], options.values["--state"]
    if state and state not in STATES:
        raise options.wrong(f"--state wants one of {', '.join(STATES)}, and {state!r} is none")
    if limit and not (limit.isascii() and limit.isdigit()):
        raise options.wrong(f"--limit wants a number, and {limit!r} is none")
    relay = options.relay()
    where = relay.enter()
    show = queue_view.as_json if "--json" in options.flags else queue_view.table
    show(where, relay.status, relay.running, int(limit) if limit else None, (state,) if state else STATES)
    return 0


def _flush(options: Options) -> int:
    if options.operands:
        return _message(options)
    options.relay().control().flush()
    print("everything that waits is tried now")
    return 0


def _message(options: Options) -> int:
    from mailrelay.cli import queue_commands

    all_of_them = "--all" in options.flags
    if options.command in ("delete", "release") and bool(options.operands) == all_of_them:
        raise Stop(os.EX_USAGE, f"name the messages to {options.command}, or all of them with --all")
    return queue_commands.run(options.command, options.relay(), options.operands, all_of_them)


def _status(options: Options) -> int:
    from mailrelay.cli import status

    return status.run(options.relay(), "--json" in options.flags)


def _test(options: Options) -> int:
    machine, json_lines = "--machine" in options.flags, "--json-lines" in options.flags
    recipient, sender = "".join(options.operands), options.values["--from"]
    if machine:
        from mailrelay.cli import play_machine

        return play_machine.run(options.relay(), recipient, sender, json_lines)
    if not recipient:
        raise options.wrong("name whom the test mail is for")
    from mailrelay.cli import send_test

    return send_test.run(options.relay(), recipient, sender, json_lines)


_HANDLERS = {
    "check": _check,
    "queue": _queue,
    "show": _message,
    "delete": _message,
    "flush": _flush,
    "hold": _message,
    "release": _message,
    "status": _status,
    "test": _test,
}
