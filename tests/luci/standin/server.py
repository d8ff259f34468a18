"""Stands in for uhttpd, rpcd and LuCI's dispatcher: serves the app's files and the stand-in's page, and takes calls.

A call for the object mailrelay runs the real rpcd script in the router, if the app's own access lists let the session
make it; `uci` works on the router's real file, with changes that a session has not applied held back, as rpcd does it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from forge.core import paths
from forge.generate.relay_schema import uci
from forge.packages import po
from tests.support.router_container import Container

HERE = Path(__file__).resolve().parent
APP = paths.PACKAGES / "luci-app-mailrelay"
ACL = APP / "root/usr/share/rpcd/acl.d/luci-app-mailrelay.json"
RPCD = "/usr/libexec/rpcd/mailrelay"
CONFIG = "etc/config/mailrelay"
DENIED = -32002  # as uhttpd's ubus answers
SESSIONS = {"root": ("read", "write"), "viewer": ("read",)}

Values = dict[str, Any]


class Denied(Exception):
    """The session's access lists do not let it."""


class Site:
    """One web server for one router. `calls` notes each object and method that was asked for."""

    def __init__(self, router: Container) -> None:
        self.router = router
        self.calls: list[str] = []
        self.pending: list[Values] | None = None
        self._acl: Values = json.loads(ACL.read_text())["luci-app-mailrelay"]
        self._lock = threading.Lock()
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                file = site.file(self.path.partition("?")[0])
                if file is None:
                    self.reply(404, b"", "text/plain")
                else:
                    kind = "text/html" if file.suffix == ".html" else "text/javascript"
                    self.reply(200, file.read_bytes(), f"{kind}; charset=utf-8")

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                try:
                    answer: Values = {"result": site.call(**asked)}
                except Denied:
                    answer = {"error": DENIED}
                self.reply(200, json.dumps(answer).encode(), "application/json")

            def reply(self, status: int, body: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Site:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def file(self, path: str) -> Path | None:
        if path.startswith("/page/"):
            return HERE / "index.html"
        root = HERE if path.startswith("/standin/") else APP / "htdocs"
        file = (root / path.removeprefix("/standin/").lstrip("/")).resolve()
        return file if file.is_file() and file.is_relative_to(root) else None

    # Calls.

    def allows(self, session: str, scope: str, name: str, function: str) -> bool:
        return any(function in self._acl[level].get(scope, {}).get(name, ()) for level in SESSIONS.get(session, ()))

    def call(self, session: str, object: str, method: str, values: Values) -> Any:
        handlers: dict[str, Callable[[Values], Any]] = {
            "uci.get": self._get, "uci.set": self._set, "uci.apply": self._apply, "standin.catalog": self._catalog
        }  # fmt: skip
        self.calls.append(f"{object}.{method}")
        if object == "mailrelay":
            if not self.allows(session, "ubus", object, method):
                raise Denied
            return json.loads(self.router.ok(RPCD, "call", method, input=json.dumps(values)))
        if object == "uci" and not self.allows(session, "uci", "mailrelay", "read" if method == "get" else "write"):
            raise Denied
        with self._lock:
            return handlers[f"{object}.{method}"](values)

    def _get(self, values: Values) -> list[Values]:
        if self.pending is not None:
            return self.pending
        found = []
        for section in uci.parse((self.router.root / CONFIG).read_bytes()):
            facts = {".type": section.type, ".name": section.name or "", ".anonymous": not section.name}
            found.append({**facts, **section.options})
        return found

    def _set(self, values: Values) -> None:
        self.pending = [
            {**section, ".name": "" if section[".anonymous"] else section[".name"]} for section in values["sections"]
        ]

    def _apply(self, values: Values) -> None:
        if self.pending is None:
            return
        made = []
        for section in self.pending:
            one = uci.Section(section[".type"], section[".name"] or None, section[".name"] or "cfg", 0)
            one.options = {name: value for name, value in section.items() if not name.startswith(".")}
            made.append(one)
        self.pending = None
        self.router.put(CONFIG, uci.export(made, "mailrelay").partition("\n")[2], 0o600)
        self.router.ok("reload_config")

    def _catalog(self, values: Values) -> dict[str, str]:
        language = values.get("language")
        if not language:
            return {}
        file = APP / f"po/{language}/mailrelay.po"
        return {entry.id: entry.text for entry in po.read(file) if entry.text}
