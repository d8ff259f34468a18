"""A message's envelope, and how a file in the spool is laid out around the message.

A file, in order:
    b"mailrelay 1\\n"                   what it is
    RECORD bytes                       the last attempt: count, due, boot id, answer; rewritten in place, advisory
    netstrings                         received, boottime, boot id, clock, client, helo, flags, sender
    netstring of one byte a recipient  P pending, D delivered, F failed; rewritten in place and synced
    netstrings                         the recipients
    b"\\n"
    the message as it came in over the wire, dots still stuffed
    b"\\nmailrelay end <size>\\n"       20 digits: what follows is nothing, what precedes is whole
"""

from __future__ import annotations

from mailrelay.core import clock

PENDING, DELIVERED, FAILED = b"P", b"D", b"F"  # what became of a recipient

MAGIC = b"mailrelay 1\n"
_RECORD = 512
RECORD_END = len(MAGIC) + _RECORD
END = b"\nmailrelay end %020d\n"
END_SIZE = len(END % 0)

_PROTOCOLS = {"ESMTP": b"0", "SMTP": b"S", "ESMTPA": b"A"}


class Envelope:
    """Who a message is from and for, and when, where and how it came in."""

    __slots__ = (
        "boot_id", "boottime", "client", "clock_trusted", "eightbit", "helo", "notice", "protocol", "received",
        "recipients", "sender", "smtputf8",
    )  # fmt: skip

    def __init__(
        self,
        sender: bytes,
        recipients: list[bytes],
        client: str,
        helo: bytes = b"",
        *,
        smtputf8: bool = False,
        eightbit: bool = False,
        notice: bool = False,
        protocol: str = "ESMTP",
    ) -> None:
        self.sender = sender
        self.recipients = recipients
        self.client = client
        self.helo = helo
        self.smtputf8 = smtputf8
        self.eightbit = eightbit
        self.notice = notice
        self.protocol = protocol  # by which it came in: SMTP, ESMTP or ESMTPA, where a login was given (RFC 3848)
        self.received = clock.wall()
        self.boottime = clock.boottime()
        self.boot_id = clock.boot_id()
        self.clock_trusted = clock.trusted()

    def age(self) -> float:
        """Return seconds since the message came in; after a reboot without a trusted clock, the least it can be."""
        uptime = clock.boottime()
        if self.boot_id == clock.boot_id():
            return uptime - self.boottime
        if self.clock_trusted and clock.trusted():
            return max(clock.wall() - self.received, uptime)
        return uptime

    def date(self) -> float:
        """Return when the message came in as wall time, mended if the clock was set only afterwards."""
        now = clock.wall()
        if self.boot_id == clock.boot_id():
            return now - (clock.boottime() - self.boottime)
        return self.received if clock.EARLIEST <= self.received <= now else now

    def latest_date(self) -> float:
        """Return what the message's own Date may say at most: two days on, or a year where the clock is not trusted.

        It is rarely wrong by more, since no certificate would be valid.
        """
        if clock.trusted():
            return self.date() + 2 * 86400
        return max(clock.wall(), clock.EARLIEST) + 366 * 86400

    def _flags(self) -> bytes:
        """Return three characters. Versions that know no protocol take the last one for 0 if it is not 1."""
        last = b"1" if self.notice else _PROTOCOLS[self.protocol]
        return b"%d%d" % (self.smtputf8, self.eightbit) + last

    def set_flags(self, flags: bytes) -> None:
        """Read what encode() writes as flags. ValueError."""
        self.smtputf8, self.eightbit, self.notice = (flag == 49 for flag in flags)
        self.protocol = next((name for name, last in _PROTOCOLS.items() if flags.endswith(last)), "ESMTP")

    def encode(self) -> bytes:
        """Encode everything of the file that stands before the message."""
        fields = [
            b"%.3f" % self.received,
            b"%.3f" % self.boottime,
            self.boot_id.encode(),
            b"%d" % self.clock_trusted,
            self.client.encode(),
            self.helo,
            self._flags(),
            self.sender,
            PENDING * len(self.recipients),
            *self.recipients,
        ]
        record = encode_record(0, 0.0, "")
        return MAGIC + record + b"".join([b"%d:%s," % (len(field), field) for field in fields]) + b"\n"


def netstring(data: bytes, at: int) -> tuple[bytes, int]:
    """Read one of djb's netstrings: the string, and where the next one begins. EOFError when data ends inside it."""
    colon = data.find(b":", at, at + 8)
    if colon < 0:
        if len(data) - at < 8:
            raise EOFError
        raise ValueError("a length is missing")
    end = colon + 1 + int(data[at:colon])
    if end >= len(data):
        raise EOFError
    if data[end] != 44:
        raise ValueError("a string does not end where it should")
    return data[colon + 1 : end], end + 1


def encode_record(attempts: int, due: float, answer: str) -> bytes:
    text = f"{attempts} {due:.1f} {clock.boot_id()} {answer}".encode("ascii", "backslashreplace")
    return text.replace(b"\n", b" ")[: _RECORD - 1].ljust(_RECORD - 1) + b"\n"


def decode_record(record: bytes) -> tuple[int, float, str]:
    """Return attempts, due, answer. After a reboot, or if the record is torn, the message is due at once."""
    words = record.decode("ascii", "replace").strip().split(" ", 3)
    try:
        attempts, due = int(words[0]), float(words[1])
    except (ValueError, IndexError):
        return 0, 0.0, ""
    if words[2:3] != [clock.boot_id()]:
        due = 0.0
    return attempts, due, words[3] if len(words) > 3 else ""
