"""address_watch: an interface that is named and gets or loses an address is noticed; everything else is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mailrelay.config.settings import Plan
from mailrelay.daemon.supervisor import Supervisor
from tests.support.relay import SOURCE

# In a network namespace of its own. Prints for each change whether something is due.
SCRIPT = """
import subprocess, select, sys
sys.path.insert(0, sys.argv[1])
from mailrelay.daemon import address_watch

def ip(*words):
    subprocess.run(["ip", *words], check=True)

ip("link", "set", "lo", "up")
ip("link", "add", "eth0", "type", "veth", "peer", "name", "other")
ip("address", "add", "192.168.7.1/24", "dev", "eth0")
watch = address_watch.AddressWatcher()
print(watch.due == address_watch.NEVER)
for words in sys.argv[2:]:
    ip(*words.split())
    while select.select([watch.fd], [], [], 0.2)[0]:
        watch.read_changes(["eth0", "eth0:plc"], 0.0)
    print(watch.due != address_watch.NEVER)
    watch.due = address_watch.NEVER
"""


@pytest.mark.root
def test_only_a_real_change_of_a_named_interface_counts() -> None:
    steps = {
        "address add 192.168.8.1/24 dev eth0": True,
        "address change 192.168.8.1/24 dev eth0 valid_lft 100 preferred_lft 100": False,  # as DHCP renews it
        "address add 192.168.9.1/24 dev other": False,
        "address delete 192.168.8.1/24 dev eth0": True,
        "address add fd00::1/64 dev eth0 nodad": True,
        "address add 192.168.8.2/24 dev eth0 label eth0:plc": True,
        "link delete eth0": True,
    }
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", SCRIPT, str(SOURCE), *steps], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    before, *seen = [line == "True" for line in done.stdout.splitlines()]
    assert before, "what is there already is no change"
    assert dict(zip(steps, seen)) == steps


def test_nothing_is_watched_where_addresses_were_handed_over(tmp_path: Path) -> None:
    plan = Plan(sources={}, spool=str(tmp_path), mount="", run_dir=str(tmp_path), follow=None, smarthosts={})
    assert Supervisor([], plan).addresses is None
    plan.follow = ["lo"]
    assert Supervisor([], plan).addresses is not None
