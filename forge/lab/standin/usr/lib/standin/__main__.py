"""The stand-in's daemon: plays procd, ubusd, logd, netifd and rpcd, and answers for the small programs.

Started by init as /sbin/procd. README.md at the top of this tree says what it stands for and what it is not.
"""

from __future__ import annotations

import os
import sys
import time

import bus
import config
import fw4
import jshn
import lean
import logd
import loop
import netifd
import rpcd
import rpcd_file
import rpcd_uci
import session
import uci_cli
from door import Call, Door
from services import Services

BOOTED = "/var/run/booted"  # a daemon that init had to start again leaves the services to their owner
services = Services()


def reload_config(asked: Call) -> None:
    """Tells procd of every file in /etc/config that changed since the last call; the first only takes checksums."""
    sums = {}
    for name in os.listdir("/etc/config"):
        if not name.startswith("."):
            with open(f"/etc/config/{name}", "rb") as file:
                sums[name] = lean.md5(file.read())
    known = sums
    if os.path.exists("/var/run/config.md5"):
        with open("/var/run/config.md5") as file:
            known = lean.loads(file.read())
    with open("/var/run/config.md5", "w") as file:
        file.write(lean.dumps(sums))
    for name in sorted(sums):
        if known.get(name) != sums[name]:
            services.event("config.change", {"package": name})
    asked.done()


def service(asked: Call) -> None:
    """standin-service METHOD NOTES: `ubus call service` with what jshn.sh noted down, without a detour."""
    method, notes = asked.words[1:]

    def done(code: int, reply: object) -> None:
        asked.done(code, f"{asked.words[0]}: status {code}\n" if code else "", error=True)

    if asked.uid == 0:
        bus.call("service", method, jshn.build(notes), done)
    else:
        done(bus.DENIED, None)


def status(asked: Call) -> None:
    """standin-status SERVICE: for `status` and `running` of init scripts."""
    code, text = services.status(asked.words[1])
    asked.done(code, f"{text}\n")


def set_clock() -> None:
    """Without a clock that keeps time: not earlier than the newest file in /etc, as sysfixtime has it."""
    newest = max(os.lstat(f"{folder}/{name}").st_mtime for folder, _, names in os.walk("/etc") for name in names)
    if time.time() < newest:
        time.clock_settime(time.CLOCK_REALTIME, newest)


def board(message: dict[str, object]) -> dict[str, object]:
    machine = os.uname()
    with open("/etc/openwrt_release") as file:
        told = dict(line.rstrip().replace("'", "").split("=", 1) for line in file)
    version = told["DISTRIB_RELEASE"]
    release = {"distribution": told["DISTRIB_ID"], "version": version, "target": f"lab/{machine.machine}"}
    return {"kernel": machine.release, "hostname": machine.nodename, "release": release}


def serve(message: dict[str, object]) -> None:
    """For /etc/init.d/uhttpd: imported when it is asked for."""
    import uhttpd

    uhttpd.start()


def main() -> None:
    set_clock()
    with open("/proc/self/comm", "w") as file:
        file.write("ubusd")  # killall -HUP finds us
    loop.on_hangup(bus.read_rights)
    system = next((one.options for one in config.load("system") if one.type == "system"), {})
    logd.log_file = str(system.get("log_file") or "")
    logd.listen()
    bus.read_rights()
    bus.objects["system"] = bus.methods(board=board)
    bus.objects["rpcd"] = bus.methods(reload=lambda message: rpcd.offer())
    netifd.event = services.event
    netifd.offer()
    rpcd.offer()
    session.offer()
    rpcd_file.offer()
    rpcd_uci.offer(services.event)
    bus.objects["uhttpd"] = bus.methods(start=serve)
    fw4.get_data = services.firewall_data
    Door(
        {
            "ubus": bus.command, "uci": uci_cli.command, "logread": logd.command, "jsonfilter": jshn.jsonfilter,
            "reload_config": reload_config, "standin-jshn": jshn.command, "standin-network": netifd.command,
            "standin-status": status,
            "standin-service": service, "standin-fw4": fw4.command,
        }
    )  # fmt: skip
    if sys.argv[1:] == ["boot"] and not os.path.exists(BOOTED):
        open(BOOTED, "w").close()
        loop.spawn(["/usr/lib/standin/rcS", "S", "boot"])
    loop.run()


main()
