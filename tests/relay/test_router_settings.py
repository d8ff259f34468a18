"""What the relay has for its package on OpenWrt: the copy of the settings, the redirect, a limit, the bus's hook."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from forge.core.errors import ForgeError
from mailrelay.config import schema
from mailrelay.config.machine import ThisMachine
from tests.support.relay import SMARTHOST, Relay
from tests.support.waiting import wait

HEAD = b"config mailrelay 'main'\n\tlist network 'lan'\n\nconfig client 'camera'\n"


@pytest.mark.parametrize(
    ("address", "good"),
    [("192.168.1.40", True), ("192.168.1.40/32", True), ("192.168.1.0/24", False), ("fd00::1", True)],
)
def test_a_redirect_is_for_one_machine(address: str, good: bool) -> None:
    text = HEAD + f"\toption address '{address}'\n\toption redirect '1'\n".encode()
    settings, faults, _ = schema.check(text, "config", ThisMachine())
    assert (settings is not None) is good
    if not good:
        assert "is for one machine, and '192.168.1.0/24' is a network" in str(faults[0])


def test_what_is_said_of_the_accepted_copy_names_the_original() -> None:
    with Relay() as relay:
        relay.stop()
        copy = relay.run_dir / "config"
        copy.write_text("config mailrelay 'main'\n\toption port 'abc'\n")
        relay.config = copy
        with pytest.raises(ForgeError, match="/etc/config/mailrelay:2: "):
            relay.start()


def test_a_limit_leaves_the_rest_out_and_counts_it() -> None:
    with Relay(rest=SMARTHOST.format(port=1)) as relay:
        ids = [relay.send() for _ in range(3)]
        argv = relay.command("queue", "--json", "--limit", "2", "--config", str(relay.config))
        argv += ["--run-dir", str(relay.run_dir)]
        with os.popen(" ".join(argv)) as pipe:  # noqa: S605
            found = json.load(pipe)
        assert [one["id"] for one in found["messages"]] == sorted(ids)[:2]
        assert found["total"] == 3


def test_without_its_storage_the_relay_answers_452_and_touches_nothing(tmp_path: Path) -> None:
    """A folder where nothing is mounted: what is beneath it is not the spool."""
    mount = tmp_path / "stick"
    mount.mkdir()
    smarthost = SMARTHOST.format(port=1)
    with Relay("option notify '/bin/true'", smarthost, options=("--spool-mount", str(mount))) as relay:
        relay.wait_log("notified event=disk program=/bin/true")
        (trouble,) = wait(lambda: relay.status().get("troubles"), "the status tells it too")
        assert trouble["cause"] == "disk" and f"{mount}: nothing is mounted there" in trouble["answer"]
        with relay.connect() as client:
            client.say("EHLO plc", "250")
            assert client.say("MAIL FROM:<plc@example.net>").startswith("452")
        assert relay.status()["spool_missing"] is True
        relay.flush()
        relay.wait_log("flush")
        with relay.connect() as client:  # it goes on, and does not spin on mail that it must not look for
            client.say("EHLO plc", "250")
        assert not relay.spool.exists()
        cpu = Path(f"/proc/{relay.pid}/stat").read_text().split()[13]
        wait(lambda: relay.status()["updated"], "the status is written")
        assert int(Path(f"/proc/{relay.pid}/stat").read_text().split()[13]) - int(cpu) < 10
