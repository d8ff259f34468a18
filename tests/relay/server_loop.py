"""Drives a server session as a loop would, for the tests: plays events into messages and replies, answers END."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mailrelay.config.settings import Main
from mailrelay.smtp import server
from mailrelay.smtp.reply import Reply

DEFAULTS: dict[str, Any] = {
    "hostname": "relay.lan",
    "max_message_size": 25 << 20,
    "max_recipients": 100,
    "max_command_length": 2048,
    "max_line_length": 1 << 20,
    "max_header_length": 64 << 10,
    "max_useless_commands": 20,
}
QUEUED = Reply(250, "2.0.0", "Queued")
VERDICT = QUEUED.wire()


@dataclass
class Message:
    sender: bytes
    recipients: list[bytes]
    smtputf8: bool
    eightbit: bool
    content: bytes = b""


@dataclass
class Loop:
    """What a listener makes of one session, with no time in it. Checks the order of events as they come."""

    session: server.Session
    verdict: Reply = QUEUED
    replies: bytes = b""
    messages: list[Message] = field(default_factory=list)
    begun: int = 0
    aborted: int = 0
    closed: bool = False
    draft: Message | None = None

    def send(self, data: bytes) -> bytes:
        """Give bytes to the session; the replies that come of them."""
        return self.play(self.session.receive(data))

    def quiet(self) -> bytes:
        return self.play(self.session.on_idle())

    def disconnect(self) -> bytes:
        return self.play(self.session.disconnected())

    def play(self, events: list[Any]) -> bytes:
        before = len(self.replies)
        while True:
            for event in events:
                self.take(event)
            if not self.session.waiting:
                return self.replies[before:]
            events = self.session.commit_result(self.verdict)

    def take(self, event: Any) -> None:
        assert not self.closed, "nothing follows CLOSE"
        kind = event[0]
        if kind == server.REPLY:
            assert event[1].endswith(b"\r\n")
            self.replies += event[1]
        elif kind == server.BEGIN:
            assert self.draft is None
            self.begun += 1
            self.draft = Message(*event[1:])
        elif kind == server.DATA:
            assert self.draft is not None and event[1]
            self.draft.content += event[1]
        elif kind == server.END:
            assert self.draft is not None
            self.messages.append(self.draft)
            self.draft = None
        elif kind == server.ABORT:
            assert self.draft is not None
            self.aborted += 1
            self.draft = None
        else:
            assert kind == server.CLOSE
            self.closed = True

    def outcome(self) -> tuple[Any, ...]:
        """All that may not depend on how the input was cut into chunks."""
        session = self.session
        draft = self.draft.content if self.draft else None
        state = (
            session.in_data,
            session.ambiguous_end,
            session.commands.closing,
            session.buffered,
            session.commands.progress,
            session.commands.helo,
        )
        return self.replies, self.messages, self.begun, self.aborted, self.closed, draft, state


def connect(
    *, allowed: bool = True, login: Any = None, provider: bool = True, refusal: Any = lambda _: None, **settings: int
) -> Loop:
    """A session that has said its greeting; settings are those of section main."""
    policy = server.Policy(Main(**{**DEFAULTS, **settings}), provider=provider, refusal=refusal)
    loop = Loop(server.Session(policy, allowed=allowed, login=login))
    loop.session.greeting()
    return loop


def codes(replies: bytes) -> list[int]:
    """The codes of all replies, each once."""
    return [int(line[:3]) for line in replies.splitlines() if line[3:4] == b" "]
