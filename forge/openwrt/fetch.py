"""Downloads from OpenWrt's server or a mirror of it into the one cache, resumed, retried and checked.

A file has its final name only when it is whole and its hash is right; until then it is a hidden .part that a later run
goes on with (Range and If-Range: RFC 9110, sections 13.1.5 and 14). What the right hash is, release_index.py knows.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from forge.core import console, hashes, paths, progress
from forge.core.errors import ForgeError, MissingError, UsageError
from forge.openwrt.partial import FetchError, NotThere, Part, Unreachable, WrongFile, disk_error, room

if TYPE_CHECKING:
    import requests

SERVER = "https://downloads.openwrt.org"
MIRROR_VARIABLE = "MAILRELAY_MIRROR"
CHUNK = 1 << 16
RETRY_AFTER_MOST = 30.0  # seconds that a server may have us wait


@dataclass(frozen=True)
class Patience:
    """Seconds and counts that a download is given; the tests' are smaller."""

    connect: float = 5.0
    read: float = 30.0  # between two pieces
    tries: int = 5  # in a row that bring nothing new
    backoff: float = 0.5  # before the second try; doubles
    slow_after: float = 60.0  # seconds after which a download is given up if it was slower than
    slow: int = 1000  # bytes a second


@dataclass
class Fetcher:
    """Knows where to ask. One is made for a task and handed around; its methods may be called from several threads."""

    mirrors: tuple[str, ...] = (SERVER,)
    offline: bool = False
    patience: Patience = field(default_factory=Patience)
    _reached: dict[str, str] = field(default_factory=dict)  # host -> why it does not answer, or nothing

    def cached(self, path: str) -> Path:
        """Where the file of this path on the server lies in the cache, there or not."""
        parts = path.split("/")
        if not all(parts) or {".", ".."} & set(parts):
            raise UsageError(f"{path!r} is no path on a download server")
        return paths.cache("openwrt").joinpath(*parts)

    def fetch(self, path: str, *, sha256: str = "", fresh: bool = False) -> Path:
        """The file of this path on the server. With `sha256` it has that hash; without, it is fetched if it is not
        there or is asked for anew (`fresh`, which offline counts for nothing)."""
        target = self.cached(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with lock(lock_file(target), f"is fetching {target.name}"):
            if target.exists():
                if sha256 and hashes.digest(target) == sha256:
                    return target
                if sha256:
                    console.note(f"{target.name} in the cache is another one than it should be; fetching it again")
                elif not fresh or self.offline:
                    return target
            if self.offline:
                raise MissingError(
                    f"--offline: {path} was not fetched before",
                    hint=f"run once without --offline, or put it at {target}",
                )
            self._from_any(path, target, sha256)
        return target

    def reachable(self) -> str:
        """Nothing if a server can be connected to, else why not. Answers within Patience.connect a mirror."""
        if self.offline:
            return "--offline"
        reasons = [self._unreachable(mirror) for mirror in self.mirrors]
        return "" if "" in reasons else "; ".join(reasons)

    def _from_any(self, path: str, target: Path, sha256: str) -> None:
        faults: list[ForgeError] = []
        for mirror in self.mirrors:
            try:
                self._from(mirror, path, target, sha256)
                return
            except FetchError as fault:
                faults.append(fault)
                if fault is not faults[0] or len(self.mirrors) > 1:
                    console.note(fault.message.splitlines()[0])
        kinds = {type(fault) for fault in faults}
        kind = kinds.pop() if len(kinds) == 1 else FetchError
        raise kind("\n  ".join(fault.message for fault in faults), hint=faults[0].hint)

    def _from(self, mirror: str, path: str, target: Path, sha256: str) -> None:
        url = f"{mirror}/{path}"
        reason = self._unreachable(mirror)
        if reason:
            raise Unreachable(
                f"{url} can't be reached: {reason}",
                hint="is this machine on the internet? Else name a mirror (--mirror URL or a folder, or "
                f"{MIRROR_VARIABLE}), or work from what was fetched before (--offline)",
            )
        part = Part(target, url)
        resumed = part.size() > 0
        found = self._bring(mirror, path, part)
        if sha256 and found != sha256 and resumed:
            console.note(f"{part.name}: what an earlier run left is no part of it; starting from its beginning")
            part.drop()
            found = self._bring(mirror, path, part)
        if sha256 and found != sha256:
            part.drop()
            raise WrongFile(
                f"{url} is not the file it should be: expected sha256 {sha256}, found {found}",
                hint="nothing of it was used. If OpenWrt has just published: try again in an hour; else try --mirror",
            )
        part.finish()

    def _bring(self, mirror: str, path: str, part: Part) -> str:
        """Fill the part; return its hash."""
        if local(mirror):
            part.copy(Path(local(mirror)) / path)
        else:
            self._download(part)
        return hashes.digest(part.file)

    def _download(self, part: Part) -> None:
        import requests
        import urllib3

        failures, pause, before = [], self.patience.backoff, part.size()
        while True:
            try:
                self._once(part)
                return
            except (requests.RequestException, urllib3.exceptions.HTTPError, _Again) as error:
                failures.append(_words(error))
                slow = isinstance(error, _TooSlow)
            except OSError as error:
                raise disk_error(error, part.file) from error
            if part.size() > before and not slow:  # it came on: this server is worth another try
                before, pause, failures = part.size(), self.patience.backoff, failures[-1:]
            if len(failures) >= self.patience.tries:
                raise FetchError(
                    f"{part.url} failed {len(failures)} times: {failures[-1]}",
                    hint="try again: what has arrived is kept and gone on with. Or name another server with --mirror",
                )
            console.note(f"{part.name}: {failures[-1]}; trying again")
            time.sleep(pause)
            pause *= 2

    def _once(self, part: Part) -> None:
        """One request. Raise NotThere, _Again, or what requests and the disk raise."""
        import requests

        headers = {"Accept-Encoding": "identity", "User-Agent": "mailrelay (build tools)", **part.continuation()}
        timeout = (self.patience.connect, self.patience.read)
        with requests.get(part.url, headers=headers, timeout=timeout, stream=True) as response:
            if response.status_code in (404, 403, 410):
                part.drop()
                raise NotThere(
                    f"{part.url}: there is no such file ({response.status_code})",
                    hint="a mistyped --release or --target, or a mirror that does not have it yet",
                )
            if response.status_code == 416:  # the part is longer than the file: it is of another one
                part.drop()
                raise _Again("the server has a shorter file than before")
            if response.status_code not in (200, 206):
                after = response.headers.get("Retry-After", "")
                time.sleep(min(float(after) if after.isdigit() else 0.0, RETRY_AFTER_MOST))
                raise _Again(f"the server answered {response.status_code} {response.reason}")
            self._receive(part, response)

    def _receive(self, part: Part, response: requests.Response) -> None:
        start = part.size() if response.status_code == 206 else 0
        total = _announced(response, start)
        if total is not None:
            room(part.file, total - start)
        part.begin(response.headers.get("ETag", ""), response.headers.get("Last-Modified", ""), start)
        began = time.monotonic()
        with part.file.open("r+b") as output, progress.bytes_of(part.name, total) as show:
            output.truncate(start)
            output.seek(start)
            done = start
            for piece in _pieces(response):
                output.write(piece)
                done += len(piece)
                show(done)
                taken = time.monotonic() - began
                if taken > self.patience.slow_after and (done - start) / taken < self.patience.slow:
                    raise _TooSlow(f"only {(done - start) / taken:.0f} bytes a second")
                if total is not None and done > total:
                    break
        if total is not None and done > total:
            part.drop()
            raise WrongFile(f"{part.url} is longer than the server announced: expected {total} bytes, found more")
        if total is None and response.headers.get("Transfer-Encoding", "") != "chunked":
            raise _Again("the server does not say how long the file is")
        if total is not None and done < total:
            raise _Again(f"the connection was cut: expected {total} bytes, found {done}")

    def _unreachable(self, mirror: str) -> str:
        """Why nothing answers there; empty if something does. A thread does the looking: a name server that is not
        there can hold a look-up for half a minute."""
        folder = local(mirror)
        if folder:
            return "" if Path(folder).is_dir() else f"there is no folder {folder}"
        host, port = _first_hop(mirror)
        if host not in self._reached:
            result: list[str] = []

            def look() -> None:
                try:
                    socket.create_connection((host, port), self.patience.connect).close()
                    result.append("")
                except OSError as error:
                    result.append(error.strerror or str(error))

            thread = threading.Thread(target=look, daemon=True)
            thread.start()
            thread.join(self.patience.connect + 1)
            self._reached[host] = result[0] if result else f"no answer within {self.patience.connect:g} s"
        return self._reached[host]


class _Again(Exception):
    """This try failed; another may not."""


class _TooSlow(_Again):
    """It goes on, but at a pace at which another server is the better choice."""


def lock_file(target: Path) -> Path:
    """Of whoever fetches or removes this file of the cache."""
    return target.with_name(f".{target.name}.lock")


def lock(path: Path, what: str) -> AbstractContextManager[object]:
    """One run at a time, of this machine; the others say that they wait, and for what ("another run is fetching x")."""
    from filelock import FileLock, Timeout

    held = FileLock(path)
    try:
        return held.acquire(timeout=0.2)
    except Timeout:
        console.note(f"another run {what}; waiting for it")
        return held.acquire()


def fetcher(mirror: str = "", *, offline: bool = False) -> Fetcher:
    """For what the command line (several mirrors with commas between) or the environment names."""
    words = (mirror or os.environ.get(MIRROR_VARIABLE, "")).replace(",", " ").split()
    for word in words:
        if not local(word) and urlsplit(word).scheme not in ("http", "https"):
            raise UsageError(f"--mirror: {word!r} is neither an address nor a folder", hint=f"write it like {SERVER}")
    return Fetcher(tuple(word.rstrip("/") for word in words) or (SERVER,), offline)


def local(mirror: str) -> str:
    """The folder, if a mirror is one: /media/usb/openwrt, ./openwrt or file:///media/usb/openwrt."""
    if mirror.startswith(("/", "./", "../")):
        return str(Path(mirror).absolute())
    return urlsplit(mirror).path if mirror.startswith("file://") else ""


def _first_hop(url: str) -> tuple[str, int]:
    """Whom a request for this address connects to: the server, or the proxy that the environment names."""
    from requests.utils import get_environ_proxies, select_proxy

    proxy = select_proxy(url, get_environ_proxies(url))
    parts = urlsplit(proxy if proxy and "//" in proxy else f"//{proxy}" if proxy else url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """The body as it comes; ends where the connection does, which the caller sees by the length."""
    import urllib3

    try:
        yield from iter(lambda: response.raw.read(CHUNK, decode_content=False), b"")
    except urllib3.exceptions.ReadTimeoutError:
        raise _Again("nothing came for a while (timed out)") from None
    except (urllib3.exceptions.ProtocolError, ConnectionError):
        if "Content-Length" not in response.headers:
            raise _Again("the connection was cut") from None


def _announced(response: requests.Response, start: int) -> int | None:
    """How long the whole file is, as the server says."""
    if response.status_code == 206:
        span, _, whole = response.headers.get("Content-Range", "").partition("/")
        if not span.startswith(f"bytes {start}-"):
            raise _Again(f"the server sent {span or 'an unnamed range'} where the rest from {start} was asked for")
        return int(whole) if whole.isdigit() else None
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _words(error: Exception) -> str:
    """What went wrong, without the layers that requests wraps it in."""
    inner: Any = error
    while getattr(inner, "__cause__", None) or (inner.args and isinstance(inner.args[0], Exception)):
        inner = inner.__cause__ or inner.args[0]
    text = str(inner.args[1] if len(inner.args) > 1 and isinstance(inner.args[1], str) else inner)
    return text.partition("(Caused by")[0].strip(" :") or type(error).__name__


def hosts(mirrors: Sequence[str]) -> str:
    return ", ".join(local(mirror) or urlsplit(mirror).netloc for mirror in mirrors)
