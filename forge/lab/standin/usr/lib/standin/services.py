"""Stand-in for procd's service part, as recorded and as documented: the object `service` on the bus.

Services are replaced as a whole by `set`; an instance is restarted if anything of it but its data changed; one that is
left out is ended. Triggers run init scripts, one at a time, some time after the event they wait for.
"""

from __future__ import annotations

import bus
import lean
import loop
import notes
from instance import Instance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Services:
    def __init__(self) -> None:
        self.services: dict[str, dict[str, Any]] = {}
        self.due: dict[tuple[str, ...], int] = {}  # scripts that triggers are about to run, and their timers
        self.waiting: list[tuple[str, ...]] = []  # for another script to end
        self.script = 0  # the pid of the one that runs
        bus.objects["service"] = bus.methods(
            set=self.on_set, add=self.on_set, delete=self.on_delete, list=self.on_list, get_data=self.on_get_data,
            signal=self.on_signal, event=lambda message: self.event(message["type"], message.get("data", {})),
        )  # fmt: skip

    def on_set(self, message: dict[str, Any]) -> None:
        before = self.firewall_data()
        service = self.services.setdefault(message["name"], {"instances": {}, "triggers": []})
        service["triggers"] = message.get("triggers", [])
        wanted = message.get("instances", {})
        known: dict[str, Instance] = service["instances"]
        for name in [name for name in known if name not in wanted]:
            known.pop(name).end("delete")
        for name, config in wanted.items():
            if name in known:
                known[name].update(config)
            else:
                known[name] = Instance(message["name"], name, config)
                known[name].start()
        self.firewall_follows(before)

    def on_delete(self, message: dict[str, Any]) -> None:
        before = self.firewall_data()
        service = self.services.get(message["name"], {"instances": {}})
        only = message.get("instance")
        for name in list(service["instances"]):
            if only in (None, name):
                service["instances"].pop(name).end("delete")
        if only is None:
            self.services.pop(message["name"], None)
        self.firewall_follows(before)

    def on_list(self, message: dict[str, Any]) -> dict[str, Any]:
        found = {}
        for name, service in self.services.items():
            if message.get("name", name) != name:
                continue
            entry: dict[str, Any] = {}
            if service["instances"]:
                entry["instances"] = {key: one.facts() for key, one in service["instances"].items()}
            if message.get("verbose"):
                entry["triggers"] = service["triggers"]
            found[name] = entry
        return found

    def on_get_data(self, message: dict[str, Any]) -> dict[str, Any]:
        kind = message["type"]
        found: dict[str, Any] = {}
        for name, service in self.services.items():
            for key, one in service["instances"].items():
                if kind in one.config.get("data", {}):
                    found.setdefault(name, {})[key] = {kind: one.config["data"][kind]}
        return found

    def on_signal(self, message: dict[str, Any]) -> None:
        instances: dict[str, Instance] = self.services.get(message["name"], {"instances": {}})["instances"]
        if not instances:
            raise bus.Failed(bus.NOT_FOUND)
        for name, one in instances.items():
            if message.get("instance", name) == name:
                one.signal(int(message.get("signal", 1)))

    def event(self, kind: str, data: dict[str, Any]) -> None:
        """Sets going what the triggers of all services want of it."""
        for service in self.services.values():
            for pattern, rule, *delay in service["triggers"]:
                if lean.matches(kind, pattern):
                    script = _script(rule, data)
                    if script:
                        self.run_later(script, (delay[0] if delay else 0) / 1000 / loop.HASTE)

    def run_later(self, script: tuple[str, ...], seconds: float) -> None:
        """Further events meanwhile put it off."""
        loop.cancel(self.due.get(script, 0))

        def run() -> None:
            del self.due[script]
            self.waiting.append(script)
            self.next_script()

        self.due[script] = loop.later(seconds, run)

    def next_script(self) -> None:
        if self.script or not self.waiting:
            return
        script = self.waiting.pop(0)
        notes.add("procd.log", "run", *script)

        def ended(status: int) -> None:
            self.script = 0
            self.next_script()

        self.script = loop.spawn(script, ended)

    def firewall_data(self) -> dict[str, Any]:
        return self.on_get_data({"type": "firewall"})

    def firewall_follows(self, before: dict[str, Any]) -> None:
        """fw4 reads the rules in services' data again when they have changed."""
        if self.firewall_data() != before:
            self.event("service.data", {"type": "firewall"})

    def status(self, name: str) -> tuple[int, str]:
        """What `status` of an init script says, and its exit status."""
        if name not in self.services:
            return 3, "inactive"
        instances = self.services[name]["instances"].values()
        if not instances:
            return 0, "active with no instances"
        alive = [one.pid != 0 for one in instances]
        return 0 if any(alive) else 5, "running" if all(alive) else "not running"


def _script(rule: list[Any], data: dict[str, Any]) -> tuple[str, ...]:
    """What ["if", ["eq", KEY, VALUE], ["run_script", WORD...]] or ["run_script", WORD...] runs."""
    if rule[0] == "if":
        _, (_, key, value), rule = rule
        if data.get(key) != value:
            return ()
    return tuple(rule[1:])
