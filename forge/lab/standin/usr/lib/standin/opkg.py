"""Stand-in for opkg: installs, upgrades and removes .ipk files and packages of local feeds, scripts in opkg's order.

A program of its own, not of the daemon: a package's scripts ask the daemon. With -o it fills the root of a firmware,
as the ImageBuilder does. It checks no signatures (the feed is the tests' own), and knows neither recommends nor
version ranges; opkg_data.py is what it knows of packages.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from opkg_data import Archive, Database, Failed, Package
from versions import newer


class Opkg:
    def __init__(self, root: str, force: set[str]) -> None:
        self.root = root.rstrip("/")
        self.force = force
        self.db = Database(self.root)

    # ---- scripts ----------------------------------------------------------------------------------------------------

    def script(self, path: str, *words: str, upgrade: bool = False) -> bool:
        """Runs a script if it is there; whether it went well."""
        if not os.path.exists(path):
            return True
        environment = {**os.environ, "PKG_ROOT": self.root or "/", "PKG_UPGRADE": "1" if upgrade else "0"}
        if self.root:
            environment["IPKG_INSTROOT"] = self.root
        status = subprocess.run(["/bin/sh", path, *words], env=environment, cwd="/").returncode
        if status:
            print(f" * {os.path.basename(path)} script returned status {status}.", file=sys.stderr)
        return status == 0

    # ---- install and upgrade ----------------------------------------------------------------------------------------

    def install(self, name: str) -> None:
        """A file, or a package of a feed; with what it depends on, as far as feeds have that."""
        self.take(Archive(name if os.path.exists(name) else self.db.fetch(name)))

    def take(self, archive: Archive) -> None:
        package = archive.package
        old = self.db.installed.get(package.name)
        if old is not None and old.version == package.version and "reinstall" not in self.force:
            print(f"Package {package.name} ({package.version}) installed in root is up to date.")
            return
        if old is not None and newer(old.version, package.version) and "downgrade" not in self.force:
            print(f"Not downgrading package {package.name} on root from {old.version} to {package.version}.")
            return
        self.depends(package)
        self.refuse_clashes(archive)
        if old is None:
            print(f"Installing {package.name} ({package.version}) to root...")
        else:
            print(f"Upgrading {package.name} on root from {old.version} to {package.version}...")
        self.unpack(archive, old)
        print(f"Configuring {package.name}.")
        well = self.script(self.db.info(package, "postinst"), "configure", upgrade=old is not None)
        package.fields["Status"] = f"install ok {'installed' if well else 'unpacked'}"
        self.db.save()
        if not well:
            raise Failed(f"Package {package.name} postinst script failed")

    def depends(self, package: Package) -> None:
        for name in package.depends:
            if self.db.provider(name) is not None:
                continue
            found = self.db.offered(name)
            if found is not None:
                self.take(Archive(self.db.fetch(name)))
            elif "depends" not in self.force:
                raise Failed(
                    f"satisfy_dependencies_for: Cannot satisfy the following dependencies for {package.name}:\n"
                    f" * \t{name} * "
                )
        for other in self.db.installed.values():
            if other.name != package.name and (package.conflict(other) or other.conflict(package)):
                raise Failed(f"check_conflicts_for: The following packages conflict with {package.name}:\n"
                             f" * \t{other.name} * ")  # fmt: skip

    def refuse_clashes(self, archive: Archive) -> None:
        """A file that another package has is not taken over."""
        owners = {path: name for name in self.db.installed for path in self.db.files(name)}
        for path in archive.files:
            owner = owners.get(path)
            if owner not in (None, archive.package.name) and "overwrite" not in self.force:
                raise Failed(
                    f"check_data_file_clashes: Package {archive.package.name} wants to install file {path}\n"
                    f"\tBut that file is already provided by package  * {owner}"
                )

    def unpack(self, archive: Archive, old: Package | None) -> None:
        package = archive.package
        upgrade = old is not None
        before = set(self.db.files(package.name)) if old else set()
        links = old.alternatives if old else []
        changed = self.db.changed_conffiles(package.name)
        if old is not None and not self.script(self.db.info(old, "prerm"), "upgrade", package.version, upgrade=True):
            raise Failed(f"prerm script of {old.name} failed")
        control = archive.control(f"{self.root}/tmp")
        arguments = ["upgrade", old.version] if old else ["install"]
        if not self.script(f"{control}/preinst", *arguments, upgrade=upgrade):
            shutil.rmtree(control)
            raise Failed(f"preinst script of {package.name} failed")
        archive.extract(self.root or "/", keep=changed)
        self.db.remove_files(before - set(archive.files))
        if old is not None:
            self.script(self.db.info(old, "postrm"), "upgrade", package.version, upgrade=True)
        self.db.put(archive, control)
        self.db.link([*links, *package.alternatives])

    # ---- removal ----------------------------------------------------------------------------------------------------

    def remove(self, name: str) -> None:
        package = self.db.installed.get(name)
        if package is None:
            print("No packages removed.")
            return
        needing = [one.name for one in self.db.installed.values() if name in one.depends and one.name != name]
        if needing and "depends" not in self.force:
            raise Failed(f"Package {name} is depended upon by packages:\n" + "\n".join(f"\t{one}" for one in needing))
        print(f"Removing package {name} from root...")
        if not self.script(self.db.info(package, "prerm"), "remove") and "remove" not in self.force:
            raise Failed(f'not removing package "{name}", prerm script failed')
        kept = self.db.changed_conffiles(name)
        for path in sorted(kept):
            print(f"Not deleting modified conffile {path}.")
        self.db.remove_files(set(self.db.files(name)) - kept)
        del self.db.installed[name]
        self.db.link(package.alternatives)
        self.script(self.db.info(package, "postrm"), "remove")
        self.db.forget(name)

    # ---- questions --------------------------------------------------------------------------------------------------

    def list_installed(self, name: str) -> None:
        for one in sorted(self.db.installed.values(), key=lambda one: one.name):
            if name in ("", one.name):
                print(f"{one.name} - {one.version}")

    def files(self, name: str) -> None:
        if name in self.db.installed:
            print(
                f"Package {name} ({self.db.installed[name].version}) is installed on root and has the following files:"
            )
            print("".join(f"{self.root}{path}\n" for path in self.db.files(name)), end="")

    def status(self, name: str) -> None:
        for one in self.db.installed.values():
            if name in ("", one.name):
                print(one.text())

    def upgrade(self, name: str) -> None:
        if name not in self.db.installed:
            raise Failed(f"Package {name} not installed")
        self.install(name)


def main(words: list[str]) -> int:
    root, force, rest = "", set(), []
    while words:
        word = words.pop(0)
        if word in ("-o", "--offline-root"):
            root = words.pop(0)
        elif word.startswith("--force-"):
            force.add(word.removeprefix("--force-"))
        elif not word.startswith("-"):
            rest.append(word)
    command, *names = rest or [""]
    opkg = Opkg(root, force)
    status = 0
    if command == "update":
        return opkg.db.update()
    table = {
        "install": opkg.install, "upgrade": opkg.upgrade, "remove": opkg.remove, "files": opkg.files,
        "list-installed": opkg.list_installed, "status": opkg.status, "info": opkg.status,
    }  # fmt: skip
    if command == "print-architecture":
        print("arch all 1\narch noarch 1")
    elif command not in table:
        print(f"opkg: unknown sub-command {command}", file=sys.stderr)
        return 255
    for name in names or ([""] if command in ("list-installed", "status") else []):
        try:
            table[command](name)
        except Failed as failed:
            print(f"Collected errors:\n * {failed}", file=sys.stderr)
            status = 255
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
