"""`ubus call mailrelay ...`: rpcd's executable, and the events on the bus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.router import PROVIDER
from tests.support.router_container import Container

pytestmark = pytest.mark.root
RPCD = "/usr/libexec/rpcd/mailrelay"


@pytest.fixture(scope="module")
def router() -> Iterator[Container]:
    with Container() as router:
        router.enabled_router()
        yield router


def call(router: Container, method: str, **arguments: object) -> dict[str, Any]:
    """As rpcd does it: the method as an argument, a JSON object on standard input, one on standard output."""
    found: dict[str, Any] = json.loads(router.ok(RPCD, "call", method, input=json.dumps(arguments)))
    return found


def test_status_starts_no_interpreter(router: Container) -> None:
    python = router.root / "usr/bin/python3"
    text = python.read_text()
    python.write_text(text.replace("exec ", "echo started >>/tmp/started; exec "))
    try:
        found = call(router, "status")
    finally:
        python.write_text(text)
    assert (found["running"], found["enabled"], found["engine"], found["package"]) == (True, True, "python", "1.0.0-r1")
    assert found["listening"]
    assert not (router.root / "tmp/started").exists()


@pytest.mark.parametrize(("method", "most"), [("status", 1), ("test_status", 2), ("log", 2)])
def test_what_is_asked_again_and_again_starts_next_to_no_process(router: Container, method: str, most: int) -> None:
    call(router, method)
    for name in ("awk", "date", "flock", "logread", "sed"):
        program = router.ok(f"command -v {name}").strip()
        script = f'#!/bin/sh\necho {name} >>/tmp/started\nPATH=/usr/bin:/bin exec {program} "$@"\n'
        router.put(f"/tmp/few/{name}", script, 0o755)
    router.put("/tmp/started", "")
    done = router.run(f"echo '{{}}' | PATH=/tmp/few {RPCD} call {method}")
    assert json.loads(done.output) and not done.errors, "it needs nothing else"
    assert len(router.read("/tmp/started").split()) <= most


def test_the_log_has_what_the_relays_own_programs_say_and_nothing_else(router: Container) -> None:
    router.ok("logger -t uhttpd 'luci: accepted login on /admin/services/mailrelay for root from 192.168.1.5'")
    router.ok("logger -t notmailrelay 'mailrelay: nor this'; logger -t mailrelay/smtpd 'a \\ and a \"'")
    lines = call(router, "log")["text"].splitlines()
    assert any("mailrelay[" in line for line in lines) and 'a \\ and a "' in lines[-1]
    assert not any("uhttpd" in line or "nor this" in line for line in lines)
    assert call(router, "log", limit=1)["text"] == lines[-1]
    first = router.send().split()[-1]
    told = router.wait(lambda: call(router, "log", id=first)["text"], "the mail is in the log")
    assert all(first in line for line in told.splitlines())
    call(router, "delete", ids=[first])


def test_the_status_warns_of_settings_that_are_not_in_force() -> None:
    with Container() as router:
        router.enabled_router()
        before = call(router, "status")["warnings"]
        router.configure("option port 'abc'")
        router.ok("/etc/init.d/mailrelay", "reload")
        found = call(router, "status")
        first, second, *rest = found["warnings"]
        assert first["code"] == "settings-refused" and "the relay goes on with the settings before" in first["text"]
        assert (second["option"], second["line"]) == ("port", 5) and rest == before
        assert found["running"] and found["service"]["settings"] == "refused"
        router.ok("/etc/init.d/mailrelay", "stop")
        router.wait(lambda: not router.status(), "it has ended")
        assert call(router, "status")["warnings"][0] == first


def test_the_queue_is_listed_shown_held_released_and_deleted(router: Container) -> None:
    for _ in range(3):
        router.send()
    found = call(router, "queue", limit=2)
    assert (len(found["messages"]), found["total"]) == (2, 3)
    first, second = (one["id"] for one in found["messages"])
    shown = call(router, "show", id=first)
    assert shown["ok"] and "Tank level" in shown["text"] and "plc@plant.example" in shown["text"]
    assert call(router, "hold", ids=[first, second])["ok"]
    assert len(list((router.root / "etc/mailrelay/spool/hold").iterdir())) == 2
    assert call(router, "release", ids=[first])["ok"]
    assert call(router, "flush", ids=[first])["ok"]
    assert call(router, "delete", ids=[first, second])["ok"]
    assert not call(router, "delete", ids=[first])["ok"]
    shown = call(router, "show", id=first)
    assert not shown["ok"] and "no such message" in shown["text"] and not shown["text"].rstrip()[-1].isdigit()
    assert call(router, "queue")["total"] == 1
    assert call(router, "flush")["ok"]


@pytest.mark.parametrize(
    "bad", ["", "../../../etc/passwd", "--all", "1m81x5813g42b6m", "1M81X5813G42B6MG", "1m81x5813g42b6m;", "a" * 17, 7]
)
def test_an_id_is_sixteen_small_letters_and_digits(router: Container, bad: object) -> None:
    for answer in (call(router, "delete", ids=[bad]), call(router, "show", id=bad), call(router, "delete", ids=bad)):
        assert not answer["ok"]
        assert "queue id" in answer["text"]


def test_what_is_no_call_is_answered_and_not_obeyed(router: Container) -> None:
    for method in ("status", "check_draft", "test_draft", "log"):
        for text in ("[1]", "{", "nonsense", '{"settings": "x"', "\xff"):
            found = json.loads(router.ok(RPCD, "call", method, input=text))
            assert set(found) == {"ok", "text"} and not found["ok"], (method, text)
    assert not call(router, "methods")["ok"]
    assert not call(router, "queue", limit="1;reboot")["ok"]
    assert not call(router, "hold")["ok"]
    assert json.loads(router.ok(RPCD, "call", "check"))["ok"], "without any arguments at all"


def test_a_test_mail_goes_in_the_background_and_is_polled(router: Container) -> None:
    assert call(router, "test", address="owner@example.org")["ok"]
    done = router.wait(
        lambda: (found := call(router, "test_status"))["running"] is False and found["steps"] and found, "it ends"
    )
    assert done["steps"][-1]["result"] == "failed", "that provider does not exist"
    assert done["steps"][-1]["advice"]
    assert (router.root / "var/run/mailrelay/test.jsonl").stat().st_mode & 0o777 == 0o600


def test_a_machines_part_is_played_in_the_background_and_followed(router: Container) -> None:
    assert not call(router, "play", address="two words")["ok"]
    assert call(router, "play", address="owner@example.org")["ok"]
    done = router.wait(
        lambda: (found := call(router, "test_status"))["running"] is False and found["steps"] and found, "it ends"
    )
    names = [step.get("step") for step in done["steps"]]
    assert names[:9] == ["connect", "banner", "ehlo", "mail", "rcpt", "data", "dot", "quit", "queued"]
    assert done["steps"][-1]["result"] == "deferred", "that provider does not exist"
    assert done["steps"][-1]["id"] in router.queue()


def test_the_check_names_the_fault(router: Container) -> None:
    router.configure("option port 'abc'")
    answer = call(router, "check")
    router.configure()
    assert not answer["ok"]
    faults = [finding for finding in answer["findings"] if not finding["warning"]]
    assert [finding["problem"] for finding in faults] == ["'abc' is not a port"]


def test_a_relay_that_does_not_run_has_a_status_too() -> None:
    with Container() as router:
        router.lay_out()
        router.configure(enabled="0")
        (router.root / "etc/mailrelay/spool/queue").mkdir(parents=True)
        router.put("/etc/mailrelay/spool/queue/1m81x5813g42b6mg", "")
        found = call(router, "status")
        assert (found["running"], found["enabled"], found["queue"], found["failed"]) == (False, False, 1, 0)
        assert not call(router, "flush")["ok"]


def test_failed_and_stuck_mail_is_told_on_the_bus() -> None:
    """By the courier, which is not root: /usr/share/acl.d lets it."""
    with Container() as router:
        router.lay_out()
        router.ok("killall", "-HUP", "ubusd")  # as postinst does: the rights are read again
        router.configure("option notify_after '1s'\noption retry_min '1s'\noption retry_max '1s'")
        router.ok("/etc/init.d/mailrelay", "start")
        router.wait_relay()
        router.send()
        events = router.root / "tmp/events"
        router.wait(lambda: events.exists() and "stuck" in events.read_text(), "mail is stuck")
        told = json.loads(events.read_text().splitlines()[0])["mailrelay"]
        assert (told["event"], told["id"], told["count"]) == ("stuck", router.queue()[0], "1")

        router.configure("option queue_lifetime '1s'", PROVIDER)
        router.put("/var/run/mailrelay/clock-set", "")
        router.ok("/etc/init.d/mailrelay", "reload")
        router.wait(lambda: '"failed"' in events.read_text(), "and then it has failed")
        told = json.loads(events.read_text().splitlines()[-1])["mailrelay"]
        assert (told["event"], told["recipient"]) == ("failed", "owner@phone.example")


def test_the_courier_is_let_onto_the_bus_for_this_and_nothing_else(router: Container) -> None:
    acl = json.loads((router.root / "usr/share/acl.d/mailrelay.json").read_text())
    assert acl == {"user": "mailrelay", "send": ["mailrelay"]}
