"""What to paste on a router so that it installs from our feed: three lines for each package manager.

They hold for a busybox shell and what every OpenWrt has: wget (uclient-fetch), grep, sha256sum. Pasted twice, or again
with another address, they leave one line of ours and all of the owner's.
"""

from __future__ import annotations

import hashlib
import shlex
from urllib.parse import urlsplit

from forge.packages import keys

NAME = "mailrelay"  # of the feed, in a router's lists, and of its apk key
PACKAGES = "mailrelay luci-app-mailrelay"
TITLES = {"opkg": "24.10 or older (opkg)", "apk": "25.12 or newer (apk)"}


def lines(url: str, pair: keys.Keys) -> dict[str, list[str]]:
    """By package manager: fetch the key, add the feed, install. `url` is that of dist/feed."""
    return {"opkg": _opkg(url, pair.usign.public), "apk": _apk(url, keys.apk_public_text(pair.apk.public_key()))}


def _opkg(url: str, public: keys.UsignPublic) -> list[str]:
    return [
        _key(url, public.fingerprint, public.text().encode(), "/etc/opkg/keys"),
        _feed("/etc/opkg/customfeeds.conf", f"'^src/gz {NAME} '", f"src/gz {NAME} {url}/opkg"),
        f"opkg update; opkg install {PACKAGES}",
    ]


def _apk(url: str, public: bytes) -> list[str]:
    name, index = keys.PUBLIC_APK_FILE, f"{url}/apk/packages.adb"
    key, keep = f"/etc/apk/keys/{name}", "/etc/sysupgrade.conf"  # no list of OpenWrt's keeps the key at an upgrade
    kept = f"{{ grep -qsxF {key} {keep} || echo {key} >>{keep}; }}"
    return [
        f"{_key(url, name, public, '/etc/apk/keys')} && {kept}",
        "mkdir -p /etc/apk/repositories.d; "
        + _feed("/etc/apk/repositories.d/customfeeds.list", f"-xF {shlex.quote(index)}", index),
        f"apk update; apk add -u {PACKAGES}",
    ]


def _key(url: str, name: str, content: bytes, folder: str) -> str:
    """Whoever answers in the feed's place: only the right key gets into the folder, and one that is there stays."""
    source = f"{url}/keys/{name}"
    local = urlsplit(source).path if source.startswith("file://") else ""
    fetch = f"cp {shlex.quote(local)} $f" if local else f"wget -O $f {shlex.quote(source)}"
    check = f'echo "{hashlib.sha256(content).hexdigest()}  $f" | sha256sum -c'
    return f"f=/tmp/{name}; {fetch} && {check} && mkdir -p {folder} && mv $f {folder}/{name}"


def _feed(file: str, ours: str, line: str) -> str:
    """Our line in the place of an earlier one; the owner's lines stay, also one without a newline at its end."""
    return f"f={file}; {{ grep -sv {ours} $f; echo {shlex.quote(line)}; }} >$f.new && mv $f.new $f"
