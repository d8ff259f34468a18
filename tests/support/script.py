"""What a ScriptedProvider can be told to do, and what it tells of the mail that came; import it from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Hang:
    """Say nothing more until the client goes."""


@dataclass(frozen=True)
class Drop:
    """Close the connection instead."""


@dataclass(frozen=True)
class DropAfter:
    """Do as always (a message counts), but close the connection instead of answering."""


@dataclass(frozen=True)
class Delay:
    """Do as always, this many seconds later."""

    seconds: float


@dataclass(frozen=True)
class Drip:
    """Do as always, but answer byte by byte with a pause after each."""

    seconds: float


@dataclass(frozen=True)
class Throttle:
    """For content: read on at so many bytes a second, with little room in the kernel, as over a slow line."""

    rate: int


@dataclass(frozen=True)
class Say:
    """Say this and close the connection."""

    reply: str


@dataclass(frozen=True)
class Inject:
    """For starttls: agree, and say this in the clear right behind, in the same packet."""

    data: bytes


Action: TypeAlias = str | bytes | Hang | Drop | DropAfter | Delay | Drip | Throttle | Say | Inject | None


@dataclass(frozen=True)
class Step:
    """A moment of the dialogue: `nth` in its transaction, `count` of its kind in all, both from 1."""

    name: str
    nth: int
    count: int
    argument: bytes
    connection: int


Script: TypeAlias = Mapping[str, Action | list[Action]] | Callable[[Step], Action]


@dataclass
class Received:
    """A message as it came. raw: the content on the wire without the final dot; data: that without dot-stuffing."""

    connection: int
    helo: bytes
    username: str | None
    tls: str | None  # "TLSv1.3"
    sender: bytes
    parameters: list[bytes]  # of MAIL
    recipients: list[bytes]  # that were accepted
    raw: bytes
    answered: bool = True  # false: it counts, but the client was not told

    @property
    def data(self) -> bytes:
        return b"".join(line[1:] if line[:1] == b"." else line for line in self.raw.splitlines(keepends=True))
