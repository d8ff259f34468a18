"""The client session by property: whatever a server says and however the bytes come, each message counts once."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mailrelay.smtp.client import CONTENT, FAILED, RESULT, STARTTLS, Session
from mailrelay.smtp.login import Login
from mailrelay.smtp.transaction import Transaction
from tests.relay.test_client import PASSWORD, ready, transaction

OK = b"250 ok\r\n"


class Client:
    """A session with a driver that has six mails to send; `log` is all that happened and was said."""

    def __init__(self) -> None:
        self.session = Session(b"r", starttls=True, login=Login("u", PASSWORD))
        self.log: list[str] = []
        self.left = 6

    def receive(self, data: bytes) -> None:
        self.handle(self.session.receive(data))
        if said := self.session.take():
            self.log.append(f"said {said!r}")

    def handle(self, events: list[Any]) -> None:
        for event in events:
            self.log.append(f"{event[0]} {event[2:] if event[0] in (RESULT, FAILED) else ''}")
            if event[0] == STARTTLS:
                self.session.secured()
            elif event[0] == CONTENT:
                self.submit()
                self.log.append(f"said {self.session.end_of_data()!r}")
        if not self.session._in_content:
            self.submit()

    def submit(self) -> None:
        while self.session.wants and self.left:
            self.left -= 1
            self.handle(self.session.submit(transaction(b"a@x", b"b@x", size=self.left)))


BEFORE = b"220 mx\r\n250-mx\r\n250 STARTTLS\r\n220 go\r\n"
AFTER = b"250-mx\r\n250-PIPELINING\r\n250 AUTH LOGIN\r\n334 x\r\n334 y\r\n235 in\r\n"
lines = st.sampled_from(
    [OK, OK, OK, OK, b"354 go\r\n", b"354 go\r\n", b"550 no\r\n", b"451 later\r\n", b"250-a\r\n250 b\r\n", b"junk\r\n"]
)
dialogues = st.lists(lines, max_size=40).map(b"".join)


@given(st.lists(lines, max_size=60), st.integers(1, 30), st.booleans())
def test_any_chunking_of_the_same_bytes_gives_the_same_result(
    replies: list[bytes], size: int, pipelining: bool
) -> None:
    whole, chunked = Client(), Client()
    greeting = AFTER if pipelining else AFTER.replace(b"PIPELINING", b"HELP")
    for client in (whole, chunked):
        client.receive(BEFORE)
        client.receive(greeting)
    queue = list(replies)
    while queue and not whole.session.over:
        due = len(whole.session._pipeline.expected) or 1
        wire = b"".join(queue[:due])
        del queue[:due]
        whole.receive(wire)
        for at in range(0, len(wire), size):
            chunked.receive(wire[at : at + size])
        assert chunked.log == whole.log


@given(st.lists(st.binary(max_size=200) | dialogues, max_size=20), st.booleans())
def test_nothing_a_server_says_crashes_it_or_draws_the_password_out_before_tls(wire: list[bytes], tls: bool) -> None:
    client = Client()
    for piece in [BEFORE, AFTER, *wire] if tls else wire:
        client.receive(piece)
    client.receive(b"")
    said = " ".join(line for line in client.log if line.startswith("said"))
    if "STARTTLS" not in said:
        assert "AUTH" not in said


@given(dialogues)
def test_every_message_gets_one_result_or_stays_in_flight(server: bytes) -> None:
    session = ready()
    submitted: list[Transaction] = []
    results: list[Transaction] = []

    def handle(events: list[Any]) -> None:
        for event in events:
            if event[0] == RESULT:
                results.append(event[1])
                assert len(event[2].recipients) == len(event[1].recipients)
            elif event[0] == CONTENT:
                submit()
                session.end_of_data()
        if session.wants:
            submit()
        session.take()

    def submit() -> None:
        submitted.append(transaction(*(b"%d@x" % i for i in range(1 + len(submitted) % 3))))
        session.submit(submitted[-1])

    submit()
    for line in server.splitlines(keepends=True):
        handle(session.receive(line))
    assert results + session.in_flight == submitted
