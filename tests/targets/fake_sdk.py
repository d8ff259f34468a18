"""What `make` and scripts/feeds run in the fake SDK: as OpenWrt's own in what one sees of them, and no more.

It stands in for OpenWrt's SDK, which no registry has. Packages are really made, by the mini-SDK's packers, from the
feed's clone: with the time that git says and the path that the clone has, as the real SDK does. A file in the folder
FAULTS makes it fail as the real one does. Started as `fake_sdk.py TOPDIR FORMAT RELEASE FAULTS feeds|make WORDS…`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Sdk:
    def __init__(self, top: str, format: str, release: str, faults: str) -> None:
        self.top, self.format, self.release = Path(top).resolve(), format, release
        self.faults = Path(faults)

    def fault(self, name: str) -> bool:
        return (self.faults / name).exists()

    def feeds(self, *words: str) -> None:
        known = {}
        for line in (self.top / "feeds.conf").read_text().splitlines():
            if line.strip() and not line.startswith("#"):
                method, name, source = line.split()
                known[name] = (method, source)
        command, *rest = words
        names = [word for word in rest if not word.startswith("-")]
        if command == "update":
            for name in names:
                self.update(*known[name], name, index_only="-i" in rest)
        elif command == "install":
            feed, *wanted = names
            for name in wanted:
                self.install(feed, name)

    def update(self, method: str, source: str, name: str, index_only: bool) -> None:
        folder = self.top / "feeds" / name
        assert method in ("src-git", "src-git-full"), method
        if not index_only:
            print(f"Updating feed '{name}' from '{source}' ...")
            shutil.rmtree(folder, ignore_errors=True)
            folder.parent.mkdir(exist_ok=True)
            url, _, revision = source.partition("^")
            done = subprocess.run(["git", "clone", "-q", url, folder])
            if done.returncode == 0 and revision:
                subprocess.run(["git", "-C", folder, "checkout", "-q", revision], check=True)
            if done.returncode:
                print("failed.")  # and the status stays 0, as with the real one
                return
        found = []
        for path in sorted(folder.glob("**/Makefile")):
            if "luci.mk" in path.read_text() and not (self.top / "feeds" / "luci" / "luci.mk").exists():
                print(f"ERROR: please fix {path.relative_to(self.top)} - see logs/ for details")  # and goes on
            else:
                found.append(str(path.parent))
        (self.top / "feeds" / f"{name}.index").write_text("\n".join(found))

    def makefile(self, feed: str, package: str) -> Path | None:
        index = self.top / "feeds" / f"{feed}.index"
        for folder in index.read_text().splitlines() if index.exists() else []:
            text = (Path(folder) / "Makefile").read_text()
            if Path(folder).name == package or f"define Package/{package}\n" in text:
                return Path(folder) / "Makefile"
        return None

    def install(self, feed: str, package: str) -> None:
        makefile = self.makefile(feed, package)
        if makefile is None:
            print(f"WARNING: No feed for package '{package}' found")
            return
        link = self.top / "package" / "feeds" / feed / makefile.parent.name
        if link.is_symlink():
            return
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(makefile.parent)
        for name in re.findall(r"\+([\w-]+)", makefile.read_text()):
            for index in sorted((self.top / "feeds").glob("*.index")):
                if self.makefile(index.stem, name):
                    self.install(index.stem, name)
                    break
            else:
                print(f"WARNING: Makefile '{link}/Makefile' has a dependency on '{name}', which does not exist")

    def make(self, *words: str) -> None:
        goals = [word for word in words if "=" not in word and not word.startswith("-")]
        alone = "NO_DEPS=1" in words
        for goal in goals:
            if goal == "defconfig":
                (self.top / ".config").write_text("CONFIG_PACKAGE_mailrelay=m\n")
            elif goal == "package/luci-base/host/compile":
                assert (self.top / "package/feeds/luci/luci-base").is_symlink(), "luci-base is not installed"
                (self.top / "staging_dir").mkdir(exist_ok=True)
                (self.top / "staging_dir" / "po2lmo").touch()
            else:
                _, package, what = goal.split("/")
                if what == "compile":
                    self.compile(package, alone)

    def compile(self, package: str, alone: bool) -> None:
        print(f"make[2] package/{package}/compile")
        if self.fault("no-compile"):
            print(f"    ERROR: package/feeds/mailrelay/{package} failed to build.")
            sys.exit(2)
        linked = {link.name for link in (self.top / "package" / "feeds").glob("*/*")}
        if "python3" in linked and not alone:
            print("make[3] -C feeds/packages/lang/python/python3 host-compile")
            print(" make[2] package/feeds/packages/python3/host/compile")
            sys.exit(2)
        link = self.top / "package" / "feeds" / "mailrelay" / package
        directory = link.resolve()
        if "luci.mk" in (directory / "Makefile").read_text():
            assert (self.top / "staging_dir" / "po2lmo").exists(), "po2lmo: not found"
            assert alone, "LuCI would be built for the router"
        if self.fault("no-package"):
            return
        sys.path.insert(0, str(ROOT))
        from forge.packages import minisdk, stage

        folder = self.top / "bin" / "packages" / "mipsel_24kc" / "mailrelay"
        with stage.staged(directory, source=str(directory.relative_to(self.top))) as packages:
            for one in packages:
                minisdk.pack(one, folder, self.format, self.release)
        if self.fault("one-less"):
            sorted(folder.iterdir(), key=lambda path: len(path.name))[-1].unlink()


if __name__ == "__main__":
    top, format, release, faults, verb, *words = sys.argv[1:]
    getattr(Sdk(top, format, release, faults), verb)(*words)
