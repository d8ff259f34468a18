"""What the stand-in for apk knows: packages, .apk files, feeds with their signatures, /etc/apk and the list of what is
installed. apk.py decides and acts; the format's reader is that of this repository (forge/packages/adb).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess

from versions import newer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from forge.packages.adb.adb import File
    from forge.packages.apk_archive import Member

UNTRUSTED = "UNTRUSTED signature"
BAD = "BAD signature"
DAMAGED = "file format is invalid or inconsistent"
_FACTS = ("name", "version", "arch", "license", "origin", "depends", "provides", "installed-size")


class Failed(Exception):
    """apk's own words, or nearly; `status` is what it ends with."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


class Package:
    """What the list of installed packages says of one, or an index, or a file.

    `id` is its unique id; of an installed one `files` have their hashes, by path from the root.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts
        self.name: str = facts["name"]
        self.version: str = facts["version"]
        self.depends: list[str] = facts.get("depends", [])
        self.files: dict[str, str] = facts.get("files", {})
        self.scripts: dict[str, str] = facts.get("scripts", {})
        self.source = ""  # the address of the feed that has it
        self.members: list[Member] = []  # of one that was read from its file
        self.label = f"{self.name}-{self.version}"

    @property
    def id(self) -> bytes:
        return bytes.fromhex(self.facts.get("id", ""))

    @property
    def size(self) -> int:
        return int(self.facts.get("installed-size", 0))

    def version_of(self, name: str) -> str | None:
        """The version in which it is `name` or provides it: "" without one, None if it is neither."""
        if name == self.name:
            return self.version
        given: dict[str, str] = dict(one.partition("=")[::2] for one in self.facts.get("provides", []))
        return given.get(name)

    def satisfies(self, needed: str) -> bool:
        """`needed` is a dependency, or a line of world: "libc", "ssl>=3.0", "probe><Q1…"."""
        name, mark, wanted = split(needed)
        version = self.version_of(name)
        if version is None or mark == "><":
            return version is not None and wanted == checksum(self)
        if not mark or version == wanted:
            return not mark or mark not in ("<", ">")
        return (">" in mark and newer(version, wanted)) or ("<" in mark and newer(wanted, version))

    def conflicts(self, other: Package) -> str:
        """A name that both have with a version, or that one wants nobody to have; "" if they go together."""
        for one, two in ((self, other), (other, self)):
            names: list[str] = [one.name, *(word.partition("=")[0] for word in one.facts.get("provides", []))]
            for name in names:
                if one.version_of(name) and two.version_of(name):
                    return name
            for word in one.depends:
                if word.startswith("!") and two.satisfies(word[1:]):
                    return word
        return ""


def split(needed: str) -> tuple[str, str, str]:
    """Name, operator and version of a dependency."""
    found = re.fullmatch(r"(!?[^<>=~]+)([<>=~]*)(.*)", needed)
    return (found[1], found[2], found[3]) if found else (needed, "", "")


def checksum(package: Package) -> str:
    return f"Q1{base64.b64encode(package.id).decode()}"


class Database:
    """All below /etc/apk and /lib/apk, and the feeds' indexes in /var/cache/apk."""

    def __init__(self, root: str, *, untrusted: bool = False) -> None:
        self.root = root
        self.untrusted = untrusted
        self.path = f"{root}/lib/apk/db/installed"
        self.installed = {one["name"]: Package(one) for one in map(json.loads, _lines(self.path))}
        self.world = [line.strip() for line in _lines(f"{root}/etc/apk/world")]

    def save(self) -> None:
        _replace(self.path, "".join(f"{json.dumps(one.facts)}\n" for one in self.installed.values()))
        _replace(f"{self.root}/etc/apk/world", "".join(f"{line}\n" for line in sorted(self.world)))

    # ---- files and signatures ---------------------------------------------------------------------------------------

    def read(self, path: str) -> Package:
        """A package's file. Failed unless a key of /etc/apk/keys has signed it, or nobody asks."""
        from forge.core.errors import ForgeError
        from forge.packages import apk_archive
        from forge.packages.adb import adb

        try:
            with open(path, "rb") as file:
                taken = adb.decode(file.read())
            archive = apk_archive.archive(taken)
            self.check(taken)
            del taken
        except (ForgeError, Failed) as error:
            raise Failed(f"{path}: {error if isinstance(error, Failed) else DAMAGED}", 99) from None
        facts = {key: archive.info[key] for key in _FACTS if key in archive.info}
        hashes = {one.path: _digest(one.content) for one in archive.members if one.kind != "directory"}
        package = Package({**facts, "id": archive.info["hashes"].hex(), "files": hashes, "scripts": archive.scripts})
        package.members = archive.members
        return package

    def check(self, file: File) -> None:
        import p256
        from forge.packages.adb import adb

        if self.untrusted:
            return
        folder = f"{self.root}/etc/apk/keys"
        points = [p256.point("".join(_lines(f"{folder}/{name}"))) for name in sorted(os.listdir(folder))]
        keys = {adb.key_id(point): point for point in points}
        known = [one for one in file.signatures if adb.signer(one) in keys]
        if not known:
            raise Failed(UNTRUSTED)
        for one in known:
            text, made = adb.signed(file, one)
            if not p256.verify(keys[adb.signer(one)], text, made):
                raise Failed(BAD)

    # ---- feeds ------------------------------------------------------------------------------------------------------

    def feeds(self) -> list[str]:
        """The addresses of packages.adb, in the order of the files that name them."""
        folder = f"{self.root}/etc/apk/repositories.d"
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        files = [f"{self.root}/etc/apk/repositories", *(f"{folder}/{name}" for name in names if name.endswith(".list"))]
        return [line.strip() for file in files for line in _lines(file) if line.strip() and line[0] != "#"]

    def update(self, *, anew: bool = True) -> tuple[list[str], list[str]]:
        """Fetch the indexes, or those that are not there yet. The feeds that can be used, and what is to be told."""
        good, warnings = [], []
        for address in self.feeds():
            cached = self._cached(address)
            try:
                if anew or not os.path.exists(cached):
                    content = fetch(address)
                    self._index(content)
                    os.makedirs(os.path.dirname(cached), exist_ok=True)
                    _replace(cached, content)
                good.append(address)
            except Failed as error:
                warnings.append(f"updating and opening {address}: {error}")
        return good, warnings

    def offered(self) -> list[Package]:
        """What the fetched indexes have."""
        found = []
        for address in self.feeds():
            if os.path.exists(self._cached(address)):
                with open(self._cached(address), "rb") as file:
                    found += self._index(file.read())
                for one in found:
                    one.source = one.source or address.rpartition("/")[0]
        return found

    def _index(self, content: bytes) -> list[Package]:
        from forge.core.errors import ForgeError
        from forge.packages.adb import adb
        from forge.packages.adb.schema import INDEX

        try:
            file = adb.decode(content)
            self.check(file)
            listed = adb.read(file.body, INDEX).get("packages", [])
        except ForgeError:
            raise Failed(DAMAGED) from None
        return [Package({**{key: one[key] for key in _FACTS if key in one}, "body": one["hashes"].hex()})
                for one in listed]  # fmt: skip

    def _cached(self, address: str) -> str:
        return f"{self.root}/var/cache/apk/APKINDEX.{_digest(address.encode())[:8]}.adb"

    def fetch(self, package: Package) -> Package:
        """The file of a package that a feed has; its signature is the index's, which has its hash."""
        from forge.packages.adb import adb

        path = f"{self.root}/tmp/{package.label}.apk"
        with open(path, "wb") as file:
            file.write(fetch(f"{package.source}/{package.label}.apk"))
        try:
            with open(path, "rb") as file:
                body = adb.decode(file.read()).body
            if _digest(body) != package.facts["body"]:
                raise Failed(f"{package.label}: {BAD}")
            read = Database(self.root, untrusted=True).read(path)
        except adb.AdbError:
            raise Failed(f"{package.label}: ADB integrity error") from None
        finally:
            os.unlink(path)
        return read


def fetch(address: str) -> bytes:
    if not address.startswith(("http:", "https:")):
        try:
            with open(address.removeprefix("file://"), "rb") as file:
                return file.read()
        except OSError as error:
            raise Failed(error.strerror or str(error)) from None
    done = subprocess.run(["wget", "-q", "-O", "-", address], capture_output=True)
    if done.returncode:
        raise Failed(
            "HTTP 404: Not Found" if b"404" in done.stderr else "remote server returned error (try 'apk update')"
        )
    return done.stdout


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def digest_of(path: str) -> str:
    """Of what lies there, a link's of where it points to; "" if there is nothing."""
    if os.path.islink(path):
        return _digest(os.fsencode(os.readlink(path)))
    if not os.path.isfile(path):
        return ""
    with open(path, "rb") as file:
        return _digest(file.read())


def _lines(path: str) -> Iterable[str]:
    try:
        with open(path) as file:
            return file.readlines()
    except FileNotFoundError:
        return []


def _replace(path: str, content: str | bytes) -> None:
    with open(f"{path}.new", "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(f"{path}.new", path)
