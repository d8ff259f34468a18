"""Stand-in for apk 3: adds, upgrades and deletes .apk files and packages of signed feeds, scripts in apk's order.

A program of its own, not of the daemon: a package's scripts ask the daemon. It is held to the recorded answers of the
real one (tests/data/apk-answers.txt); words that are not recorded are those of apk-tools 3.0.5. With --root it fills
the root of a firmware, as the ImageBuilder does. apk_data.py is what it knows of packages.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from apk_data import Database, Failed, Package, checksum, digest_of, split
from versions import newer

VERSION = "3.0.5"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# Options that take the word behind them, and those that mean something here; others are of no use on a router.
WITH_WORD = ("--root", "-p", "--keys-dir", "--repository", "-X", "--arch", "--cache-dir", "--repositories-file")
PROTECTED = "etc/"


class Apk:
    def __init__(self, root: str, options: set[str]) -> None:
        self.root = root.rstrip("/")
        self.options = options
        self.db = Database(self.root, untrusted="--allow-untrusted" in options)

    # ---- what is to be there ----------------------------------------------------------------------------------------

    def add(self, words: list[str]) -> int:
        world = {split(line)[0]: line for line in self.db.world}
        files = {}
        for word in words:
            if "." in word and os.path.exists(word):
                package = self.db.read(word)
                files[package.name] = package
                world[package.name] = f"{package.name}><{checksum(package)}"
            else:
                world[split(word)[0]] = word
        fresh = {split(word)[0] for word in words} if self.options & {"-u", "--upgrade"} else set()
        return self.reach(list(world.values()), files, fresh)

    def upgrade(self, words: list[str]) -> int:
        for word in words:
            if word not in self.db.installed and not any(one.name == word for one in self.db.offered()):
                raise Failed(f"Package '{word}' not found")
        return self.reach(self.db.world, {}, set(words or self.db.installed))

    def delete(self, words: list[str]) -> int:
        for word in words:
            if word not in {*self.db.installed, *(split(line)[0] for line in self.db.world)}:
                raise Failed(f"No such package: {word}")
        world = [line for line in self.db.world if split(line)[0] not in words]
        chosen = self.choose(world, {}, set(), available=[])
        for word in [one for one in words if one in chosen]:
            needing = sorted(one.name for one in chosen.values() if any(map(chosen[word].satisfies, one.depends)))
            print(f"World updated, but the following packages are not removed due to:\n  {word}: {' '.join(needing)}\n")
        return self.commit(world, chosen)

    def fix(self, words: list[str]) -> int:
        self.update_quietly()
        offered = {one.label: one for one in self.db.offered()}
        count = 0
        for number, name in enumerate(words, 1):
            old = self.db.installed.get(name)
            if old is None:
                raise Failed(f"No such package: {name}")
            there = offered.get(old.label)
            skipped = "" if there else "[APK unavailable, skipped] "
            print(f"({number}/{len(words)}) {skipped}Reinstalling {name} ({old.version})")
            count += self.put(old, self.db.fetch(there)) if there else 0
        return self.tell(count)

    def reach(self, world: list[str], files: dict[str, Package], fresh: set[str]) -> int:
        self.update_quietly()
        return self.commit(world, self.choose(world, files, fresh, self.db.offered()))

    def update_quietly(self) -> None:
        for warning in self.db.update(anew=False)[1]:
            print(f"WARNING: {warning}", file=sys.stderr)

    def choose(
        self, world: list[str], files: dict[str, Package], fresh: set[str], available: list[Package]
    ) -> dict[str, Package]:
        """The packages that this world comes to, each behind what it depends on. Failed where there is no way."""
        chosen: dict[str, Package] = {}
        missing: dict[str, list[str]] = {}
        pins = {split(line)[0]: line for line in world}

        def candidates(needed: str) -> list[Package]:
            found = [one for one in files.values() if one.satisfies(needed)]
            there = [one for one in self.db.installed.values() if one.name not in files and one.satisfies(needed)]
            offered = [
                one for one in available if one.satisfies(needed) and one.satisfies(pins.get(one.name, one.name))
            ]
            for one in offered:
                if one.name not in self.db.installed or one.name in fresh:
                    at = next((at for at, other in enumerate(there) if other.name == one.name), len(there))
                    if at == len(there) or newer(one.version, there[at].version):
                        there[at : at + 1] = [one]
            there.sort(key=lambda one: one.name not in pins)  # of those that provide a name, one that is asked for
            exact = [one for one in there if one.name == split(needed)[0]]
            return found or exact or there

        def take(needed: str, by: str) -> None:
            if needed.startswith("!") or any(one.satisfies(needed) for one in chosen.values()):
                return
            found = candidates(needed)
            if not found:
                missing.setdefault(split(needed)[0], []).append(f"{by}[{needed}]")
            elif found[0].name not in waiting:
                waiting.append(found[0].name)
                for one in found[0].depends:
                    take(one, found[0].label)
                waiting.remove(found[0].name)
                chosen[found[0].name] = found[0]

        waiting: list[str] = []
        for line in sorted(world):
            take(line, "world")
        reasons = [f"  {name} (no such package):\n    required by: {' '.join(by)}" for name, by in missing.items()]
        packages = list(chosen.values())
        for at, one in enumerate(packages):
            for other in packages[:at]:
                if name := one.conflicts(other):
                    version = one.version_of(name)
                    what = f"{name}={version}" if version and name != one.name else name
                    reasons.append(f"  {one.label}:\n    conflicts: {other.label}[{what}]")
        if reasons:
            raise Failed("unable to select packages:\n" + "\n".join(reasons))
        return chosen

    # ---- carrying it out --------------------------------------------------------------------------------------------

    def commit(self, world: list[str], chosen: dict[str, Package]) -> int:
        left = [one for one in self.db.installed.values() if one.name not in chosen]
        gone = sorted(left, key=lambda one: sum(any(map(one.satisfies, other.depends)) for other in left))
        changed = [one for one in chosen.values() if self.db.installed.get(one.name) is not one
                   and (one.name not in self.db.installed or one.label != self.db.installed[one.name].label
                        or (one.id and one.id != self.db.installed[one.name].id))]  # fmt: skip
        total = len(gone) + len(changed)
        errors = 0
        for number, one in enumerate([*gone, *changed], 1):
            old = self.db.installed.get(one.name)
            step = f"({number:>{len(str(total))}}/{total})"
            if one in gone:
                print(f"{step} Purging {one.name} ({one.version})", flush=True)
                errors += self.purge(one)
                continue
            new = one if one.facts.get("id") else self.db.fetch(one)
            if old is None:
                print(f"{step} Installing {new.name} ({new.version})", flush=True)
            else:
                what = "Upgrading" if newer(new.version, old.version) else "Downgrading"
                what = "Replacing" if new.version == old.version else what
                print(f"{step} {what} {new.name} ({old.version} -> {new.version})", flush=True)
            errors += self.put(old, new)
        self.db.world = world
        self.db.save()
        return self.tell(errors)

    def tell(self, errors: int) -> int:
        size = sum(one.size for one in self.db.installed.values())
        said = f"{errors} error{'s' if errors > 1 else ''};" if errors else "OK:"
        shown = f"{size // 1024} KiB" if size < 10240 * 1024 else f"{size / 1048576:.1f} MiB"
        print(f"{said} {shown} in {len(self.db.installed)} packages")
        return errors

    def put(self, old: Package | None, new: Package) -> int:
        """Install or upgrade; how many of its scripts failed."""
        words = [new.version] if old is None else [new.version, old.version]
        kind = "install" if old is None else "upgrade"
        errors = self.script(new, f"pre-{kind}", words)
        self.unpack(old, new)
        if old is not None:
            self.remove_files(set(old.files) - set(new.files), old)
        self.db.installed[new.name] = new
        new.facts["scripts"] = {name: text for name, text in new.scripts.items() if "deinstall" in name}
        self.db.save()
        return errors + self.script(new, f"post-{kind}", words)

    def purge(self, package: Package) -> int:
        errors = self.script(package, "pre-deinstall", [package.version])
        self.remove_files(set(package.files), package)
        del self.db.installed[package.name]
        self.db.save()
        return errors + self.script(package, "post-deinstall", [package.version])

    def script(self, package: Package, name: str, words: list[str]) -> int:
        """Run a script if the package has it, its output behind a mark as apk shows it; whether it failed."""
        text = package.scripts.get(name)
        if text is None or "--no-scripts" in self.options:
            return 0
        print(f"  Executing {package.label}.{name}", flush=True)
        folder = f"{self.root}/lib/apk/exec"
        os.makedirs(folder, exist_ok=True)
        path = f"{folder}/{package.label}.{name}"
        with open(path, "w") as file:
            file.write(text)
        environment = {"PATH": PATH, **({"IPKG_INSTROOT": self.root} if self.root else {})}
        argv = ["/bin/sh", path, *words]
        running = subprocess.Popen(
            argv, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert running.stdout is not None
        for line in running.stdout:
            print(f"  * {line.decode(errors='replace').rstrip()}", flush=True)
        status = running.wait()
        os.unlink(path)
        os.rmdir(folder)
        if status:
            print(f"ERROR: {package.label}.{name}: script exited with error {status}", file=sys.stderr)
        return int(status != 0)

    def unpack(self, old: Package | None, new: Package) -> None:
        """The files; in /etc what the owner has changed, or what no package has brought, stays: the new one is beside.

        What nobody wrote is what the old package's list says of it (apk_db_migrate_files in apk-tools' database.c).
        """
        for one in new.members:
            path = f"{self.root}/{one.path}"
            if one.kind == "directory":
                if not os.path.isdir(path):
                    os.makedirs(path)
                    os.chmod(path, one.mode)
                continue
            there, known = digest_of(path), old.files.get(one.path, "") if old else ""
            if one.path.startswith(PROTECTED) and there not in ("", known):
                if there == new.files[one.path]:
                    continue
                print(f"  Installing file to {one.path}.apk-new")
                path += ".apk-new"
            write(path, one.kind, one.mode, one.content)

    def remove_files(self, paths: set[str], package: Package) -> None:
        """And the folders that are empty then. In /etc what the owner has changed stays."""
        for path in paths:
            place = f"{self.root}/{path}"
            mine = not path.startswith(PROTECTED) or digest_of(place) == package.files[path]
            for name in [place] * mine + [f"{place}.apk-new"] * path.startswith(PROTECTED):
                if os.path.lexists(name):
                    os.unlink(name)
        shared = {
            os.path.dirname(path) for one in self.db.installed.values() if one is not package for path in one.files
        }
        for folder in sorted({os.path.dirname(path) for path in paths}, reverse=True):
            while folder and folder not in shared:
                try:
                    os.rmdir(f"{self.root}/{folder}")
                except OSError:
                    break
                folder = os.path.dirname(folder)

    # ---- questions --------------------------------------------------------------------------------------------------

    def update(self, words: list[str]) -> int:
        good, warnings = self.db.update()
        for warning in warnings:
            print(f"WARNING: {warning}", file=sys.stderr)
        for address in good:
            print(f" [{address}]")
        names = {*self.db.installed, *(one.name for one in self.db.offered())}
        said = f"{len(warnings)} unavailable, 0 stale;" if warnings else "OK:"
        print(f"{said} {len(names)} distinct packages available")
        return len(warnings)

    def info(self, words: list[str]) -> int:
        there = [one for one in sorted(self.db.installed.values(), key=lambda one: one.name)
                 if not words or any(map(one.satisfies, words))]  # fmt: skip
        if self.options & {"-L", "--contents"}:
            for one in there:
                print(f"{one.label} contains:\n" + "".join(f"{path}\n" for path in sorted(one.files)))
        else:
            for one in there:
                print(one.name)
        return len([word for word in words if not any(one.satisfies(word) for one in there)])

    def list(self, words: list[str]) -> int:
        mine = {one.label: one for one in self.db.installed.values()}
        others = [] if self.options & {"-I", "--installed"} else self.db.offered()
        packages = {**{one.label: one for one in others}, **mine}
        for label in sorted(packages):
            one = packages[label]
            old = self.db.installed.get(one.name)
            state = " [installed]" if label in mine else ""
            if old is not None and newer(one.version, old.version):
                state = f" [upgradable from: {old.label}]"
            if "-u" in self.options and "upgradable" not in state:
                continue
            if not words or any(re.fullmatch(word.replace(".", r"\.").replace("*", ".*"), one.name) for word in words):
                origin, license = one.facts.get("origin", one.name), one.facts.get("license", "")
                print(f"{label} {one.facts.get('arch', 'noarch')} {{{origin}}} ({license}){state}")
        return 0


def write(path: str, kind: str, mode: int, content: bytes) -> None:
    """A file or a link, in place at once."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    new = f"{path}.apk-write"
    if kind == "link":
        os.symlink(content, new)
    else:
        with open(new, "wb") as file:
            file.write(content)
        os.chmod(new, mode)
    os.rename(new, path)


def main(words: list[str]) -> int:
    root, options, rest = "", set(), []
    words = [*words]
    while words:
        word = words.pop(0)
        if word in WITH_WORD:
            value = words.pop(0)
            root = value if word in ("--root", "-p") else root
        elif word.startswith("-"):
            options |= {word} if word.startswith("--") else {f"-{letter}" for letter in word[1:]}
        else:
            rest.append(word)
    if options & {"--version", "-V"}:
        print(f"apk-tools {VERSION}, compiled for {os.uname().machine}.")
        return 0
    apk = Apk(root, options)
    table = {"add": apk.add, "del": apk.delete, "upgrade": apk.upgrade, "fix": apk.fix, "update": apk.update,
             "info": apk.info, "list": apk.list, "search": apk.list}  # fmt: skip
    command, *names = rest or [""]
    if command not in table:
        print(f"ERROR: '{command}' is not an apk command. See 'apk --help'.", file=sys.stderr)
        return 1
    try:
        return table[command](names)
    except Failed as failed:
        print(f"ERROR: {failed}", file=sys.stderr)
        return failed.status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
