"""Started as root, the relay gives up what it does not need; started for a user that is not there, it says so."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from pathlib import Path

import pytest

from forge.core.errors import ForgeError
from tests.support.relay import SMARTHOST, SOURCE, Relay
from tests.support.scripted_provider import Hang, ScriptedProvider
from tests.support.waiting import wait

SYSTEM_PYTHON = "/usr/bin/python3"


def everybodys_python() -> bool:
    """True where the system's own Python can run the relay: one in root's home is out of reach of other users."""
    code = "import sys; sys.exit(sys.version_info < (3, 10))"
    return Path(SYSTEM_PYTHON).exists() and subprocess.run([SYSTEM_PYTHON, "-c", code], check=False).returncode == 0


needs_a_public_checkout = pytest.mark.skipif(
    not (everybodys_python() and all(part.stat().st_mode & 0o001 for part in SOURCE.parents)),
    reason="needs a Python and a checkout that every user can read",
)


@pytest.fixture
def system_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILRELAY_PYTHON", SYSTEM_PYTHON)


def facts(pid: int) -> dict[str, list[str]]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.partition(":")[0]: line.partition(":")[2].split() for line in lines}


@pytest.mark.root
@needs_a_public_checkout
@pytest.mark.usefixtures("system_python")
def test_listener_and_courier_are_nobody_and_the_supervisor_keeps_the_spool_for_them() -> None:
    nobody = pwd.getpwnam("nobody")
    with ScriptedProvider({"dot": Hang()}) as provider, Relay("", SMARTHOST.format(port=provider.port)) as relay:
        queue_id = relay.send()
        wait(lambda: provider.count("dot") == 1, "the courier is at work")
        for pid in (relay.listener(), relay.courier()):
            found = facts(pid)
            assert found["Uid"] == [str(nobody.pw_uid)] * 4
            assert found["Gid"] == [str(nobody.pw_gid)] * 4
            assert found["Groups"] == []
            assert int(found["CapEff"][0], 16) == 0 and int(found["CapPrm"][0], 16) == 0
        assert facts(relay.pid)["Uid"][0] == "0"
        assert os.stat(relay.spool).st_uid == nobody.pw_uid
        assert stat.S_IMODE(os.stat(relay.spool).st_mode) == 0o700
        assert os.stat(relay.spool / "queue" / queue_id).st_uid == nobody.pw_uid
        assert stat.S_IMODE(os.stat(relay.run_dir / "config").st_mode) == 0o600
        assert os.stat(relay.run_dir / "config").st_uid == 0
        assert stat.S_IMODE(os.stat(relay.run_dir / "status.json").st_mode) == 0o644


@pytest.mark.root
@pytest.mark.parametrize("options, named", [(["--user", "no-such-user"], "--user no-such-user"), ([], "--user NAME")])
def test_a_user_that_does_not_exist_is_refused_by_name(options: list[str], named: str) -> None:
    if not options and "mailrelay" in {entry.pw_name for entry in pwd.getpwall()}:
        pytest.skip("this machine has a user mailrelay")
    relay = Relay()
    argv = relay.command("serve", "--config", str(relay.config), "--listen", f"127.0.0.1:{relay.port}", *options)
    argv += ["--spool", str(relay.spool), "--run-dir", str(relay.run_dir), "--log", "stderr"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 67
    assert named in done.stderr and "Traceback" not in done.stderr
    assert not relay.spool.exists()


@pytest.mark.root
def test_a_spool_of_somebody_else_is_refused() -> None:
    relay = Relay()
    relay.spool.mkdir()
    os.chown(relay.spool, 4242, 4242)
    with pytest.raises(ForgeError, match="belongs to uid 4242"):
        relay.start()
