"""What a power cut and a reboot leave: everything that was answered with 250."""

from __future__ import annotations

from forge.core.ports import greeting
from forge.servers.postfix import Provider
from tests.support.router_ssh import SshRouter


def test_mail_that_waits_survives_a_power_cut_and_arrives(router: SshRouter, provider: Provider) -> None:
    provider.stop()
    sent = [f"Alarm {number}" for number in range(5)]
    for subject in sent:
        router.send(subject)
    router.cut_power()
    router.wait_relay()
    assert len(router.queue()) == len(sent)
    provider.start()
    router.ok("service mailrelay flush")
    mails = provider.wait_for(len(sent))
    subjects = sorted(mail.header.decode().partition("Subject: ")[2].splitlines()[0] for mail in mails)
    assert subjects == sent


def test_it_runs_again_after_a_reboot(router: SshRouter, provider: Provider) -> None:
    before = router.host.sysctl("kernel.random.boot_id")
    router.reboot()
    assert router.host.sysctl("kernel.random.boot_id") != before
    status = router.wait_relay()
    assert router.instance()["running"] is True and status["pid"] == router.instance()["pid"]
    router.wait(lambda: greeting(router.lan(25)).startswith("220 "), "the LAN is served")
    router.send("After the reboot")
    assert provider.wait_for(1)
