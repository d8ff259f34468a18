"""Stand-in for OpenWrt's `uci` command, as recorded: a file in /etc/config, and changes in /tmp/.uci until `commit`.

The files are read and written by the relay's own parser, which is tested against libuci's answers.
"""

from __future__ import annotations

import json
import os
import re
import sys

sys.path.insert(0, os.environ.get("STANDIN_RELAY", "/src"))

import uci

_NAME = re.compile(r"[A-Za-z0-9_]+\Z")


class Wrong(Exception):
    """uci's own words."""


class Store:
    """One package's sections, with the changes that are not committed applied."""

    def __init__(self, folder: str, package: str, saved: bool) -> None:
        self.path = f"{folder}/{package}"
        self.package = package
        self.delta_path = f"/tmp/.uci/{package}" if saved else ""
        try:
            with open(self.path, "rb") as file:
                self.sections = uci.parse(file.read())
        except FileNotFoundError:
            raise Wrong("Entry not found") from None
        except uci.ParseError as error:
            raise Wrong(str(error)) from None
        self.deltas: list[list[str]] = []
        if self.delta_path and os.path.exists(self.delta_path):
            with open(self.delta_path) as file:
                self.deltas = [json.loads(line) for line in file]
        for delta in self.deltas:
            self.apply(*delta)

    def section(self, name: str) -> uci.Section:
        found = re.fullmatch(r"@(\w+)\[(-?\d+)\]", name)
        if found:
            same = [one for one in self.sections if one.type == found[1]]
            try:
                return same[int(found[2])]
            except IndexError:
                raise Wrong("Entry not found") from None
        for one in self.sections:
            if name in (one.name, one.id):
                return one
        raise Wrong("Entry not found")

    def apply(self, kind: str, name: str, option: str, value: str) -> None:
        if kind == "set" and not option:
            if not any(name in (one.name, one.id) for one in self.sections):
                anonymous = re.fullmatch(r"cfg[0-9a-f]{6}", name)
                self.sections.append(uci.Section(value, None if anonymous else name, name, 0))
            return
        section = self.section(name)
        if kind == "set":
            section.options[option] = value
        elif kind == "add_list":
            section.add(option, value, 0)
        elif kind == "del_list":
            entries = section.options.get(option, [])
            section.options[option] = [one for one in entries if one != value] if isinstance(entries, list) else entries
        elif kind == "rename":
            section.options = {value if key == option else key: one for key, one in section.options.items()}
        elif kind == "delete" and option:
            section.options.pop(option, None)
        elif kind == "delete":
            self.sections.remove(section)

    def change(self, kind: str, name: str, option: str, value: str) -> None:
        self.apply(kind, name, option, value)
        os.makedirs("/tmp/.uci", exist_ok=True)
        with open(self.delta_path, "a") as file:
            file.write(json.dumps([kind, name, option, value]) + "\n")

    def changes(self) -> list[str]:
        forms = {"set": "{}='{}'", "rename": "{}='{}'", "add_list": "{}+='{}'", "del_list": "{}-='{}'"}
        lines = []
        for kind, name, option, value in self.deltas:
            where = ".".join(filter(None, (self.package, name, option)))
            lines.append(f"-{where}" if kind == "delete" else forms[kind].format(where, value))
        return lines

    def write(self) -> None:
        text = uci.export(self.sections, self.package).partition("\n")[2]
        mode = os.stat(self.path).st_mode & 0o777 if os.path.exists(self.path) else 0o600
        with open(f"{self.path}.new", "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        os.chmod(f"{self.path}.new", mode)
        os.rename(f"{self.path}.new", self.path)
        self.forget()

    def forget(self) -> None:
        if self.delta_path and os.path.exists(self.delta_path):
            os.unlink(self.delta_path)


def shell(store: Store) -> str:
    """What config_load of the stand-in's functions.sh evaluates."""
    lines = []
    for number, section in enumerate(store.sections, 1):
        name = section.name or f"cfg{number:02x}{section.id[5:]}"
        lines += [f"append CONFIG_SECTIONS {name}", f"CONFIG_{name}_TYPE={section.type}"]
        for option, value in section.options.items():
            entries = [value] if isinstance(value, str) else value
            lines.append(f"CONFIG_{name}_{option}={_quoted(' '.join(entries))}")
            if isinstance(value, list):
                lines.append(f"CONFIG_{name}_{option}_LENGTH={len(value)}")
                lines += [f"CONFIG_{name}_{option}_ITEM{at}={_quoted(one)}" for at, one in enumerate(value, 1)]
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def run(folder: str, words: list[str]) -> str:
    command, *rest = words
    saved = folder == "/etc/config"
    if command == "batch":
        return "".join(run(folder, line.split()) for line in sys.stdin.read().splitlines() if line.strip())
    if command == "commit" and not rest:
        for package in os.listdir("/tmp/.uci") if os.path.isdir("/tmp/.uci") else ():
            Store(folder, package, saved).write()
        return ""
    if not rest:
        raise Wrong("Invalid argument")
    place, equals, value = rest[0].partition("=")
    package, _, place = place.partition(".")
    name, _, option = place.partition(".")
    if command == "import":
        sections = uci.parse(sys.stdin.read().encode())
        open(f"{folder}/{package}", "a").close()
        store = Store(folder, package, saved)
        store.sections = sections
        store.write()
        return ""
    store = Store(folder, package, saved)
    if command == "standin-shell":
        return shell(store)
    if command == "export":
        return uci.export(store.sections, package)
    if command == "show":
        return uci.show(store.sections, package)
    if command == "changes":
        return "".join(line + "\n" for line in store.changes())
    if command == "revert":
        store.forget()
        return ""
    if command == "commit":
        store.write()
        return ""
    if command == "get":
        section = store.section(name)
        if not option:
            return section.type + "\n"
        if option not in section.options:
            raise Wrong("Entry not found")
        found = section.options[option]
        return (found if isinstance(found, str) else " ".join(found)) + "\n"
    if command == "add":
        kind = rest[1]
        name = uci.Section(kind, None, f"cfg{len(store.sections) + 1:02x}{uci._hash(kind.encode()):04x}", 0).id
        store.change("set", name, "", kind)
        return name + "\n"
    if command == "delete":
        store.change("delete", store.section(name).id, option, "")
        return ""
    if (
        not equals
        or not name
        or not (name.startswith("@") or _NAME.match(name))
        or (option and not _NAME.match(option))
    ):
        raise Wrong("Invalid argument")
    if option or command != "set":
        name = store.section(name).id
    store.change(command, name, option, value)
    return ""


def main(words: list[str]) -> int:
    folder, quiet = "/etc/config", False
    while words and words[0].startswith("-"):
        flag = words.pop(0)
        quiet = quiet or flag == "-q"
        if flag == "-c":
            folder = words.pop(0)
    try:
        sys.stdout.write(run(folder, words))
    except Wrong as wrong:
        if not quiet:
            print(f"uci: {wrong}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
