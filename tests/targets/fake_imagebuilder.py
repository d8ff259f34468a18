"""What `make` runs in the fake ImageBuilder: info, manifest and image, with the words and failures of OpenWrt's own.

It stands in for what no registry has. An "image" is a tar of what would be in it: the overlay, and the packages' names.
Packages come from the list that the server has beside them, over HTTP, kept in dl/. A file in the folder FAULTS makes
it fail as the real one does. Started as `fake_imagebuilder.py TOPDIR SETTINGS FAULTS GOAL NAME=VALUE…`.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import sys
import tarfile
import time
import urllib.request
from pathlib import Path


class Builder:
    def __init__(self, top: str, settings: str, faults: str, values: dict[str, str]) -> None:
        self.top, self.faults, self.values = Path(top), Path(faults), values
        self.settings = json.loads(Path(settings).read_text())
        self.opkg = self.settings["manager"] == "opkg"
        self.profile = values.get("PROFILE") or next(iter(self.settings["profiles"]))

    def fault(self, name: str) -> str | None:
        path = self.faults / name
        return path.read_text() if path.exists() else None

    def info(self) -> None:
        print(f'Current Target: "{self.settings["target"]}"')
        print('Current Architecture: "mipsel"')
        print('Current Revision: "r1-fake"')
        print("Default Packages: base-files busybox libc")
        print("Available Profiles:\n")
        for name, profile in self.settings["profiles"].items():
            title = profile["titles"][0]
            print(f"{name}:\n    {title['vendor']} {title['model']}\n    Packages: kmod-x\n    hasImageMetadata: 1")
            print(f"    SupportedDevices: {' '.join(profile['supported_devices'])}")

    def check(self) -> None:
        if os.umask(0o022) != 0o022:
            sys.exit("Please build with umask 022 - other values produce broken packages")
        if self.fault("prerequisite") is not None:
            sys.exit("Prerequisite check failed. Use FORCE=1 to override.")

    def feed(self) -> dict[str, str]:
        """Name -> version of all that can be installed: from the server, else from dl/, and the local packages."""
        file = self.top / ("repositories.conf" if self.opkg else "repositories")
        found = {"base-files": "1", "busybox": "1.36", "libc": "1.2", "kernel": "6.6"}
        for url in re.findall(r"https?://\S+", file.read_text()):
            kept = self.top / "dl" / hashlib.sha256(url.encode()).hexdigest()[:12]
            try:
                with urllib.request.urlopen(f"{url.removesuffix('/packages.adb')}/list", timeout=10) as answer:
                    kept.write_bytes(answer.read())
            except OSError as error:
                print(f"*** Failed to download the package list from {url}: {error}", file=sys.stderr)
            if kept.exists():
                found.update(line.split() for line in kept.read_text().splitlines())
        for path in sorted((self.top / "packages").glob("*.?pk")):
            match = re.fullmatch(r"([a-z0-9-]+?)[_-](\d[^_]*?)(?:_all)?\.(ipk|apk)", path.name)
            assert match and match[3] == ("ipk" if self.opkg else "apk"), path.name
            found[match[1]] = match[2]
        return found

    def solve(self) -> dict[str, str]:
        known = self.feed()
        needs = {
            "mailrelay": ("python3-light", "python3-openssl", "ca-bundle", "rpcd"),
            "mailrelay-postfix": ("postfix",),
        }
        wanted = ["base-files", "busybox", "libc", "kernel"]
        for word in self.values.get("PACKAGES", "").split():
            wanted = [name for name in wanted if name != word[1:]] if word[0] == "-" else [*wanted, word]
        for name in list(wanted):
            wanted += needs.get(name, ())
        if self.fault("clash") is not None:
            print(" * check_data_file_clashes: Package mailrelay wants to install file /usr/sbin/sendmail")
            print("\tBut that file is already provided by package  * msmtp-mta")
            print(" * opkg_install_cmd: Cannot install package mailrelay.")
            sys.exit(255)
        lacking = [name for name in wanted if name not in known]
        if lacking and self.opkg:
            print(f"Unknown package '{lacking[0]}'.\nCollected errors:")
            print(f" * opkg_install_cmd: Cannot install package {lacking[0]}.")
            sys.exit(255)
        if lacking:
            print(f"ERROR: unable to select packages:\n  {lacking[0]} (no such package):")
            print(f"    required by: world[{lacking[0]}]")
            sys.exit(1)
        return {name: known[name] for name in dict.fromkeys(wanted)}

    def manifest(self) -> None:
        self.check()
        for name, version in sorted(self.solve().items()):
            print(f"{name} - {version}" if self.opkg else f"{name} {version}")

    def image(self) -> None:
        self.check()
        packages = self.solve()
        if (marker := self.fault("hang")) is not None:
            Path(marker).write_text(str(os.getpid()))
            time.sleep(600)
        out = Path(self.values["BIN_DIR"])
        out.mkdir(parents=True)
        profile = self.settings["profiles"][self.profile]
        content = self.content(packages)
        made = []
        for image in profile["images"]:
            if image["filesystem"] == "initramfs":
                continue
            name = self.name(image["name"])
            if self.fault("too-big") is not None and "sysupgrade" in name:
                print(
                    f"WARNING: Image file {self.top}/build_dir/tmp/{name} is too big: 17825792 > 16121856",
                    file=sys.stderr,
                )
                continue
            if self.fault("one-less") is not None and len(made):
                continue
            (out / name).write_bytes(content)
            sha = hashlib.sha256(content).hexdigest() if self.fault("damaged") is None else "0" * 64
            made.append({**image, "name": name, "sha256": sha})
        (out / "profiles.json").write_text(json.dumps({"profiles": {self.profile: {**profile, "images": made}}}))

    def name(self, published: str) -> str:
        extra = re.sub(r"[^a-z0-9.-]", "-", self.values["EXTRA_IMAGE_NAME"].lower())
        dashed = self.settings["target"].replace("/", "-")
        return published.replace(f"{dashed}-", f"{extra}-{dashed}-", 1)

    def content(self, packages: dict[str, str]) -> bytes:
        facts = {
            "packages": packages,
            "disabled": self.values.get("DISABLED_SERVICES", "").split(),
            "partsize": self.values.get("ROOTFS_PARTSIZE", ""),
            "files": sorted(path.name for path in (self.top / "packages").glob("*.?pk")),
        }
        output = io.BytesIO()
        with tarfile.open(fileobj=output, mode="w") as tar:
            text = json.dumps(facts).encode()
            info = tarfile.TarInfo("facts.json")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
            tar.add(self.values["FILES"], "files")
        return output.getvalue()


if __name__ == "__main__":
    top, settings, faults, goal, *words = sys.argv[1:]
    values = dict(word.split("=", 1) for word in words)
    getattr(Builder(top, settings, faults, values), goal)()
