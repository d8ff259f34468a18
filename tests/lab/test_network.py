"""Open to the cabinet, closed to the world: who gets through the firewall, and who the relay talks to."""

from __future__ import annotations

import json
import re
import smtplib
from collections.abc import Iterator

import pytest

from forge.core import paths
from forge.core.ports import greeting
from tests.support.router import STATUS
from tests.support.router_ssh import SshRouter


@pytest.fixture
def closed_lan(changed_router: SshRouter) -> Iterator[SshRouter]:
    """The zone lan drops what no rule lets in; SSH is let in, for us."""
    router = changed_router
    router.ok("cp /etc/config/firewall /tmp/firewall.before")
    router.ok(
        "uci batch",
        input="""add firewall rule
set firewall.@rule[-1].name='Allow-SSH'
set firewall.@rule[-1].src='lan'
set firewall.@rule[-1].proto='tcp'
set firewall.@rule[-1].dest_port='22'
set firewall.@rule[-1].target='ACCEPT'
set firewall.@zone[0].input='DROP'
commit firewall
""",
    )
    router.ok("service firewall reload")
    yield router
    router.ok("cp /tmp/firewall.before /etc/config/firewall; service firewall reload")


def test_a_lan_that_drops_everything_still_lets_its_mail_in(closed_lan: SshRouter) -> None:
    router = closed_lan
    assert router.ok("uci get firewall.@zone[0].name").strip() == "lan"
    router.wait(lambda: greeting(router.lan(25)).startswith("220 "), "the relay greets")
    router.ok("service mailrelay stop")
    router.wait(lambda: "dport 25 " not in router.ok("nft list ruleset"), "the rule has gone with the service")
    assert greeting(router.lan(25), 3) == "", "nothing else lets it in"


def test_a_strangers_packets_never_reach_the_relay(router: SshRouter) -> None:
    assert greeting(router.lan(25)).startswith("220 ")
    before = router.status()["counts"]["connections"]
    assert greeting(router.stranger_address()) == ""
    assert "mailrelay" not in router.log("203.0.113.2")
    assert router.status()["counts"]["connections"] <= before + 1


@pytest.fixture
def no_firewall(router: SshRouter) -> Iterator[None]:
    """Stopped, and what comes from the WAN is even led to the relay's door."""
    router.stranger_address()
    router.ok("service firewall stop")
    device = router.ok(". /lib/functions/network.sh; network_get_device device wan; echo $device").strip()
    router.ok(
        "nft -f -",
        input=f"""table ip stray {{
	chain prerouting {{
		type nat hook prerouting priority dstnat; policy accept;
		iifname "{device}" tcp dport 25 dnat to {router.lan_ip}
	}}
}}
""",
    )
    yield
    router.ok("nft delete table ip stray; service firewall start")


def test_without_a_firewall_the_relay_itself_refuses_strangers(router: SshRouter, no_firewall: None) -> None:
    host, port = router.stranger_address()
    first = router.wait(lambda: greeting((host, port)), "somebody answers")
    assert first.startswith("554 5.7.1"), first
    with pytest.raises(smtplib.SMTPException):
        smtplib.SMTP(host, port, timeout=10)
    assert greeting(router.lan(25)).startswith("220 "), "the LAN is served all the same"
    assert "203.0.113.2" in router.log("refused") or "203.0.113.2" in router.log("554"), router.log("mailrelay")


# What is typed at the address that goes. The connection outlasts that, as the address is back before it is given up.
MOVED = """
cp /etc/config/network /tmp/network.before
{lines}
for second in $(seq 60); do
	grep -q '{address}:25"' {status} && break
	sleep 1
done
ubus call network.interface.lan status; cat {status}
mv /tmp/network.before /etc/config/network
service network reload >/dev/null
"""


def test_another_address_as_the_owners_page_has_it(changed_router: SshRouter) -> None:
    """With its network: an address alone is one of a network of one, and nobody in it is served."""
    router = changed_router
    page = (paths.DOCS / "owner/OPENWRT.md").read_text()
    newer, older, *rest = re.findall(
        r"(?m)^    (uci set network\.lan\..*|uci commit network|service network .*)$", page
    )
    lines = [newer if router.packages.program == "apk" else older, *rest]
    [(address, length)] = re.findall(r"ipaddr='([\d.]+)/(\d+)'", newer)
    said = router.ok(MOVED.format(lines="\n".join(lines), address=address, status=STATUS))
    decoder = json.JSONDecoder()
    lan, end = decoder.raw_decode(said[said.index("{") :])
    status, _ = decoder.raw_decode(said[said.index("{") + end :].lstrip())
    assert [(one["address"], one["mask"]) for one in lan["ipv4-address"]] == [(address, int(length))]
    assert f"{address}:25" in status["listening"]
    router.wait_relay(f"{router.lan_ip}:25")
