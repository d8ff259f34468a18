"""`mailrelay status`, and the file that it reads."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from mailrelay.core import clock, counters
from mailrelay.daemon import status
from mailrelay.listener import occupant
from mailrelay.spool.spool import Envelope, Spool
from tests.relay.calling import call, places
from tests.support.relay import SMARTHOST, Relay, free_port
from tests.support.scripted_provider import Script, ScriptedProvider
from tests.support.waiting import wait


def test_status_tells_what_an_owner_wants_to_know() -> None:
    with ScriptedProvider({"rcpt": "550 5.1.1 no such user"}) as provider:
        place = SMARTHOST.format(port=provider.port)
        with Relay("", place, allow=("192.168.7.0/24",)) as relay:
            relay.send()
            wait(lambda: relay.status().get("failed") == 1, "the failure is counted")
            done = call("status", *places(relay))
            assert done.code == 0
            for part in (
                f"(process {relay.pid})",
                f"127.0.0.1:{relay.port}",
                "192.168.7.0/24",
                f"127.0.0.1:{provider.port}",
                "1 accepted",
                "1 failed",
                "5.1.1 no such user",
            ):
                assert part in done.text
            found = json.loads(call("status", "--json", *places(relay)).text)
            assert found.pop("running") is True
            assert found["pid"] == relay.pid
            relay.stop(9)
            done = call("status", *places(relay))
            assert done.code == 3
            assert "not running" in done.text
            assert json.loads(call("status", "--json", *places(relay)).text)["running"] is False


def test_a_stale_status_file_whose_pid_is_somebody_else_counts_as_not_running(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(json.dumps({"pid": os.getpid(), "spool": "/nowhere", "listening": []}))
    done = call("status", "--json", "--run-dir", str(tmp_path))
    assert done.code == 3
    assert json.loads(done.text)["running"] is False


def test_a_trouble_is_shown_since_when_and_with_what_to_do_until_it_is_mended() -> None:
    with ScriptedProvider({"mail": "550 5.7.60 not as this sender"}) as provider:
        place = SMARTHOST.format(port=provider.port)
        with Relay("", place) as relay:
            relay.send()
            (trouble,) = wait(lambda: relay.status().get("troubles"), "status has it")
            assert (trouble["cause"], trouble["smarthost"], trouble["sender"]) == (
                "sender-refused", "127.0.0.1", "plc@example.net",
            )  # fmt: skip
            assert 0 <= relay.status()["updated"] - trouble["since"] < 60 and "option sender" in trouble["advice"]
            text = call("status", *places(relay)).text
            assert "ago: sender-refused at 127.0.0.1 for mail from plc@example.net: 550 5.7.60" in text
            assert text.count("option sender") == 1, "the last failure is the same"
            relay.stop()
            relay.start()  # OpenWrt starts another relay for each change of the settings
            (again,) = wait(lambda: relay.status().get("troubles"), "the next one knows it")
            assert again == {**trouble, "since": pytest.approx(trouble["since"], abs=1)}
            provider.script = {}
            relay.flush()
            provider.wait_for(1)
            wait(lambda: relay.status().get("troubles") == [], "it is mended")


def test_machines_that_were_refused_are_shown_with_what_to_change() -> None:
    with Relay("", SMARTHOST.format(port=1)) as relay:
        with relay.connect() as client:
            client.say("EHLO plc", "250")
            client.say("MAIL FROM:<a@example.org> NONSENSE=1", "555")
        (refusal,) = wait(lambda: relay.status().get("refusals"), "status has it")
        text = call("status", *places(relay)).text
        assert "127.0.0.1, 1 time, last " in text and refusal["reply"] in text


def test_the_oldest_mail_is_measured_by_the_clock_that_nobody_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    earlier, now = 1_800_000_000.0, 1_900_000_000.0
    monkeypatch.setattr(clock, "wall", lambda: earlier)
    queue_id = Spool("/nowhere").new_id()
    table = (  # seen by a courier, last empty, clock trusted: age
        ((queue_id, 900.0), 0.0, True, 100.0),
        ((queue_id, 900.0), 990.0, False, 100.0),
        (("another", 900.0), 990.0, True, 10.0),
        (("another", 900.0), 0.0, False, 1000.0),
        (("another", 900.0), 0.0, True, now - earlier),
    )
    monkeypatch.setattr(clock, "wall", lambda: now)
    for seen, empty, trusted, age in table:
        monkeypatch.setattr(clock, "trusted", lambda known=trusted: known)
        assert status.age(queue_id, 1000.0, seen, empty) == pytest.approx(age), (seen, empty, trusted)
    monkeypatch.setattr(clock, "wall", lambda: earlier - 60)
    assert status.age(queue_id, 1000.0, ("", 0.0), 0.0) == 0.0, "it was set back"


def test_mail_that_came_in_before_the_clock_was_set_is_as_old_as_the_queue_says(tmp_path: Path) -> None:
    box = Spool(str(tmp_path / "spool"))
    box.prepare()
    with pytest.MonkeyPatch.context() as patch:
        wall = clock.wall
        patch.setattr(clock, "wall", lambda: wall() - 20 * 86400)
        box.submit(Envelope(b"plc@example.org", [b"a@example.org"], "192.168.1.5"), [b"Subject: x\r\n\r\nx\r\n"])
    with ScriptedProvider({"banner": "421 no"}) as provider, Relay("", SMARTHOST.format(port=provider.port)) as relay:
        relay.stop()
        (name,) = box.ids("queue")
        os.rename(box.path("queue", name), relay.spool / "queue" / name)
        relay.start()
        relay.wait_log("smarthost-failed")
        wait(lambda: (oldest := relay.status().get("oldest")) and clock.wall() - oldest < 3600, "status says so")
        (listed,) = json.loads(call("queue", "--json", *places(relay)).text)["messages"]
        assert clock.wall() - relay.status()["oldest"] == pytest.approx(listed["age"], abs=5)


def test_a_port_that_is_taken_is_told_with_who_has_it_and_taken_when_it_is_free() -> None:
    relay = Relay("", SMARTHOST.format(port=1))
    server = socket.create_server(("127.0.0.1", relay.port))
    with relay:
        (taken,) = wait(lambda: relay.status().get("port_taken"), "status has it")
        assert taken["endpoint"] == f"127.0.0.1:{relay.port}" and f"(pid {os.getpid()})" in taken["by"]
        assert f"another port than {relay.port}" in taken["advice"] and taken["stop"] == ""
        (warning,) = (one for one in relay.status()["warnings"] if one.get("code") == "port-taken")
        assert taken["by"] in warning["text"] and taken["advice"] in warning["text"]
        assert taken["by"] in relay.wait_log("cannot-listen")
        text = call("status", *places(relay)).text
        assert text.count(f"taken by {taken['by']}") == 1 and taken["advice"] in text
        server.close()
        wait(lambda: relay.status().get("port_taken") == [], "the port is free")
        relay.send()


@pytest.mark.parametrize(
    ("address", "free"), [("127.0.0.1", ""), ("0.0.0.0", ""), ("::", ""), ("::ffff:127.0.0.1", ""), ("127.0.0.2", "x")]
)
def test_whoever_listens_there_or_everywhere_has_the_port(address: str, free: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as sock:
        sock.bind((address, 0))
        sock.listen()
        found = occupant.taken_by("127.0.0.1", sock.getsockname()[1])
        assert (f"(pid {os.getpid()})" in found) != bool(free)
    assert occupant.taken_by("127.0.0.1", 1) == ""


REFUSED = {
    "settings": "refused", "since": 1_800_000_000, "running_old": False,
    "findings": [
        {"section": "main", "option": "port", "line": 5, "problem": "'abc' is not a port", "hint": "write 25"},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"settings": "off"}, ["is switched off", "uci set mailrelay.main.enabled=1; uci commit mailrelay;"]),
        ({"settings": "missing", "since": 1, "findings": []}, ["its settings are missing; mend them"]),
        (REFUSED, ["refused since 2027-01-15", "line 5: section 'main', option 'port' 'abc' is not a port; write 25"]),
        ({"settings": "good"}, ["is not running; start it with"]),
        (None, ["is not running; start it with"]),
    ],
)
def test_why_the_relay_does_not_run_is_said_as_the_init_script_tells_it(
    told: object, expected: list[str], tmp_path: Path
) -> None:
    if told:
        (tmp_path / "service.json").write_text(json.dumps(told))
    done = call("status", "--run-dir", str(tmp_path))
    assert done.code == 3
    for text in expected:
        assert text in done.text
    as_json = json.loads(call("status", "--json", "--run-dir", str(tmp_path)).text)
    assert as_json.get("service") == told


def test_settings_that_were_refused_are_told_while_the_ones_before_are_in_force() -> None:
    with Relay("", SMARTHOST.format(port=1)) as relay:
        (relay.run_dir / "service.json").write_text(json.dumps({**REFUSED, "running_old": True}))
        done = call("status", *places(relay))
        assert done.code == 0
        assert "the relay goes on with the ones before, also after a reboot" in done.text
        assert "'abc' is not a port" in done.text


def test_where_every_mail_is_deferred_the_provider_is_not_good_and_says_why() -> None:
    with ScriptedProvider() as provider, Relay("", SMARTHOST.format(port=provider.port)) as relay:
        relay.send()
        wait(lambda: states(relay) == ["good"], "it takes mail")
        provider.script = {"dot": "451 4.3.0 greylisted, come back later"}
        sent = [relay.send() for _ in range(3)]
        status = wait(lambda: (found := relay.status()).get("deferred") == 3 and found, "they wait")
        failure = status["last_failure"]
        assert failure["id"] in sent and failure["deferred"] and failure["stage"] == "dot"
        assert (failure["name"], failure["answer"]) == ("provider", "451 4.3.0 greylisted, come back later")
        assert "tried again" in failure["advice"]
        (shown,) = status["providers"]
        assert (shown["state"], shown["text"], shown["advice"]) == ("waiting", failure["answer"], failure["advice"])
        text = call("status", *places(relay)).text
        assert "3 messages waiting" in text and "3 of them after a failed attempt" in text
        assert f"127.0.0.1:{provider.port} has mail waiting since" in text

        assert call("delete", *places(relay), sent[0]).code == 0
        wait(lambda: relay.status().get("deferred") == 2, "what is deleted waits no more")
        relay.stop(9)
        relay.start()
        wait(lambda: relay.status().get("deferred") == 2, "another relay finds them")
        provider.script = {}
        relay.flush()
        provider.wait_for(3)
        wait(lambda: relay.status().get("deferred") == 0, "they are gone")
        wait(lambda: relay.status()["last_failure"] is None and states(relay) == ["good"], "and with them the failure")


def test_a_failure_goes_with_its_mail_and_not_with_anothers_success() -> None:
    script: Script = {"rcpt#1": "550 5.1.1 no such user"}
    with ScriptedProvider(script) as provider, Relay("", SMARTHOST.format(port=provider.port)) as relay:
        failed = relay.send()
        wait(lambda: relay.status().get("failed") == 1, "it has failed")
        relay.send()
        status = wait(lambda: (found := relay.status()).get("last_success") and found, "another one goes")
        assert status["last_failure"]["id"] == failed and not status["last_failure"]["deferred"]
        assert call("delete", *places(relay), failed).code == 0
        wait(lambda: relay.status()["last_failure"] is None, "the owner has seen to it")


def test_a_provider_that_cannot_be_reached_is_bad_until_it_is() -> None:
    port = free_port()
    with Relay("option retry_min '1'", SMARTHOST.format(port=port)) as relay:
        relay.send()
        wait(lambda: states(relay) == ["bad"], "nobody is there")
        status = relay.status()
        assert (status["last_failure"]["stage"], status["last_failure"]["id"]) == ("connect", "")
        assert status["providers"][0]["next_try"] and status["deferred"] == 0, "the mail itself was not tried"
        with ScriptedProvider(port=port):
            relay.flush()
            wait(lambda: states(relay) == ["good"] and relay.status()["last_failure"] is None, "it is there")


def test_counts_and_what_went_well_and_wrong_outlast_a_new_relay() -> None:
    script: Script = {"rcpt#2": "550 5.1.1 no such user"}
    with ScriptedProvider(script) as provider, Relay("", SMARTHOST.format(port=provider.port)) as relay:
        relay.send()
        relay.send()
        before = wait(lambda: (found := relay.status()).get("failed") == 1 and found, "both are over")
        assert before["last_success"] and before["last_failure"]
        relay.stop()
        relay.start()
        after = relay.status()
        about = pytest.approx
        for name in ("last_success", "last_failure"):
            assert after[name] == {**before[name], "time": about(before[name]["time"], abs=1)}
        assert after["counts"] == before["counts"] and after["counted_since"] == before["counted_since"]
        assert after["days"] == before["days"] and after["today"] == before["today"]
        (relay.run_dir / "state").unlink(missing_ok=True)
        relay.stop()
        (relay.run_dir / "state").unlink()  # as a reboot does
        kept = (relay.spool / "days").stat()
        assert (kept.st_uid, kept.st_mode & 0o777) == (relay.spool.stat().st_uid, 0o600), "no file of root's"
        relay.start()
        again = relay.status()
        assert (again["counts"]["accepted"], again["last_failure"]) == (0, None)
        assert again["days"] == before["days"], "these outlast it"
        assert again["today"]["accepted"] == again["days"][-1]["accepted"] == 2


def test_days_are_written_at_midnight_hourly_and_at_the_end_and_only_what_has_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = [1_800_000_000.0]  # 08:00 UTC
    monkeypatch.setattr(clock, "wall", lambda: now[0])
    monkeypatch.setattr(clock, "boottime", lambda: now[0])
    counts = counters.counters()
    one = status.Status(str(tmp_path), str(tmp_path), counts)

    def written(seconds: float, mails: int, *, end: bool = False) -> bool:
        now[0] += seconds
        counts[counters.DELIVERED] += mails
        one.look()
        return bool(one.days_to_keep(now[0], end=end))

    assert not written(3599, 5), "the hour is not over"
    assert written(1, 0)
    assert not written(7200, 0), "nothing has changed"
    assert written(1, 1) and not written(3599, 1) and written(1, 0), "once in an hour"
    assert written(1_800_000_000 + 15.75 * 3600 - now[0], 1), "a quarter to midnight"
    assert not written(840, 1) and written(120, 0), "a minute past it"
    assert not written(60, 1) and written(1, 0, end=True) and not written(1, 0, end=True)


def states(relay: Relay) -> list[str]:
    return [provider["state"] for provider in relay.status().get("providers", [])]
