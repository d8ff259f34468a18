"""Stand-in for procd's service part, as recorded and as documented: the first process of a test router.

Services are replaced as a whole by `set`; an instance is restarted if anything of it but its data changed, files by
their content; one that is left out is ended. Delays are divided by STANDIN_HASTE. Every start and end of an instance,
and every script that a trigger runs, is noted in /tmp/procd.log.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import time
from typing import Any

import ubus

HASTE = float(os.environ.get("STANDIN_HASTE", "20"))
_NOT_FOUND = 4
_LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")


def note(*words: object) -> None:
    with open("/tmp/procd.log", "a") as file:
        print(*words, file=file)


class Instance:
    """One supervised process."""

    def __init__(self, service: str, name: str, config: dict[str, Any]) -> None:
        self.label = f"{service}::{name}"
        self.config = config
        self.identity = self.identify(config)
        self.process: subprocess.Popen[bytes] | None = None
        self.kill_due = self.start_due = 0.0
        self.then = ""  # what follows once a process that was told to end has ended: "start" or "delete"

    @staticmethod
    def identify(config: dict[str, Any]) -> list[Any]:
        """What a change of restarts it."""
        sums = []
        for path in config.get("file", []):
            with contextlib.suppress(OSError), open(path, "rb") as file:
                sums.append((path, hashlib.md5(file.read()).hexdigest()))
        return [{key: value for key, value in config.items() if key not in ("data", "stdout", "stderr")}, sums]

    def start(self) -> None:
        self.start_due, self.then = 0.0, ""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **self.config.get("env", {})}
        with open("/tmp/log", "ab") as log:
            try:
                self.process = subprocess.Popen(
                    self.config["command"], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    start_new_session=True, preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, []),
                )  # fmt: skip
            except OSError as error:
                note("failed", self.label, error)
                return
        note("start", self.label, self.process.pid)

    def end(self, then: str) -> None:
        self.then = then
        if self.process is None:
            self.ended()
        elif not self.kill_due:
            note("terminate", self.label, self.process.pid)
            self.process.terminate()
            self.kill_due = time.monotonic() + self.config.get("term_timeout", 5)

    def ended(self) -> None:
        if self.process is not None:
            note("exit", self.label, self.process.pid, self.process.returncode)
        self.process, self.kill_due = None, 0.0
        if self.then == "start":
            self.start()
        elif not self.then and "respawn" in self.config:
            self.start_due = time.monotonic() + float(self.config["respawn"][1]) / HASTE

    def update(self, config: dict[str, Any]) -> None:
        """procd's instance_update."""
        identity = self.identify(config)
        changed = identity != self.identity
        self.config, self.identity = config, identity
        if self.process is None:
            self.start()
        elif changed or self.then:
            self.end("start")

    def tick(self, now: float) -> None:
        if self.process is not None and self.process.poll() is not None:
            self.ended()
        if self.kill_due and now >= self.kill_due and self.process is not None:
            self.process.kill()
        if self.start_due and now >= self.start_due:
            self.start()

    def facts(self) -> dict[str, Any]:
        alive = self.process is not None and self.process.poll() is None
        found: dict[str, Any] = {"running": alive}
        if alive and self.process is not None:
            found["pid"] = self.process.pid
        for key in ("command", "term_timeout", "env", "data", "limits"):
            if key in self.config:
                found[key] = self.config[key]
        if "respawn" in self.config:
            threshold, timeout, retry = map(int, self.config["respawn"])
            found["respawn"] = {"threshold": threshold, "timeout": timeout, "retry": retry}
        return found


class Procd:
    def __init__(self) -> None:
        self.services: dict[str, dict[str, Any]] = {}
        self.leaving: list[Instance] = []
        self.due: dict[tuple[str, ...], float] = {}  # scripts that triggers are about to run
        self.script: subprocess.Popen[bytes] | None = None

    def handle(self, method: str, message: dict[str, Any]) -> Any:
        handler = getattr(self, f"on_{method}", None)
        return handler(message) if handler else _NOT_FOUND

    def on_set(self, message: dict[str, Any]) -> None:
        service = self.services.setdefault(message["name"], {"instances": {}, "triggers": []})
        service["triggers"] = message.get("triggers", [])
        wanted = message.get("instances", {})
        known: dict[str, Instance] = service["instances"]
        for name in [name for name in known if name not in wanted]:
            self.leave(known.pop(name))
        for name, config in wanted.items():
            if name in known:
                known[name].update(config)
            else:
                known[name] = Instance(message["name"], name, config)
                known[name].start()

    def leave(self, instance: Instance) -> None:
        instance.end("delete")
        self.leaving.append(instance)

    def on_delete(self, message: dict[str, Any]) -> Any:
        service = self.services.pop(message["name"], None)
        if service is None:
            return None
        for instance in service["instances"].values():
            self.leave(instance)
        return None

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

    def on_sync(self, message: dict[str, Any]) -> None:
        self.write_log()

    def write_log(self) -> None:
        """What came to syslog, as "facility.level tag: text"."""
        with contextlib.suppress(BlockingIOError), open("/tmp/log", "a") as log:
            while True:
                packet = self.syslog.recv(65536).decode("utf-8", "replace").rstrip("\n\0")
                priority, text = re.fullmatch(r"<(\d+)>(?:\w{3} [ \d]\d [\d:]{8} )?(.*)", packet, re.DOTALL).groups()
                facility = {1: "user", 2: "mail", 3: "daemon"}.get(int(priority) >> 3, "other")
                log.write(f"{facility}.{_LEVELS[int(priority) & 7]} {text}\n")

    def on_event(self, message: dict[str, Any]) -> None:
        for service in self.services.values():
            for pattern, rule, *delay in service["triggers"]:
                _, (_, key, value), (_, *script) = rule
                if fnmatch.fnmatch(message["type"], pattern) and message["data"].get(key) == value:
                    wait = (delay[0] if delay else 0) / 1000 / HASTE
                    self.due[tuple(script)] = time.monotonic() + wait

    def tick(self) -> None:
        now = time.monotonic()
        if self.script is not None and self.script.poll() is not None:
            self.script = None
        for script, when in sorted(self.due.items(), key=lambda item: item[1]):
            if now >= when and self.script is None:
                del self.due[script]
                note("run", *script)
                with open("/tmp/log", "ab") as log:
                    self.script = subprocess.Popen(script, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        for service in self.services.values():
            for instance in service["instances"].values():
                instance.tick(now)
        for instance in self.leaving:
            instance.tick(now)
        self.leaving = [one for one in self.leaving if one.process is not None]
        with contextlib.suppress(ChildProcessError):  # orphans come to the first process
            known = [one.process for one in self.instances()] + [self.script]
            while True:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if found is None or found.si_pid in [one.pid for one in known if one is not None]:
                    break
                os.waitpid(found.si_pid, 0)

    def instances(self) -> list[Instance]:
        return [*self.leaving, *(one for service in self.services.values() for one in service["instances"].values())]

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        with contextlib.suppress(FileNotFoundError):
            os.unlink("/dev/log")
        self.syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.syslog.bind("/dev/log")
        os.chmod("/dev/log", 0o666)
        server = socket.socket(socket.AF_UNIX)
        server.bind(ubus.SOCKET)
        server.listen(64)
        while True:
            ready = select.select([server, self.syslog], [], [], 0.02)[0]
            self.write_log()
            if server in ready:
                sock = server.accept()[0]
                with sock, sock.makefile("rb") as file:
                    method, message = json.load(file)
                    self.tick()
                    with contextlib.suppress(OSError):
                        sock.sendall(json.dumps(self.handle(method, message)).encode())
            self.tick()


if __name__ == "__main__":
    Procd().run()
