"""Stand-in for procd's instances: one supervised process each, as recorded and as documented. services.py owns them."""

from __future__ import annotations

import os
import time

import lean
import logd
import loop
import notes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# In the order in which `ubus call service list` has them.
SHOWN = (
    "running", "pid", "command", "term_timeout", "exit_code", "env", "data", "limits", "respawn", "user", "group",
)  # fmt: skip


class Instance:
    def __init__(self, service: str, name: str, config: dict[str, Any]) -> None:
        self.label = f"{service}::{name}"
        self.config = config
        self.identity = identify(config)
        self.pid = 0
        self.then = ""  # what follows once a process that was told to end has ended: "start" or "delete"
        self.began = 0.0
        self.crashes = 0
        self.timer = 0  # of the next start, or of the kill that follows a termination
        self.exit_code: int | None = None

    def start(self) -> None:
        loop.cancel(self.timer)
        self.then, self.began = "", time.monotonic()
        config = self.config
        streams = [self.stream(config.get(name)) for name in ("stdout", "stderr")]
        self.pid = loop.spawn(
            config["command"], self.ended, environment=config.get("env", {}), prepare=self.become,
            files=(-1, streams[0][1], streams[1][1]),
        )  # fmt: skip
        for (reading, writing), level in zip(streams, ("info", "err")):
            if writing >= 0:
                os.close(writing)
                logd.collect(reading, level, f"{config['command'][0].rpartition('/')[2]}[{self.pid}]")
        if "pidfile" in config:
            with open(config["pidfile"], "w") as file:
                file.write(f"{self.pid}\n")
        notes.add("procd.log", "start", self.label, self.pid)

    @staticmethod
    def stream(wanted: Any) -> tuple[int, int]:
        """A way into the log for the process' output; -1 for /dev/null."""
        if str(wanted).lower() not in ("1", "true"):
            return -1, -1
        return loop.pipe()

    def become(self) -> None:
        """In the child: its limits and its user."""
        import grp
        import pwd
        import resource

        for name, text in self.config.get("limits", {}).items():
            soft, _, hard = str(text).partition(" ")
            numbers = [-1 if one == "unlimited" else int(one) for one in (soft, hard or soft)]
            resource.setrlimit(getattr(resource, f"RLIMIT_{name.upper()}"), (numbers[0], numbers[1]))
        if "nice" in self.config:
            os.nice(int(self.config["nice"]))
        if "user" in self.config:
            user = pwd.getpwnam(self.config["user"])
            group = grp.getgrnam(self.config["group"]).gr_gid if "group" in self.config else user.pw_gid
            os.initgroups(user.pw_name, group)
            os.setgid(group)
            os.setuid(user.pw_uid)

    def end(self, then: str) -> None:
        """Terminates it, and kills it if that does not help within term_timeout."""
        waiting = self.pid != 0 and bool(self.then)
        self.then = then
        if not self.pid:
            self.ended(None)
        elif not waiting:
            notes.add("procd.log", "terminate", self.label, self.pid)
            self.signal(lean.SIGTERM)
            loop.cancel(self.timer)
            self.timer = loop.later(float(self.config.get("term_timeout", 5)), lambda: self.signal(lean.SIGKILL))

    def signal(self, number: int) -> None:
        if self.pid:
            os.kill(self.pid, number)

    def ended(self, status: int | None) -> None:
        loop.cancel(self.timer)
        if status is not None:
            notes.add("procd.log", "exit", self.label, self.pid, -(status - 128) if status > 128 else status)
            self.exit_code = status
        self.pid = 0
        if self.then == "start":
            self.start()
        elif not self.then and "respawn" in self.config:
            self.respawn()

    def respawn(self) -> None:
        """A process that lived for less than `threshold` seconds has crashed; more than `retry` crashes end it for
        good, unless that is 0."""
        threshold, timeout, retry = self.respawn_values()
        self.crashes = self.crashes + 1 if time.monotonic() - self.began < threshold else 0
        if retry and self.crashes > retry:
            logd.add("daemon", "info", f"procd: Instance {self.label} s in a crash loop {self.crashes} crashes")
            return
        self.timer = loop.later(timeout / loop.HASTE, self.start)

    def respawn_values(self) -> tuple[int, int, int]:
        given = [int(one) for one in self.config["respawn"]]
        threshold, timeout, retry = [*given, *(3600, 5, 5)[len(given) :]][:3]
        return threshold, timeout, retry

    def update(self, config: dict[str, Any]) -> None:
        """procd's instance_update: a change restarts it, or sends reload_signal if it has one."""
        identity = identify(config)
        changed = identity != self.identity
        self.config, self.identity = config, identity
        if not self.pid:
            self.crashes = 0
            self.start()
        elif changed and "reload_signal" in config and not self.then:
            self.signal(int(config["reload_signal"]))
        elif changed or self.then:
            self.end("start")

    def facts(self) -> dict[str, Any]:
        """As `ubus call service list` shows it."""
        exit_code = None if self.pid else self.exit_code
        found = {**self.config, "running": self.pid != 0, "pid": self.pid or None, "exit_code": exit_code}
        if "respawn" in found:
            found["respawn"] = dict(zip(("threshold", "timeout", "retry"), self.respawn_values()))
        return {key: found[key] for key in SHOWN if found.get(key) is not None}


def identify(config: dict[str, Any]) -> list[Any]:
    """What a change of restarts an instance: all but its data, files by their content."""
    sums = []
    for path in config.get("file", []):
        try:
            with open(path, "rb") as file:
                sums.append((path, lean.md5(file.read())))
        except OSError:
            pass
    return [{key: value for key, value in config.items() if key not in ("data", "stdout", "stderr")}, sums]
