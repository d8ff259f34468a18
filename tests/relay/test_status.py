"""`mailrelay status`, and the file that it reads."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.relay.calling import call, places
from tests.support.relay import SMARTHOST, Relay
from tests.support.scripted_provider import ScriptedProvider
from tests.support.waiting import wait


def test_status_tells_what_an_owner_wants_to_know() -> None:
    with ScriptedProvider({"mail": "550 5.7.60 not as this sender"}) as provider:
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
                "5.7.60 not as this sender",
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
