"""sendmail, mailq and newaliases, as programs have called them for forty years: nut, smartd, cron scripts, PHP, git.

Reads the options and the mail, and leaves the rest to `submission`. Needs no rights: what no relay takes is not kept
but answered with exit status 75, so that the caller tries again. Nothing here decides where mail goes.
"""

from __future__ import annotations

import os

from mailrelay.cli.display import complain, prepare_streams
from mailrelay.cli.instance import Relay, Stop, single_line
from mailrelay.cli.service import start_command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_USAGE = """usage: sendmail [options] [RECIPIENT...]    the mail comes from standard input

  -t          recipients are those in To, Cc and Bcc, and those named as arguments too
  -i, -oi     a line that is a single dot does not end the mail
  -f ADDRESS  the sender; '<>' for none (also -r)
  -F NAME     the sender's name, where the mail has no From
  -v          show the dialogue with the relay
  -bp         list the queue (as mailq)
  -bs         speak SMTP on standard input and output
  -bm         take a mail, as without it
  -bi         nothing: aliases are in the config (as newaliases)
  -q          try everything in the queue now
  --config FILE, --spool DIR, --run-dir DIR    as for the other commands of mailrelay
  --help, --version

What others take besides (-B -C -e -h -L -m -n -N -o -O -R -U -V -X ...) is accepted and changes nothing.
Exit status: 0 taken, 64 wrong usage, 65 unusable headers, 67 no such recipient, 69 refused,
75 try again later, 77 only root may."""

_WITH_VALUE = "ABCDFLMNOPRVXbfhoprs"  # the rest of the argument, or the next one
_ATTACHED = "deqT"  # a value only if it follows at once, as in -q15m
_FLAGS = "EGIJUacikmntvx"
_LONG = ("--config", "--spool", "--run-dir")
_MODES = "mpsi"  # of -b


class Options:
    """What the arguments say."""

    __slots__ = (
        "dot_ends", "flush", "from_headers", "mode", "name", "paths", "recipients", "sender", "verbose",
    )  # fmt: skip

    def __init__(self) -> None:
        self.mode = "m"
        self.flush = False
        self.from_headers = False
        self.dot_ends = True
        self.verbose = False
        self.sender: bytes | None = None
        self.name: bytes | None = None
        self.recipients: list[bytes] = []
        self.paths = dict.fromkeys(_LONG, "")


def main(name: str, arguments: Sequence[str]) -> int:
    """Run as `name`: sendmail, mailq or newaliases. Return the exit code."""
    prepare_streams()
    try:
        if "--help" in arguments:
            print(_USAGE)
            return 0
        if "--version" in arguments:
            from mailrelay.core.version import VERSION

            print(f"mailrelay {VERSION}")
            return 0
        options = read_options(arguments)
        options.mode = {"mailq": "p", "newaliases": "i"}.get(name, options.mode)
        return _run(options)
    except Stop as stop:
        complain(name, stop.text)
        return stop.code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return os.EX_IOERR
    except OSError as error:
        complain(name, f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror))
        return os.EX_TEMPFAIL
    except KeyboardInterrupt:
        return 130


def read_options(arguments: Sequence[str]) -> Options:
    """Read options, which may stand after recipients too, up to --. Stop for those that nobody knows."""
    options = Options()
    left = list(arguments)
    while left:
        argument = left.pop(0)
        if argument == "--":
            options.recipients += map(single_line, left)
            break
        if argument.startswith("--"):
            key, equals, value = argument.partition("=")
            if key not in _LONG or not (equals or left):
                raise Stop(os.EX_USAGE, f"there is no option {argument}, or its value is missing; see sendmail --help")
            options.paths[key] = value if equals else left.pop(0)
        elif argument.startswith("-") and argument != "-":
            _read_letters(options, argument[1:], left)
        else:
            options.recipients.append(single_line(argument))
    return options


def _read_letters(options: Options, letters: str, left: list[str]) -> None:
    """Read one argument of option letters, the last of which may have a value."""
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter in _WITH_VALUE:
            if not letters and not left and letter not in "Vo":
                raise Stop(os.EX_USAGE, f"-{letter} wants a value; see sendmail --help")
            value = letters or (left.pop(0) if left else "")
            _take_value(options, letter, value)
            return
        if letter in _ATTACHED:
            options.flush = options.flush or letter == "q"
            return
        if letter not in _FLAGS:
            raise Stop(os.EX_USAGE, f"there is no option -{letter}; see sendmail --help")
        if letter == "t":
            options.from_headers = True
        elif letter == "i":
            options.dot_ends = False
        elif letter == "v":
            options.verbose = True
        elif letter == "I":
            options.mode = "i"


def _take_value(options: Options, letter: str, value: str) -> None:
    if letter in "fr":
        options.sender = single_line(value)
    elif letter == "F":
        options.name = os.fsencode(value)
    elif letter == "o" and value == "i":
        options.dot_ends = False
    elif letter == "b":
        if value in ("d", "D"):
            raise Stop(os.EX_USAGE, f"-b{value} would start a daemon; '{start_command()}' does that")
        if value not in tuple(_MODES):
            raise Stop(os.EX_USAGE, f"-b{value} is not known here; it can be -bm, -bp, -bs or -bi")
        options.mode = value


def _run(options: Options) -> int:
    if options.mode == "i":
        print(
            "Aliases are in the config of mailrelay (list alias 'root=owner@example.org'); there is nothing to build."
        )
        return 0
    paths = {"config": options.paths["--config"], "run_dir": options.paths["--run-dir"]}
    relay = Relay(**{key: value for key, value in paths.items() if value}, spool_dir=options.paths["--spool"])
    if options.mode == "p":
        return _list(relay)
    if options.flush:
        relay.control().flush()
        return 0
    if options.mode == "s":
        from mailrelay.cli import smtp_stdio

        return smtp_stdio.run(relay)
    return _send(relay, options)


def _list(relay: Relay) -> int:
    from mailrelay.cli import queue_view

    try:
        where = relay.enter()
    except Stop as stop:
        if stop.code == os.EX_NOPERM and relay.running:
            status = relay.status
            numbers = f"{status.get('queue')} waiting, {status.get('hold')} held, {status.get('failed')} failed"
            raise Stop(stop.code, f"only root may list the queue; by the relay's status {numbers}") from None
        raise
    queue_view.mailq(where)
    return 0


def _send(relay: Relay, options: Options) -> int:
    from mailrelay.cli import submission
    from mailrelay.cli.stdin_message import StdinMessage, text_of

    recipients = [address for argument in options.recipients for address in _addresses(argument)]
    if not recipients and not options.from_headers:
        raise Stop(os.EX_USAGE, "no recipient; name them as arguments, or use -t to take those in To, Cc and Bcc")
    mail = StdinMessage(text_of(_stdin(), options.dot_ends))
    if options.from_headers:
        from mailrelay.mail import headers

        try:
            recipients += headers.recipients_from_headers(mail.head())
        except ValueError as error:
            raise Stop(os.EX_DATAERR, f"an address in To, Cc or Bcc {error}; nothing was sent") from None
    recipients = list(dict.fromkeys(recipients))
    if not recipients:
        raise Stop(os.EX_USAGE, "no recipient; the mail has no To, Cc or Bcc with an address in it")

    def sender(hostname: str) -> bytes:
        address = _sender(options.sender, hostname)
        if options.name and not mail.has_from():
            from mailrelay.mail.address_list import named, phrase

            mail.put_first(b"From: " + named(phrase(options.name), address or b"MAILER-DAEMON") + b"\n")
        return address

    def tell(line: str) -> None:
        if options.verbose:
            print(line, flush=True)

    try:
        try:
            submission.submit(relay, sender, recipients, mail, tell)
        except submission.Down as down:
            tell(f"no relay takes it: {down}")
            if os.geteuid() != 0 or down.answered:
                raise
            try:
                queue_id = submission.enqueue(relay, sender, recipients, mail)
            except submission.Down as also:
                raise submission.Down(f"{down}; and not queued: {also}") from None
            tell(f"queued as {queue_id}, to be sent when the relay runs")
    except submission.Refused as refused:
        for reason in refused.reasons:
            complain("sendmail", reason)
        return refused.code
    except submission.Down as down:
        raise Stop(os.EX_TEMPFAIL, f"not sent and not kept, try again later: {down}") from None
    return 0


def _stdin() -> Iterator[bytes]:
    while chunk := os.read(0, 65536):
        yield chunk


def _addresses(argument: bytes) -> list[bytes]:
    """Return the addresses in an argument: one, or several with commas, or with names."""
    if not any(mark in argument for mark in b',<(" '):
        return [argument] if argument else []
    from mailrelay.mail.address_list import addresses

    return addresses(argument)


def _sender(given: bytes | None, hostname: str) -> bytes:
    """Return the envelope sender: as given, with the relay's name where a domain is missing; else who calls us."""
    hostname = hostname or os.uname().nodename or "localhost"
    if given is None:
        import pwd

        uid = os.getuid()
        try:
            address = os.fsencode(pwd.getpwuid(uid).pw_name)
        except KeyError:
            address = b"%d" % uid
    else:
        addresses = _addresses(given)
        address = addresses[0] if addresses else b""
    return address + b"@" + hostname.encode() if address and b"@" not in address else address
