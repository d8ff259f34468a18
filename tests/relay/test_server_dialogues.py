"""The SMTP server session by example: plays dialogues/*.txt. The README there says how they are written."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailrelay.smtp import replies
from tests.relay.server_loop import QUEUED, codes, connect

FOLDER = Path(__file__).parent / "dialogues"
ENVELOPE = b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"
ESCAPES = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}


def dialogues() -> Iterator[Any]:
    for file in sorted(FOLDER.glob("*.txt")):
        for part in re.split(r"(?m)^== ", file.read_text())[1:]:
            title, *lines = part.splitlines()
            lines = [line for line in lines if line and line[:1] != "#"]
            cases = [line[6:] for line in lines if line.startswith("each:")]
            for case in cases or [""]:
                script = [line.replace("{each}", case) for line in lines if not line.startswith("each:")]
                yield pytest.param(script, id=f"{file.stem}: {title}" + f" [{case}]" * bool(cases))


def wire(text: str) -> bytes:
    """The bytes that a line of a dialogue stands for."""
    while "*" in text and (part := re.search(r"\{([^{}]*)\*(\d+)\}", text)):
        text = text.replace(part[0], part[1] * int(part[2]))
    escape = rb"\\(x(..)|.)"
    data = re.sub(escape, lambda at: bytes.fromhex(at[2].decode()) if at[2] else ESCAPES[at[1]], text.encode())
    return re.sub(rb"\{base64 ([^{}]*)\}", lambda found: base64.b64encode(found[1]), data)


class Player:
    """Plays a dialogue. What the relay says, keeps or does has to be read in its order; nothing else may be there."""

    def __init__(self, script: list[str]) -> None:
        settings: dict[str, Any] = {}
        for name, _, value in (line[4:].partition(" ") for line in script if line.startswith("set ")):
            if name == "login":
                settings[name] = value == "any" or tuple(value.encode().split())
            elif name == "refuse":
                settings["refusal"] = {value.encode(): replies.RECIPIENT_NOT_ALLOWED}.get
            else:
                settings[name] = int(value)
        self.loop = connect(**settings)
        self.script = [line for line in script if not line.startswith("set ")]
        self.said = self.loop.session.greeting().decode() if self.script[0].startswith(("S: 220", "S: 554")) else ""
        self.aborted = self.closed = 0

    def play(self) -> None:
        reading = False
        for line in self.script:
            word, text = line[:2], line[3:]
            if word in ("S:", "Q:"):
                expected = text if word == "S:" else "250 2.0.0 Queued"
                said, _, self.said = self.said.partition("\r\n")
                assert said == expected or (said and expected.endswith("...") and said.startswith(expected[:-3]))
                reading = True
            if word == "Q:":
                message = self.loop.messages.pop(0)
                words = [f"<{path.decode()}>" for path in (message.sender, *message.recipients)]
                words += ["SMTPUTF8"] * message.smtputf8 + ["8BITMIME"] * message.eightbit
                assert " ".join(words) == text
            elif word == "Q|":
                assert message.content == wire(text)
            elif line in ("aborted", "closed"):
                vars(self)[line] += 1
                assert (getattr(self.loop, line), self.said) == (getattr(self, line), ""), line
            elif word != "S:":
                assert not (reading and self.said), f"not read before {line}: {self.said!r}"
                reading = False
                self.act(line, wire(text) + b"\r\n" * (word == "C:"))
        rest = (self.said, self.loop.messages, self.loop.aborted - self.aborted, self.loop.closed - self.closed)
        assert rest == ("", [], 0, 0), "not read at the end"

    def act(self, line: str, data: bytes) -> None:
        name, _, value = line.removeprefix("now ").partition(" ")
        if name in ("C:", "C|"):
            self.said += self.loop.send(data).decode()
            if self.loop.verdict is not QUEUED:
                self.loop.messages.clear()
        elif name == "envelope":
            assert codes(self.loop.send(ENVELOPE.replace(b"\r\n", b"\n") if value else ENVELOPE)) == [250, 250, 354]
        elif name == "room":
            self.loop.session.commands.room = int(value)
        elif name == "rate_limit":
            self.loop.session.commands.throttled = {"5": replies.TOO_MANY_MESSAGES.fill(5), "0": None}[value]
        elif name == "disk":
            self.loop.verdict = {"full": replies.DISK_FULL, "fine": QUEUED}[value]
        else:
            self.said += {"gone": self.loop.disconnect, "idle": self.loop.quiet}[line]().decode()


@pytest.mark.parametrize("script", list(dialogues()))
def test_dialogue(script: list[str]) -> None:
    Player(script).play()
