"""Whose mail goes next, as a table of what is told and what is asked. Nothing runs and no time passes."""

from __future__ import annotations

from typing import Any

import pytest

from mailrelay.core.ipc import NEVER
from mailrelay.courier.fair_queue import FairQueue

Step = tuple[str, Any, Any]  # method, its arguments as words, what it returns


def old(client: str, queue_id: str, attempts: int = 0) -> Step:
    return ("old", (client, queue_id, attempts), None)


def new(client: str, queue_id: str) -> Step:
    return ("new", (client, queue_id, 0), None)


def ready(smarthost: str, queue_id: str) -> Step:
    return ("make_ready", (smarthost, queue_id), None)


def served(*ids: str | None) -> list[Step]:
    return [("next", (), queue_id) for queue_id in (*ids, None)]


TABLE: dict[str, list[Step]] = {
    "nothing": served(),
    "new mail in its order": [new("a", "1"), new("a", "2"), new("a", "3"), *served("1", "2", "3")],
    "of the backlog the newest": [old("a", "1"), old("a", "2"), old("a", "3"), *served("3", "2", "1")],
    "what was tried least": [old("a", "1", 3), old("a", "2", 0), old("a", "3", 7), *served("2", "1", "3")],
    "new mail before the backlog": [old("a", "2"), new("a", "1"), old("a", "3"), *served("1", "3", "2")],
    "clients in turn": [
        *(old("a", "1"), old("a", "2", 7), old("a", "3"), old("a", "4", 1)),
        *(old("b", "5", 9), new("a", "6"), new("a", "7")),
        *served("6", "5", "7", "3", "1", "4", "2"),
    ],
    "a chatty client does not keep the others waiting": [
        *(new("a", f"a{i}") for i in range(9)),
        *(new("b", "b"), new("c", "c")),
        *served("a0", "b", "c", *(f"a{i}" for i in range(1, 9))),
    ],
    "one that comes back is the last": [
        *(new("a", "1"), new("b", "2"), new("b", "3"), ("next", (), "1"), new("a", "4")),
        *served("2", "4", "3"),
    ],
    "added while the backlog is served": [
        *(old("a", "1"), old("a", "3"), ("next", (), "3"), old("a", "2"), old("a", "0", 5)),
        *served("2", "1", "0"),
    ],
    "ready mail before anybody's": [
        *(new("a", "1"), ready("x", "2"), ready("x", "3"), ready("y", "4"), ("with_ready", (), ["x", "y"])),
        *(("next_for", ("x",), one) for one in ("2", "3", "1", None)),
        *(("with_ready", (), ["y"]), ("next_for", ("y",), "4"), ("next_for", ("y",), None)),
    ],
    "the preferred smarthost first": [ready("y", "1"), ready("x", "2"), ("with_ready", (), ["x", "y"])],
    "taken back from all": [
        *(ready("y", "1"), ready("x", "2"), ready("y", "3"), ("take_back", (), ["2", "1", "3"])),
        *(("with_ready", (), []), ("take_back", (), [])),
    ],
    "no smarthost to be tried": [
        *(new("a", "1"), old("b", "2"), ready("x", "3"), ("give_up", (50.0,), None)),
        *(("next_due", (), 50.0), ("with_ready", (), ["x"])),
        *served(),
    ],
    "due by now": [("is_due", (10.0, 10.0), True), ("is_due", (0.0, 10.0), True), ("next_due", (), NEVER)],
    "due later": [
        *(("is_due", (12.0, 10.0), False), ("is_due", (11.0, 10.0), False), ("is_due", (13.0, 10.0), False)),
        *(("next_due", (), 11.0), ("postpone", (5.0,), None), ("next_due", (), 5.0)),
    ],
}


@pytest.mark.parametrize("steps", TABLE.values(), ids=TABLE)
def test_whose_turn_it_is(steps: list[Step]) -> None:
    queue = FairQueue(["x", "y"])
    for place, (what, arguments, answer) in enumerate(steps):
        if what in ("new", "old"):
            queue.add(*arguments, fresh=what == "new")
        elif what == "next_due":
            assert queue.next_due == answer, place
        else:
            assert getattr(queue, what)(*arguments) == answer, f"step {place}: {what}"


def test_when_everything_is_due_nothing_is_put_off() -> None:
    queue = FairQueue([], everything_due=True)
    assert queue.is_due(1e9, 10.0) and queue.next_due == NEVER
