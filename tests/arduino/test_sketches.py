"""The two sketches, run on this machine as they are: what they mail, what they say, and that the control goes on."""

from __future__ import annotations

import email
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from forge.checks import arduino
from tests.arduino.conftest import HOST, PATIENCE, host_program, run
from tests.support.relay import free_port
from tests.support.scripted_provider import Action, Drop, Hang, ScriptedProvider

RATE = 20  # the board's clock runs this many times faster: ten seconds are half a one


def program(workshop: Path, name: str) -> Path:
    sketch = arduino.LIBRARY / "examples" / name / f"{name}.ino"
    return host_program(HOST / "sketch.cpp", workshop, f'SKETCH="{sketch}"')


@pytest.fixture(scope="session")
def one_function(workshop: Path) -> Path:
    return program(workshop, "OneFunction")


@pytest.fixture(scope="session")
def alarm(workshop: Path) -> Path:
    return program(workshop, "ControllinoAlarm")


# ---- OneFunction ----------------------------------------------------------------------------------------------------


def said(program: Path, port: int) -> str:
    return run(program, [], {"PORT": str(port), "RATE": str(RATE)})


def test_one_function_sends_a_whole_mail(one_function: Path, server: ScriptedProvider) -> None:
    assert said(one_function, server.port) == "mail sent\n"
    (received,) = server.messages
    assert received.recipients == [b"you@example.org"]
    mail = email.message_from_bytes(received.data)
    assert (mail["Subject"], mail["To"]) == ("Hello", "you@example.org")
    assert mail.get_payload() == "The Arduino has started.\r\n"
    assert server.commands()[-1] == b"QUIT"


@pytest.mark.parametrize("step", ["banner", "helo", "mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize(
    ("action", "code"), [("451-no\n451 no", 451), ("550-no\n550 no", 550), (Hang(), 0), (Drop(), 0)]
)
def test_one_function_tells_what_the_server_said_and_gives_up_in_time(
    one_function: Path, server: ScriptedProvider, step: str, action: Action, code: int
) -> None:
    server.script = {step: action}
    assert said(one_function, server.port) == f"mail not sent: {code}\n"
    assert server.messages == []


def test_one_function_says_when_nobody_is_there(one_function: Path) -> None:
    assert said(one_function, free_port()) == "mail not sent: 0\n"


# ---- ControllinoAlarm -----------------------------------------------------------------------------------------------


class Board:
    """A Controllino under way, and its input."""

    def __init__(self, process: subprocess.Popen[str], level: Path) -> None:
        self.process = process
        self._level = level

    def set(self, level: int) -> None:
        new = self._level.with_suffix(".new")
        new.write_text(str(level))
        new.replace(self._level)

    def hold(self, level: int, milliseconds: int) -> None:
        """A pulse: it is the pulse's length that the board is asked about."""
        self.set(level)
        time.sleep(milliseconds / 1000 / RATE)


@contextmanager
def board(program: Path, server: ScriptedProvider, folder: Path) -> Iterator[Board]:
    level = folder / "level"
    level.write_text("0")
    environment = {"PORT": str(server.port), "RATE": str(RATE), "INPUT_FILE": str(level), "RUN_MS": "4000000000"}
    with subprocess.Popen([program], env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "watching the input\n"
            yield Board(process, level)
        finally:
            process.kill()


def subjects(server: ScriptedProvider) -> list[str]:
    return [email.message_from_bytes(one.data)["Subject"] for one in server.messages]


def test_a_change_of_the_input_is_mailed_to_everybody(alarm: Path, server: ScriptedProvider, tmp_path: Path) -> None:
    with board(alarm, server, tmp_path) as controllino:
        controllino.set(1)
        server.wait_for(1, PATIENCE)
        controllino.set(0)
        server.wait_for(2, PATIENCE)
    assert subjects(server) == ["Pump 3: ALARM", "Pump 3: all clear"]
    assert server.messages[0].recipients == [b"you@example.org", b"night.shift@example.org"]
    assert b"Input A0 is on.\r\nChanges since the last mail: 1\r\n" in server.messages[0].data


def test_what_failed_is_tried_again_until_it_goes_through(
    alarm: Path, server: ScriptedProvider, tmp_path: Path
) -> None:
    server.script = {"rcpt": ["451 later", "451 later"], "dot": [Drop()]}
    with board(alarm, server, tmp_path) as controllino:
        controllino.set(1)
        server.wait_for(1, PATIENCE)
        assert controllino.process.stdout is not None
        said = [controllino.process.stdout.readline() for _ in range(3)]
    assert said == ["mail: refused at RCPT TO: 451 later\n", "mail: connection lost at text\n", "mail sent\n"]
    assert subjects(server) == ["Pump 3: ALARM"]


def test_the_control_goes_on_while_a_mail_is_under_way(alarm: Path, server: ScriptedProvider, tmp_path: Path) -> None:
    server.script = {"mail": [Hang()]}
    with board(alarm, server, tmp_path) as controllino:
        controllino.set(1)
        server.wait_for(lambda one: one.count("mail") == 1, PATIENCE)
        # Nobody but control() sees these, and only if it is called while the mail hangs.
        for level in (0, 1):
            controllino.hold(level, 2000)
        assert server.messages == []
        server.wait_for(1, PATIENCE)
    assert b"Input A0 is on.\r\nChanges since the last mail: 3\r\n" in server.messages[0].data
