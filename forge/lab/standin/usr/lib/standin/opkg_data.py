"""What the stand-in for opkg knows: packages and their fields, .ipk files, feeds, and /usr/lib/opkg."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterable

from versions import newer


class Failed(Exception):
    """opkg's own words, or nearly."""


class Package:
    def __init__(self, text: str) -> None:
        self.fields: dict[str, str] = {}
        key = ""
        for line in text.splitlines():
            if line[:1] in (" ", "\t"):
                self.fields[key] += f"\n{line}"
            elif ":" in line:
                key, _, value = line.partition(":")
                self.fields[key] = value.strip()
        self.name = self.fields.get("Package", "")
        self.version = self.fields.get("Version", "")

    def text(self) -> str:
        return "".join(f"{key}: {value}\n" for key, value in self.fields.items())

    def words(self, field: str) -> list[str]:
        """The names of a list of packages, without their versions."""
        return [word.split()[0] for word in self.fields.get(field, "").split(",") if word.strip()]

    @property
    def depends(self) -> list[str]:
        return self.words("Depends")

    @property
    def provides(self) -> list[str]:
        return [self.name, *self.words("Provides")]

    @property
    def alternatives(self) -> list[tuple[int, str, str]]:
        """Priority, link and target of each."""
        entries = [one.strip().split(":") for one in self.fields.get("Alternatives", "").split(",") if one.strip()]
        return [(int(priority), link, target) for priority, link, target in entries]

    def conflict(self, other: Package) -> bool:
        return any(name in self.words("Conflicts") for name in other.provides)


class Archive:
    """An .ipk: a tar, gzipped, of two more."""

    def __init__(self, path: str) -> None:
        try:
            with tarfile.open(path) as outer:
                members = {one.name.removeprefix("./"): one for one in outer.getmembers()}
                self._control, self._data = (
                    outer.extractfile(members[name]).read()  # type: ignore[union-attr]
                    for name in ("control.tar.gz", "data.tar.gz")
                )
        except (OSError, KeyError, tarfile.TarError):
            raise Failed(f"pkg_init_from_file: Malformed package file {path}.") from None
        with tarfile.open(fileobj=io.BytesIO(self._control)) as tar:
            self.package = Package(tar.extractfile("./control").read().decode())  # type: ignore[union-attr]
        with tarfile.open(fileobj=io.BytesIO(self._data)) as tar:
            self.files = [one.name.removeprefix(".") for one in tar if not one.isdir()]

    def control(self, folder: str) -> str:
        """Unpacks the scripts; the folder."""
        place = f"{folder}/opkg-{self.package.name}"
        shutil.rmtree(place, ignore_errors=True)
        os.makedirs(place)
        with tarfile.open(fileobj=io.BytesIO(self._control)) as tar:
            tar.extractall(place)
        return place

    def extract(self, root: str, keep: set[str]) -> None:
        """The files; of conffiles that the owner changed, the new one beside his."""
        with tarfile.open(fileobj=io.BytesIO(self._data)) as tar:
            for member in tar:
                path = member.name.removeprefix(".")
                if member.isdir() and os.path.isdir(f"{root}/{path}"):
                    continue
                if path in keep:
                    member.name += "-opkg"
                elif os.path.lexists(f"{root}/{path}"):
                    os.unlink(f"{root}/{path}")
                tar.extract(member, root)


class Database:
    """All below /usr/lib/opkg, and the lists of feeds in /var/opkg-lists."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.path = f"{root}/usr/lib/opkg"
        self.lists = f"{root}/var/opkg-lists"
        os.makedirs(f"{self.path}/info", exist_ok=True)
        self.installed = {one.name: one for one in _packages(f"{self.path}/status")}

    def info(self, package: Package, kind: str) -> str:
        return f"{self.path}/info/{package.name}.{kind}"

    def files(self, name: str) -> list[str]:
        try:
            with open(f"{self.path}/info/{name}.list") as file:
                return file.read().split("\n")[:-1]
        except FileNotFoundError:
            return []

    def provider(self, name: str) -> Package | None:
        return next((one for one in self.installed.values() if name in one.provides), None)

    def save(self) -> None:
        with open(f"{self.path}/status.new", "w") as file:
            file.write("\n".join(one.text() for one in self.installed.values()))
            file.flush()
            os.fsync(file.fileno())
        os.rename(f"{self.path}/status.new", f"{self.path}/status")

    def put(self, archive: Archive, control: str) -> None:
        package = archive.package
        self.forget(package.name)
        for name in os.listdir(control):
            shutil.move(f"{control}/{name}", self.info(package, name))
        os.rmdir(control)
        with open(self.info(package, "list"), "w") as file:
            file.write("".join(f"{path}\n" for path in archive.files))
        sums = []
        if os.path.exists(self.info(package, "conffiles")):
            with open(self.info(package, "conffiles")) as file:
                for path in file.read().split():
                    new = f"{self.root}{path}-opkg" if os.path.exists(f"{self.root}{path}-opkg") else self.root + path
                    sums.append(f"\n {path} {_md5(new)}")
        if sums:
            package.fields["Conffiles"] = "".join(sums)
        package.fields["Status"] = "install ok unpacked"
        self.installed[package.name] = package
        self.save()

    def forget(self, name: str) -> None:
        """Its files in info/, and its entry if it is gone from `installed`."""
        for file in os.listdir(f"{self.path}/info"):
            if file.startswith(f"{name}.") and "." not in file[len(name) + 1 :]:
                os.unlink(f"{self.path}/info/{file}")
        self.save()

    def changed_conffiles(self, name: str) -> set[str]:
        """Those that are no longer as the package brought them."""
        if name not in self.installed:
            return set()
        entries = [
            line.split() for line in self.installed[name].fields.get("Conffiles", "").split("\n") if line.strip()
        ]
        return {path for path, known in entries if os.path.exists(self.root + path) and _md5(self.root + path) != known}

    def remove_files(self, paths: Iterable[str]) -> None:
        """Their folders stay: the lists know of files alone."""
        for path in paths:
            if os.path.lexists(self.root + path):
                os.unlink(self.root + path)

    def link(self, touched: Iterable[tuple[int, str, str]]) -> None:
        """Points each link at the target of highest priority that is installed; busybox' own comes last."""
        entries = [one for package in self.installed.values() for one in package.alternatives]
        for link in {link for _, link, _ in touched}:
            place = self.root + link
            if os.path.islink(place):
                os.unlink(place)
            chosen = max(((priority, target) for priority, name, target in entries if name == link), default=None)
            if chosen is not None and not os.path.exists(place):
                os.makedirs(os.path.dirname(place), exist_ok=True)
                os.symlink(chosen[1], place)

    # ---- feeds ------------------------------------------------------------------------------------------------------

    def feeds(self) -> list[tuple[str, str]]:
        """Name and address of each line src/gz of /etc/opkg/*.conf."""
        found = []
        folder = f"{self.root}/etc/opkg"
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            if name.endswith(".conf"):
                with open(f"{folder}/{name}") as file:
                    lines = [line.split() for line in file]
                found += [(words[1], words[2]) for words in lines if len(words) == 3 and words[0] == "src/gz"]
        return found

    def update(self) -> int:
        """Fetches every feed's list; how many could not be had."""
        failed = 0
        os.makedirs(self.lists, exist_ok=True)
        for name, address in self.feeds():
            try:
                text = gzip.decompress(_read(f"{address}/Packages.gz"))
            except (OSError, Failed) as error:
                print(f"*** Failed to download the package list from {address}/Packages.gz\n{error}")
                failed += 1
                continue
            with open(f"{self.lists}/{name}", "wb") as file:
                file.write(text)
            print(f"Updated list of available packages in {self.lists}/{name}")
        return failed

    def offered(self, name: str) -> tuple[str, Package] | None:
        """The newest package of that name in the lists, and its feed's address."""
        best: tuple[str, Package] | None = None
        for feed, address in self.feeds():
            for package in _packages(f"{self.lists}/{feed}"):
                if name in package.provides and (best is None or newer(package.version, best[1].version)):
                    best = address, package
        return best

    def fetch(self, name: str) -> str:
        found = self.offered(name)
        if found is None:
            raise Failed(f"opkg_install_cmd: Cannot install package {name}.")
        address, package = found
        path = f"{self.root}/tmp/{package.fields['Filename'].rpartition('/')[2]}"
        content = _read(f"{address}/{package.fields['Filename']}")
        if hashlib.sha256(content).hexdigest() != package.fields.get("SHA256sum"):
            raise Failed(f"opkg_download_pkg: Checksum or size mismatch for package {name}.")
        with open(path, "wb") as file:
            file.write(content)
        return path


def _read(address: str) -> bytes:
    if address.startswith("file:"):
        with open(address.removeprefix("file:").replace("//", "/", 1), "rb") as file:
            return file.read()
    done = subprocess.run(["wget", "-q", "-O", "-", address], capture_output=True)
    if done.returncode:
        raise Failed(f"wget returned {done.returncode}.")
    return done.stdout


def _packages(path: str) -> list[Package]:
    try:
        with open(path) as file:
            return [Package(one) for one in file.read().split("\n\n") if one.strip()]
    except FileNotFoundError:
        return []


def _md5(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.md5(file.read()).hexdigest()
