"""The task `feed`: dist/feed/, a folder that any web server can serve, from which routers install by name and upgrade.

    opkg/  *.ipk, Packages, Packages.gz, Packages.manifest, Packages.sig, index.json    OpenWrt up to 24.10
    apk/   *.apk, packages.adb, index.json                                              OpenWrt 25.12 and later
    keys/  the public keys, named as a router has them

The indexes say what OpenWrt's own package/Makefile, ipkg-make-index.sh and make-index-json.py say of the same packages.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from forge.core import console, paths, proc
from forge.core.errors import ForgeError, UsageError
from forge.packages import apk, ipk, keys, minisdk, reach, router_lines, stage
from forge.packages.adb import signatures
from forge.packages.makefile import clean_environment
from forge.packages.package import Package

NAME = router_lines.NAME
URLS = re.compile(r"(?:https?|ftp|file)://[A-Za-z0-9._~:/@%+\[\]-]+", re.ASCII)
GZIP_TIMEOUT = 60.0

# What fields that Packages.manifest has and Packages has not start with.
LEFT_OUT = re.compile(r"(?:Maintainer|LicenseFiles|Source|Require)")


def run(*, url: str = "", reproducible: bool = False) -> None:
    """Make every package, lay the feed out, and print what a router needs to use it."""
    given, url = bool(url), url.rstrip("/") or reach.url()
    if not URLS.fullmatch(url):
        raise UsageError(
            f"--url: {url!r} is not the address of a folder", hint="write it like https://example.org/feed"
        )
    pair = keys.load()
    _report(make(pair, reproducible=reproducible), pair, url, given)


def make(pair: keys.Keys, *, reproducible: bool = False) -> Path:
    """Lay the feed out anew, of every package; return its folder, dist/feed."""
    folder = paths.DIST / "feed"
    makefiles = sorted(paths.PACKAGES.glob("*/Makefile"))
    with console.step(f"laying out {paths.shown(folder)}"):
        paths.DIST.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".feed-", dir=paths.DIST) as scratch:
            fresh = Path(scratch) / "feed"
            fresh.mkdir()
            for makefile in makefiles:
                with stage.staged(makefile.parent, reproducible=reproducible) as packages:
                    pack(packages, fresh)
            lay_out(fresh, pair)
            if folder.exists():
                folder.rename(Path(scratch) / "old")
            fresh.rename(folder)
    return folder


def pack(packages: Sequence[Package], folder: Path) -> None:
    """Add staged packages to a feed that is about to be laid out."""
    for package in packages:
        minisdk.pack(package, folder / "opkg", "ipk")
        minisdk.pack(package, folder / "apk", "apk")


def lay_out(folder: Path, pair: keys.Keys) -> None:
    """Add indexes, signatures and public keys to the packages in folder/opkg and folder/apk; each .apk is signed, so
    that a router takes it as a loose file as well."""
    for path in _packages(folder / "apk", ".apk"):
        apk.sign(path, pair.apk)
    index_opkg(folder / "opkg", pair.usign)
    index_apk(folder / "apk", pair)
    keys.publish_apk(folder / "keys", pair.apk.public_key())
    (folder / "keys" / pair.usign.public.fingerprint).write_bytes(pair.usign.public.text().encode())
    for path in [folder, *folder.rglob("*")]:  # for a web server that runs as somebody else
        path.chmod(0o755 if path.is_dir() else 0o644)


def index_opkg(folder: Path, key: keys.UsignSecret, architecture: str = "all") -> None:
    """Write Packages, .gz, .manifest, .sig and index.json for the .ipk files in `folder`."""
    packages = _packages(folder, ".ipk")
    stanzas = [_stanza(path) for path in packages]
    manifest = "".join("".join(f"{name}: {value}\n" for name, value in stanza.items()) + "\n" for stanza in stanzas)
    index = "".join(line for line in manifest.splitlines(keepends=True) if not LEFT_OUT.match(line))
    versions = {stanza["Package"]: stanza["Version"] for stanza in stanzas}
    if len(versions) < len(packages):
        raise ForgeError(f"{paths.shown(folder)} has two packages of the same name", hint="leave the newer one alone")
    if (64 + len(index.encode())) % 128 in (110, 111):
        index += "\n\n"  # usign's SHA-512 was wrong for messages of these lengths, and routers still have it
    (folder / "Packages.manifest").write_bytes(manifest.encode())
    (folder / "Packages").write_bytes(index.encode())
    (folder / "Packages.sig").write_bytes(key.sign(index.encode()).encode())
    (folder / "index.json").write_bytes(_summary(versions, architecture))
    words = ["gzip", "-9", "--no-name", "--keep", "--force", str(folder / "Packages")]
    proc.run([*clean_environment(), *words], timeout=GZIP_TIMEOUT)


def index_apk(folder: Path, pair: keys.Keys, architecture: str = "noarch") -> None:
    """Write packages.adb and index.json for the .apk files in `folder`."""
    content = apk.index(_packages(folder, ".apk"), pair.apk)
    (folder / "packages.adb").write_bytes(content)
    versions = {info["name"]: info["version"] for info in apk.read_index(content, pair.apk.public_key())}
    (folder / "index.json").write_bytes(_summary(versions, architecture))


def _packages(folder: Path, suffix: str) -> list[Path]:
    found = sorted((path for path in folder.glob(f"*{suffix}")), key=lambda path: path.name)
    if not found:
        raise ForgeError(f"{paths.shown(folder)} holds no {suffix}", hint="a feed needs at least one package")
    return found


def _stanza(path: Path) -> dict[str, str]:
    """A package's control file, with what opkg needs to fetch and check the package."""
    contents = ipk.inspect(path)
    if contents.faults or not contents.control:
        raise ForgeError(f"{paths.shown(path)}: {', '.join(contents.faults) or 'no control data'}")
    content = path.read_bytes()
    fields = dict(contents.control)
    if lacking := [name for name in ("Package", "Version") if name not in fields]:
        raise ForgeError(f"{paths.shown(path)}: its control data name no {' and no '.join(lacking)}")
    description = {"Description": fields.pop("Description")} if "Description" in fields else {}
    facts = {"Filename": path.name, "Size": str(len(content)), "SHA256sum": hashlib.sha256(content).hexdigest()}
    return {**fields, **facts, **description}


def _summary(versions: dict[str, str], architecture: str) -> bytes:
    return f"{json.dumps({'version': 2, 'architecture': architecture, 'packages': versions}, indent=2)}\n".encode()


def _report(folder: Path, pair: keys.Keys, url: str, given: bool) -> None:
    shown = paths.shown(folder)
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    console.table(("file", "size"), [(paths.shown(path), str(path.stat().st_size)) for path in files])
    pasted = router_lines.lines(url, pair)
    for manager, title in router_lines.TITLES.items():
        console.say()
        console.title(f"A router with OpenWrt {title}: paste these three lines there")
        for line in pasted[manager]:
            console.say(line)
    console.say()
    console.say(
        "The first line takes the key only if it has the hash that stands in it, whoever the network belongs to:"
    )
    console.say(f"  keys/{pair.usign.public.fingerprint}  {pair.usign.public.text().splitlines()[1]}")
    console.say(f"  keys/{keys.PUBLIC_APK_FILE}      key {signatures.key_id(pair.apk.public_key()).hex()}")
    console.say()
    if pair.folder:
        console.say(f"The secret halves are in {pair.folder}; keep a copy of them.")
    if reach.UNKNOWN in url:
        console.bad(
            f"this machine has no address that a router could use: put one in place of {reach.UNKNOWN}, or give it "
            "with --url (./inv serve: --address)"
        )
    elif not given:
        console.say(
            f"Next: ./inv serve, which serves {shown} there; or put it on a web server, and its address into --url."
        )


def trust(files: Path, url: str, manager: str) -> None:
    """Add the key and the line of our feed at `url` to an image's overlay, for opkg or for apk."""
    pair, url = keys.load(), url.rstrip("/")
    public = pair.usign.public
    if manager == "opkg":
        added = {
            f"etc/opkg/keys/{public.fingerprint}": public.text().encode(),
            "etc/opkg/customfeeds.conf": f"src/gz {NAME} {url}/opkg\n".encode(),
        }
    else:
        pem = f"etc/apk/keys/{keys.PUBLIC_APK_FILE}"
        added = {
            pem: keys.apk_public_text(pair.apk.public_key()),
            "etc/apk/repositories.d/customfeeds.list": f"{url}/apk/packages.adb\n".encode(),
            "lib/upgrade/keep.d/mailrelay-feed": f"/{pem}\n".encode(),  # no keep list covers apk's keys
        }
    for name, content in added.items():
        path = files / name
        made = [folder for folder in path.parents if not folder.exists()]
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in made:
            folder.chmod(0o755)  # whatever the umask
        with path.open("ab") as output:
            output.write(content)
        path.chmod(0o644)
