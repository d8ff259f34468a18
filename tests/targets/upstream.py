"""A fake of OpenWrt's download server: a folder with its tree, signed with a test key, and an HTTP server with faults.

The model is asu's own upstream for tests. The archives in it are tiny; fake_sdk.py and fake_imagebuilder.py are what
their make starts. Nothing here is OpenWrt's.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from backports import zstd  # type: ignore[import-not-found, unused-ignore]

from forge.packages.keys import UsignSecret

HERE = Path(__file__).parent
KEY = UsignSecret(b"mailrely", b"a key for tests alone, 32 bytes!")

PACKAGES = (
    "python3-light python3-openssl ca-bundle rpcd postfix luci luci-base htop uqmi kmod-usb-net-qmi-wwan "
    "ppp ppp-mod-pppoe luci-lib-json"
).split()


def _profile(prefix: str, vendor: str, model: str, boards: list[str], images: list[tuple[str, str]]) -> dict[str, Any]:
    return {
        "image_prefix": prefix,
        "images": [
            {"type": type_, "filesystem": "initramfs" if "initramfs" in end else "squashfs", "name": f"{prefix}-{end}"}
            for type_, end in images
        ],
        "supported_devices": boards,
        "titles": [{"vendor": vendor, "model": model}],
    }


def profiles(number: str, target: str) -> dict[str, dict[str, Any]]:
    """Devices as profiles.json has them."""
    dashed = target.replace("/", "-")
    before = f"openwrt-{'' if number == 'snapshot' else f'{number}-'}{dashed}"
    router = [("sysupgrade", "squashfs-sysupgrade.bin"), ("kernel", "initramfs-kernel.bin")]
    if target == "ramips/mt7621":
        found = {
            "glinet_gl-mt1300": _profile(
                f"{before}-glinet_gl-mt1300", "GL.iNet", "GL-MT1300", ["glinet,gl-mt1300"], router
            ),
            "xiaomi_mi-router-3g": _profile(
                f"{before}-xiaomi_mi-router-3g",
                "Xiaomi",
                "Mi Router 3G",
                ["xiaomi,mi-router-3g", "R3G"],
                [*router, ("factory", "squashfs-factory.bin")],
            ),
        }
        if not number.startswith("24."):
            found["glinet_gl-mt1300"]["file_size_limits"] = {"image": 16121856}
        return found
    image = [("combined", "squashfs-combined.img.gz"), ("combined-efi", "squashfs-combined-efi.img.gz")]
    return {"generic": _profile(f"{before}-generic", "Generic", "x86/64", [], image)}


@dataclass
class Fault:
    """What the server does wrong with the next request for a path."""

    status: int = 0  # answer this instead
    cut_at: int = -1  # end the connection after so many bytes of the body
    body: bytes | None = None  # send this instead
    location: str = ""  # redirect
    no_range: bool = False  # send the whole although a part was asked for
    length: int = -1  # announce this length
    chunked: bool = False  # `body` is in chunks already
    before: Callable[[], object] | None = None  # is called before the first byte


class Server(ThreadingHTTPServer):
    """Clients that hang up are what it is for."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass


class Upstream:
    """The tree in `root`, and what serves it at `url`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.breakage = root / "faults"  # files that the fake tools look for
        self.breakage.mkdir(parents=True)
        self.answers: dict[tuple[str, str], Callable[[bytes], tuple[int, bytes]]] = {}  # of other services
        self._server = Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def paths(self, part: str = "") -> list[str]:
        return [path for path, _ in self.requests if part in path]

    def reset(self) -> None:
        """Faults and notes of a test do not reach the next one."""
        self.faults.clear()
        self.answers.clear()
        self.requests.clear()
        for path in self.breakage.iterdir():
            path.unlink()

    # ---- the tree ---------------------------------------------------------------------------------------------------

    def publish(self, number: str, target: str, manager: str, *, profiles_json: bool = True, luci: str = "") -> None:
        """A release's files for a target, listed and signed."""
        folder = self.root / ("snapshots" if number == "snapshot" else f"releases/{number}") / "targets" / target
        folder.mkdir(parents=True)
        dashed = target.replace("/", "-")
        names = f"{'' if number == 'snapshot' else f'{number}-'}{dashed}"
        gcc = "14.3.0" if manager == "apk" else "13.3.0"
        data = {"target": target, "manager": manager, "profiles": profiles(number, target)}
        if profiles_json:
            (folder / "profiles.json").write_text(json.dumps(data))
        sdk, builder = f"openwrt-sdk-{names}_gcc-{gcc}_musl.Linux-x86_64", f"openwrt-imagebuilder-{names}.Linux-x86_64"
        pack(folder / f"{sdk}.tar.zst", self._sdk(sdk, number, manager, luci))
        pack(folder / f"{builder}.tar.zst", self._builder(builder, number, target, data))
        packages = self.root / f"releases/{number}/packages"
        packages.mkdir(parents=True, exist_ok=True)
        (packages / "list").write_text("".join(f"{name} 1.0-r1\n" for name in PACKAGES))
        self._sign(folder)

    def _sign(self, folder: Path) -> None:
        names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("sha256sums"))
        lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()} *{name}\n" for name in names]
        (folder / "sha256sums").write_text("".join(lines))
        (folder / "sha256sums.sig").write_text(KEY.sign("".join(lines).encode()))

    def index(self, versions: dict[str, str], targets: dict[str, dict[str, str]]) -> None:
        """.versions.json and .targets.json."""
        listed = {"stable_version": versions["stable"], "versions_list": [*versions.values(), "21.02.7"]}
        (self.root / ".versions.json").write_text(json.dumps(listed))
        for number, told in targets.items():
            (self.root / "releases" / number / ".targets.json").write_text(json.dumps(told))

    def _sdk(self, name: str, number: str, manager: str, luci: str) -> dict[str, Any]:
        format, release = ("ipk", "24.10") if manager == "opkg" else ("apk", "24.10")
        start = f'exec "{sys.executable}" "{HERE}/fake_sdk.py" "$PWD" {format} {release} "{self.breakage}"'
        makefile = (
            "%:\n\t@sh ./fake make $@ $(if $(NO_DEPS),NO_DEPS=1)\n"
            ".PHONY: defconfig\npackage/%: FORCE\n\t@sh ./fake make $@ $(if $(NO_DEPS),NO_DEPS=1)\nFORCE: ;\n"
            "Makefile: ;\n"
        )
        feeds = f"src-git packages https://localhost.invalid/packages.git\nsrc-git luci {luci or 'file:///nowhere'}\n"
        return {
            f"{name}/": None,
            f"{name}/Makefile": makefile,
            f"{name}/fake": f'{start} "$@"\n',
            f"{name}/scripts/feeds": ('#!/bin/sh\nexec sh ./fake feeds "$@"\n', 0o755),
            f"{name}/feeds.conf.default": feeds,
            f"{name}/feeds/": None,
            f"{name}/package/Makefile": "",
            f"{name}/staging_dir/host/bin/perl": Link("/usr/bin/perl"),  # as in the real one: out of the archive
        }

    def _builder(self, name: str, number: str, target: str, data: dict[str, Any]) -> dict[str, Any]:
        values = "PROFILE PACKAGES FILES EXTRA_IMAGE_NAME BIN_DIR DISABLED_SERVICES ROOTFS_PARTSIZE STRIP_ABI".split()
        given = " ".join(f'"{value}=$({value})"' for value in values)
        start = f'@"{sys.executable}" "{HERE}/fake_imagebuilder.py" "$(CURDIR)" settings.json "{self.breakage}"'
        makefile = f"image manifest info: FORCE\n\t{start} $@ {given}\nFORCE: ;\n"
        server = f"https://downloads.openwrt.org/releases/{number}/packages"
        opkg = data["manager"] == "opkg"
        return {
            f"{name}/": None,
            f"{name}/Makefile": makefile,
            f"{name}/settings.json": json.dumps(data),
            f"{name}/include/prereq-build.mk": "prereq:\n\t@echo 'Checking rsync... failed.'; false\n",
            f"{name}/packages/README": "",
            f"{name}/dl/": None,
            f"{name}/{'repositories.conf' if opkg else 'repositories'}": (
                f"src/gz openwrt {server}\n" if opkg else f"{server}/packages.adb\n"
            ),
            f"{name}/staging_dir/host/bin/tar": Link("/bin/tar"),
        }

    # ---- the server -------------------------------------------------------------------------------------------------

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                self._answer("POST", self.rfile.read(int(self.headers.get("Content-Length", "0"))))

            def do_GET(self) -> None:
                path = self.path.lstrip("/")
                upstream.requests.append((path, dict(self.headers)))
                if ("GET", path) in upstream.answers:
                    self._answer("GET", b"")
                    return
                queue = upstream.faults.get(path)
                self._file(path, queue.pop(0) if queue else Fault())

            def _answer(self, method: str, body: bytes) -> None:
                answer = upstream.answers.get((method, self.path.lstrip("/")))
                self._reply(*(answer(body) if answer else (404, b"no such thing")))

            def _reply(self, status: int, content: bytes = b"", **headers: str) -> None:
                """`headers` with _ for -; those that are empty are left out."""
                self.send_response(status)
                for name, value in ({"Content_Length": str(len(content))} | headers).items():
                    if value:
                        self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(content)

            def _file(self, path: str, fault: Fault) -> None:
                if fault.before:
                    fault.before()
                file = upstream.root / path
                if fault.location or fault.status or not file.is_file():
                    self._reply(302 if fault.location else fault.status or 404, Location=fault.location)
                    return
                content = file.read_bytes() if fault.body is None else fault.body
                if fault.chunked:
                    self._reply(200, content, Content_Length="", Transfer_Encoding="chunked")
                    self.close_connection = True
                    return
                tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
                start = 0
                span = self.headers.get("Range", "")
                if span and self.headers.get("If-Range") == tag and not fault.no_range:
                    start = int(span.removeprefix("bytes=").removesuffix("-"))
                length = fault.length if fault.length >= 0 else len(content) - start
                end = len(content) if fault.cut_at < 0 else min(fault.cut_at, len(content))
                span = f"bytes {start}-{len(content) - 1}/{len(content)}" if start else ""
                told = {"ETag": tag, "Content_Length": str(length), "Content_Range": span}
                self._reply(206 if start else 200, content[start:end], **told)
                if fault.cut_at >= 0 or fault.length >= 0:
                    self.wfile.flush()
                    self.close_connection = True
                    self.connection.shutdown(2)

        return Handler


@dataclass(frozen=True)
class Link:
    """A member that is a symbolic link."""

    target: str


def pack(path: Path, members: dict[str, Any]) -> None:
    """A .tar.zst of: None for a folder, a Link, text, bytes, text with a mode, or a TarInfo as it is."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, value in members.items():
            info = value if isinstance(value, tarfile.TarInfo) else tarfile.TarInfo(name.rstrip("/"))
            data = b""
            if value is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(value, Link):
                info.type, info.linkname = tarfile.SYMTYPE, value.target
            elif not isinstance(value, tarfile.TarInfo):
                text, info.mode = value if isinstance(value, tuple) else (value, 0o644)
                data = text if isinstance(text, bytes) else text.encode()
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    path.write_bytes(zstd.compress(output.getvalue()))


def luci_feed(folder: Path) -> str:
    """A git repository with the shape of LuCI's feed: luci-base and what it needs. Returns its address."""
    for name, needs in (("luci-base", "+luci-lib-json"), ("luci-lib-json", "")):
        directory = folder / "modules" / name
        directory.mkdir(parents=True)
        (directory / "Makefile").write_text(f"define Package/{name}\n  DEPENDS:={needs}\nendef\n")
    (folder / "luci.mk").write_text("")
    git = ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@localhost"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-q", "--no-gpg-sign", "-m", "luci"], check=True)
    return f"file://{folder}"
