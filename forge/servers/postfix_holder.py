"""Holds one private Postfix instance, as root, for exactly as long as its caller lives.

Postfix starts as root only, so this small program alone runs as root (`sudo python3 -I postfix_holder.py`). Its caller
(postfix.py) writes a JSON line that says what to unpack and configure, then one command a line (see Holder.answer),
each answered by a JSON line. The end of its input ends Postfix and removes its folder; nothing survives its caller.
It knows nothing of what the instance is for, imports nothing of ours, and never touches an installed mail server.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PREFIX = "mailrelay-postfix-"
START_SECONDS = 20.0
STOP_SECONDS = 5.0

# Postfix wants an account and a group of its own. Debian's base system has some that nothing runs under nowadays, so
# that none needs to be added.
SPARE_ACCOUNTS = ("uucp", "list", "irc", "games", "news")
SPARE_GROUPS = ("news", "games", "list", "irc", "voice")

# name -> mode; the owner is mail_owner but for those that master itself writes to
PRIVATE = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace")
QUEUE_FOLDERS = {**dict.fromkeys(PRIVATE, 0o700), "public": 0o710, "maildrop": 0o730, "pid": 0o755}


class Trouble(Exception):
    """What is told to the caller as the reason."""


def spare_account() -> pwd.struct_passwd:
    """An account that exists, is not root and shares its uid with no other: what Postfix takes as mail_owner."""
    accounts = {entry.pw_name: entry for entry in pwd.getpwall()}
    uids = [entry.pw_uid for entry in pwd.getpwall()]
    for entry in (accounts[name] for name in SPARE_ACCOUNTS if name in accounts):
        if entry.pw_uid and entry.pw_gid and uids.count(entry.pw_uid) == 1:
            return entry
    raise Trouble(f"none of the accounts {', '.join(SPARE_ACCOUNTS)} exists; Postfix needs one to run under")


def spare_group(owner: pwd.struct_passwd) -> grp.struct_group:
    groups = {entry.gr_name: entry for entry in grp.getgrall()}
    for entry in (groups[name] for name in SPARE_GROUPS if name in groups):
        if entry.gr_gid not in (0, owner.pw_gid):
            return entry
    raise Trouble(f"none of the groups {', '.join(SPARE_GROUPS)} exists; Postfix needs one for its setgid_group")


def processes(group: int) -> list[int]:
    """The living processes of a process group: master leads one, and all its daemons are in it."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, _parent, pgrp = (folder / "stat").read_bytes().rpartition(b")")[2].split()[:3]
            except OSError:
                continue
            if int(pgrp) == group and state not in b"ZX":
                found.append(int(folder.name))
    return sorted(found)


def memory(pids: list[int]) -> dict[str, int]:
    """Kilobytes of all the given processes together: rss, pss, pss_anon; and how many there were."""
    total = {"processes": 0, "rss": 0, "pss": 0, "pss_anon": 0}
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        except OSError:
            continue
        fields = dict(line.split(":", 1) for line in lines)
        total["processes"] += 1
        for name, field in (("rss", "Rss"), ("pss", "Pss"), ("pss_anon", "Pss_Anon")):
            total[name] += int(fields[field].split()[0])
    return total


class Holder:
    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.master: subprocess.Popen[bytes] | None = None
        self.owner = spare_account()
        self.group = spare_group(self.owner)
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=spec["parent"]))
        self.folder.chmod(0o755)
        self.tree = self.folder / "tree"
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C",
            "MAIL_CONFIG": str(self.folder / "etc"),
        }

    def prepare(self) -> None:
        for deb in self.spec["debs"]:
            self._run("dpkg-deb", "-x", deb, self.tree)
        libraries = [
            self.tree / "usr/lib/postfix",
            *self.tree.glob("usr/lib/*-linux-*"),
            *self.tree.glob("lib/*-linux-*"),
        ]
        self.environment["LD_LIBRARY_PATH"] = ":".join(map(str, libraries))
        self.environment["SASL_PATH"] = ":".join(map(str, self.tree.glob("usr/lib/*/sasl2")))
        self._write_files()
        self._make_folders()
        for name, realm, password in self.spec["logins"]:
            self._add_login(name, realm, password)
        self._run(self.tree / "usr/sbin/postconf", "-h", "queue_directory")

    def _write_files(self) -> None:
        words = {
            "@DIR@": str(self.folder),
            "@MAIL_OWNER@": self.owner.pw_name,
            "@SETGID_GROUP@": self.group.gr_name,
            "@LD_LIBRARY_PATH@": self.environment["LD_LIBRARY_PATH"],
            "@SASL_PATH@": self.environment["SASL_PATH"],
        }
        for name, text in self.spec["files"].items():
            for word, value in words.items():
                text = text.replace(word, value)
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(0o600)
            path.write_text(text)
            if not name.endswith("key.pem"):
                path.chmod(0o644)
            # Every Postfix program waits until main.cf is two seconds old, lest it reads one half written.
            os.utime(path, (time.time() - 60, time.time() - 60))

    def _make_folders(self) -> None:
        queue = self.folder / "queue"
        queue.mkdir()
        for name, mode in QUEUE_FOLDERS.items():
            (queue / name).mkdir()
            if name != "pid":
                os.chown(queue / name, self.owner.pw_uid, self.group.gr_gid if name in ("public", "maildrop") else -1)
            (queue / name).chmod(mode)
        (self.folder / "data").mkdir(0o700)
        os.chown(self.folder / "data", self.owner.pw_uid, -1)
        (self.folder / "mail").mkdir(0o700)
        os.chown(self.folder / "mail", self.spec["mail_uid"], self.spec["mail_gid"])
        (self.folder / "log").mkdir()
        (self.folder / "log/mail.log").touch(0o644)

    def _add_login(self, name: str, realm: str, password: str) -> None:
        database = self.folder / "sasl/sasldb2"
        database.parent.mkdir(exist_ok=True)
        saslpasswd = self.tree / "usr/sbin/saslpasswd2"
        self._run(saslpasswd, "-p", "-c", "-f", database, "-u", realm, name, text=password)
        os.chown(database, self.owner.pw_uid, -1)
        database.chmod(0o600)

    def _run(self, *argv: str | Path, text: str = "") -> None:
        done = subprocess.run(argv, input=text.encode(), env=self.environment, capture_output=True)
        if done.returncode:
            reason = (done.stderr or done.stdout).decode(errors="replace").strip()
            raise Trouble(f"{Path(argv[0]).name} failed: {reason or f'exit status {done.returncode}'}")

    def start(self) -> None:
        if self.master:
            return
        with (self.folder / "log/master.err").open("ab") as stderr:
            self.master = subprocess.Popen(
                [self.tree / "usr/lib/postfix/sbin/master", "-c", self.folder / "etc", "-s"],
                env=self.environment,
                cwd=self.folder / "queue",
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS * self.spec["patience"]
        for port in self.spec["ports"]:
            while not self._listens(port):
                if self.master.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise Trouble(f"Postfix does not listen on port {port}: {self._last_words()}")
                time.sleep(0.005)

    def _listens(self, port: int) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    def _last_words(self) -> str:
        logs = [self.folder / "log/master.err", self.folder / "log/mail.log"]
        text = "\n".join(log.read_text(errors="replace") for log in logs)
        return " / ".join(text.strip().splitlines()[-5:]) or "it left no log"

    def stop(self) -> None:
        """End master and every daemon of its group; return when none is left. The queue stays whole."""
        if self.master is None:
            return
        if self.master.poll() is None:
            self.master.terminate()
            self.master.wait()
        # master has passed the signal on, but not to a daemon that it was just starting.
        self._end_all(signal.SIGTERM, STOP_SECONDS)
        self._end_all(signal.SIGKILL, STOP_SECONDS)
        self.master = None

    def _end_all(self, number: signal.Signals, seconds: float) -> None:
        assert self.master
        deadline = time.monotonic() + seconds
        while processes(self.master.pid) and time.monotonic() < deadline:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.master.pid, number)
            time.sleep(0.01)

    def remove(self) -> None:
        """Nothing of it will be needed again, so it gets no time to put things in order."""
        if self.master:
            self._end_all(signal.SIGKILL, STOP_SECONDS)
            self.master.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def answer(self, command: str) -> dict[str, Any]:
        if command == "start":
            self.start()
        elif command == "stop":
            self.stop()
        elif command == "memory":
            return memory(processes(self.master.pid) if self.master else [])
        elif command == "flush":
            self._run(self.tree / "usr/sbin/postqueue", "-f")
        else:
            raise Trouble(f"unknown command {command!r}")
        return {"pid": self.master.pid if self.master else 0}


def say(**facts: Any) -> None:
    try:
        print(json.dumps(facts), flush=True)
    except OSError:
        pass  # the caller is gone; the end of input follows


def main() -> None:
    # Ctrl-C reaches the whole terminal group; the caller decides, and tells by closing our input. A handler and not
    # SIG_IGN, which Postfix would inherit.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, lambda *_: None)
    os.umask(0o022)
    holder: Holder | None = None
    try:
        holder = Holder(json.loads(sys.stdin.readline()))
        holder.prepare()
        say(folder=str(holder.folder))
        for line in sys.stdin:
            try:
                say(**holder.answer(line.strip()))
            except Trouble as trouble:
                say(trouble=str(trouble))
    except Trouble as trouble:
        say(trouble=str(trouble))
    finally:
        if holder:
            holder.remove()


if __name__ == "__main__":
    main()
