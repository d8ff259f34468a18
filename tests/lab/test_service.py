"""The service under procd: what dies comes back, what is changed is taken up."""

from __future__ import annotations

from forge.core.ports import greeting
from forge.servers.postfix import Provider
from tests.support.caller import Caller
from tests.support.router_ssh import SshRouter
from tests.support.scripted_provider import Hang, ScriptedProvider

PLANT = """set network.plant_device=device
set network.plant_device.name=plant0
set network.plant_device.type=bridge
set network.plant_device.bridge_empty=1
set network.plant=interface
set network.plant.device=plant0
set network.plant.proto=static
set network.plant.ipaddr=10.77.1.1/24
add_list mailrelay.main.network=plant
commit
"""


def test_a_killed_supervisor_is_started_again_and_leaves_no_orphan(router: SshRouter, provider: Provider) -> None:
    status = router.wait_relay()
    pid = int(status["pid"])
    children = router.children(pid)
    assert children
    router.ok(f"kill -9 {pid}")
    router.wait_relay(other_than=pid)
    for child in children:
        router.wait(lambda child=child: not router.host.file(f"/proc/{child}").exists, "its children have ended")
    router.send("After the supervisor")
    provider.wait_for(1)


def test_a_killed_listener_is_started_again(router: SshRouter, provider: Provider) -> None:
    pid = int(router.wait_relay()["pid"])
    [listener] = router.wait(lambda: router.children(pid), "there is a listener")[:1]
    router.ok(f"kill -9 {listener}")
    router.wait(lambda: listener not in router.children(pid), "it is gone")
    router.wait(lambda: greeting(router.lan(25)).startswith("220 "), "another one greets")
    assert int(router.status()["pid"]) == pid, "the supervisor went on"
    router.send("After the listener")
    provider.wait_for(1)


def test_a_killed_courier_costs_no_mail(router: SshRouter, provider: Provider) -> None:
    pid = int(router.wait_relay()["pid"])
    idle = router.wait(
        lambda: found if len(found := router.children(pid)) == 1 else [], "the listener is alone: no courier lingers"
    )
    provider.stop()
    with ScriptedProvider({"connect": Hang()}, port=provider.starttls_port):
        router.send("Held up")
        [courier] = router.wait(lambda: set(router.children(pid)) - set(idle), "a courier is at it")
        router.ok(f"kill -9 {courier}")
        router.wait(lambda: courier not in router.children(pid), "it is gone")
        assert len(router.queue()) == 1
    provider.start()
    router.ok("service mailrelay flush")
    [mail] = provider.wait_for(1)
    assert b"Held up" in mail.header
    router.wait(lambda: router.queue() == [], "the queue is empty")


def test_a_committed_change_is_taken_up(changed_router: SshRouter) -> None:
    router = changed_router
    router.run("reload_config")  # the first one on a running system only takes the checksums
    before = router.wait_relay()
    router.ok("uci add_list mailrelay.main.port=2525 && uci commit mailrelay")
    router.ok("reload_config")
    router.wait(lambda: router.host.socket(f"tcp://{router.lan_ip}:2525").is_listening, "the new port is listened on")
    status = router.wait_relay(loaded_before=before["loaded"])
    assert status["pid"] == before["pid"], "the relay was not restarted for it"
    assert f"{router.lan_ip}:25" not in status["listening"], "the port that is given is not the default any more"
    rules = router.wait(lambda: found if "2525" in (found := router.ok("nft list ruleset")) else "", "it is let in")
    assert "dport 25 " not in rules, "the old one is shut"


def test_faulty_settings_leave_the_good_ones_running(changed_router: SshRouter, provider: Provider) -> None:
    router = changed_router
    router.ok("uci set mailrelay.provider.port=none; uci commit mailrelay; service mailrelay reload")
    router.wait(lambda: "settings refused" in router.log("mailrelay"), "the fault is told")
    assert router.run("service mailrelay check").status == 1
    router.send("All the same")
    provider.wait_for(1)


def test_a_reboot_with_faulty_settings_goes_on_with_the_last_good_ones(
    changed_router: SshRouter, provider: Provider
) -> None:
    router = changed_router
    router.ok("uci set mailrelay.provider.port=none; uci commit mailrelay; service mailrelay reload")
    router.reboot()
    router.wait_relay()
    told = router.ok("mailrelay status")
    assert "refused since" in told and "the relay goes on with the ones before, also after a reboot" in told
    router.send("After the reboot")
    provider.wait_for(1)


def test_disabled_in_its_settings_nothing_runs(changed_router: SshRouter) -> None:
    router = changed_router
    router.ok("uci set mailrelay.main.enabled=0; uci commit mailrelay; service mailrelay reload")
    router.wait(lambda: not router.listening(25), "nobody listens")
    assert (
        "uci set mailrelay.main.enabled=1; uci commit mailrelay; service mailrelay reload"
        in router.run("mailrelay status").output
    )
    router.wait(lambda: "dport 25 " not in router.ok("nft list ruleset"), "the firewall is shut")


def test_nothing_that_is_changed_closes_the_port(changed_router: SshRouter) -> None:
    """Seen from the LAN: ten changes of the settings, a network that comes and renumbers, a reload of the firewall."""
    router = changed_router
    router.run("reload_config")  # the first one on a running system only takes the checksums
    before = router.wait_relay()
    with Caller(router) as caller:
        for number in range(10):
            loaded = router.status()["loaded"]
            router.ok(
                f"uci set mailrelay.main.postmaster=owner{number}@example.org; uci commit mailrelay; reload_config"
            )
            router.wait_relay(loaded_before=loaded)
        router.ok("uci batch", input=PLANT)
        router.ok("service network reload; reload_config")
        router.wait_relay("10.77.1.1:")
        router.ok("uci set network.plant.ipaddr=10.77.2.1/24; uci commit network; service network reload")
        router.wait_relay("10.77.2.1:")
        router.ok("service firewall reload; service mailrelay reload")
        made = len(caller.greetings)
        router.wait(lambda: len(caller.greetings) > made, "it calls once more")
    assert caller.disappointments() == []
    assert router.status()["pid"] == before["pid"]
