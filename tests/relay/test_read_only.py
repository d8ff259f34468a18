"""A spool whose file system became read-only, as one that has faults does: mail waits, and the owner is told."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.relay import Relay, smarthost
from tests.support.scripted_provider import ScriptedProvider
from tests.support.waiting import wait

pytestmark = pytest.mark.root


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that everybody can reach."""
    found = tmp_path / "disk"
    found.mkdir()
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    if subprocess.run(["mount", "-t", "tmpfs", "disk", found], check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    yield found
    subprocess.run(["umount", "-l", found], check=True)


def remount(disk: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", disk], check=True)


def test_mail_on_a_read_only_spool_is_told_of_and_not_sent_before_that_can_be_recorded(disk: Path) -> None:
    with ScriptedProvider({"dot": ["451 4.3.0 not now"]}) as provider:
        main = "option notify '/bin/true'\noption notify_after '2s'\noption retry_min '1'\noption retry_max '1'"
        relay = Relay(main, smarthost(provider))
        relay.spool = disk / "spool"
        with relay:
            relay.send()
            relay.wait_log("deferred id=")
            remount(disk, "ro")
            relay.wait_log("event=disk")
            relay.wait_log("event=stuck")
            with relay.connect() as client:
                client.begin_data()
                client.say(b"Subject: x\r\n\r\nx\r\n.", "45")
            relay.stop()
            remount(disk, "rw")
            (relay.spool / "tmp" / "half").touch()
            os.chown(relay.spool / "tmp" / "half", relay.spool.stat().st_uid, relay.spool.stat().st_gid)
            remount(disk, "ro")
            looked = relay.log().count("not-read")
            relay.start()
            relay.wait_log("not-read", looked + 2)
            assert provider.messages == [] and "crashed" not in relay.log()
            remount(disk, "rw")
            provider.wait_for(1)
            wait(lambda: relay.queue() == [], "it is gone")
