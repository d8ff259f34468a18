"""Stand-in for OpenWrt's `uci` command, as recorded: a file in /etc/config, and changes in /tmp/.uci until `commit`.

The files are read and written by the relay's own parser, which is tested against libuci's answers.
"""

from __future__ import annotations

import os

import lean
import uci

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from door import Call

SAVED = "/tmp/.uci"


class Wrong(Exception):
    """uci's own words."""


class Store:
    """One package's sections, with the changes that are not committed applied."""

    def __init__(self, folder: str, package: str, saved: str = SAVED) -> None:
        self.path = f"{folder}/{package}"
        self.package = package
        self.delta_path = f"{saved}/{package}"
        if not _is_name(package.replace("-", "_").replace(".", "_")) or package.startswith("."):
            raise Wrong("Invalid argument")
        try:
            with open(self.path, "rb") as file:
                self.sections = uci.parse(file.read())
        except FileNotFoundError:
            raise Wrong("Entry not found") from None
        except uci.ParseError as error:
            raise Wrong(str(error)) from None
        self.deltas: list[list[str]] = []
        if os.path.exists(self.delta_path):
            with open(self.delta_path) as file:
                self.deltas = [lean.loads(line) for line in file]
        for delta in self.deltas:
            self.apply(*delta)

    def section(self, name: str) -> uci.Section:
        if name.startswith("@"):
            type, _, number = name[1:].removesuffix("]").partition("[")
            same = [one for one in self.sections if type in ("", one.type)]
            try:
                return same[int(number)]
            except (IndexError, ValueError):
                raise Wrong("Entry not found") from None
        for one in self.sections:
            if name in (one.name, one.id):
                return one
        raise Wrong("Entry not found")

    def new_id(self, type: str) -> str:
        """The name that an anonymous section of that type will have."""
        return f"cfg{len(self.sections) + 1:02x}{uci._hash(type.encode()):04x}"

    def apply(self, kind: str, name: str, option: str, value: str) -> None:
        if kind == "set" and not option:
            known = next((one for one in self.sections if name in (one.name, one.id)), None)
            if known is not None:
                known.type = value
            else:
                anonymous = len(name) == 9 and name.startswith("cfg") and not set(name[3:]) - set("0123456789abcdef")
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
            if not section.options[option]:
                del section.options[option]
        elif kind == "rename" and option:
            section.options = {value if key == option else key: one for key, one in section.options.items()}
        elif kind == "rename":
            section.name = section.id = value
        elif kind == "reorder":
            self.sections.remove(section)
            self.sections.insert(int(value), section)
        elif kind == "delete" and option:
            section.options.pop(option, None)
        elif kind == "delete":
            self.sections.remove(section)

    def change(self, kind: str, name: str, option: str, value: str) -> None:
        self.apply(kind, name, option, value)
        self.deltas.append([kind, name, option, value])
        self.save()

    def save(self) -> None:
        os.makedirs(self.delta_path.rpartition("/")[0], mode=0o700, exist_ok=True)
        with open(self.delta_path, "w") as file:
            file.write("".join(lean.dumps(delta) + "\n" for delta in self.deltas))

    def revert(self, name: str, option: str) -> None:
        """Forgets the changes of the package, of a section or of an option."""
        if name:
            name = self.section(name).id
        kept = [one for one in self.deltas if (name and one[1] != name) or (option and one[2] != option)]
        self.deltas = kept
        if kept:
            self.save()
        else:
            self.forget()

    def changes(self) -> list[str]:
        forms = {
            "set": "{}='{}'", "rename": "{}='{}'", "add_list": "{}+='{}'", "del_list": "{}-='{}'", "reorder": "{}='{}'",
        }  # fmt: skip
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
            file.flush()
            os.fsync(file.fileno())
        os.chmod(f"{self.path}.new", mode)
        os.rename(f"{self.path}.new", self.path)
        self.forget()

    def forget(self) -> None:
        if os.path.exists(self.delta_path):
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


def run(folder: str, words: list[str], text: str = "", extended: bool = False) -> str:
    command, *rest = words or [""]
    if command == "batch":
        import shlex

        lines = (shlex.split(line, comments=True) for line in text.splitlines())
        return "".join(run(folder, line, text, extended) for line in lines if line)
    if command in ("commit", "changes") and not rest:
        names = sorted(os.listdir(SAVED)) if os.path.isdir(SAVED) else []
        return "".join(run(folder, [command, name]) for name in names if os.path.exists(f"{folder}/{name}"))
    if command in ("show", "export") and not rest:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
        return "".join(run(folder, [command, name], extended=extended) for name in names)
    if not rest:
        raise Wrong("Invalid argument")
    place, equals, value = rest[0].partition("=")
    package, _, place = place.partition(".")
    name, _, option = place.partition(".")
    if command == "import":
        return _import(folder, package, text)
    store = Store(folder, package)
    if command in _READERS:
        return _READERS[command](store, name, option, extended)
    if command == "add" and len(rest) == 2:
        name = store.new_id(rest[1])
        store.change("set", name, "", rest[1])
        return name + "\n"
    if command == "revert":
        store.revert(name, option)
    elif command == "commit":
        store.write()
    elif command == "delete":
        _delete(store, name, option)
    elif command in ("set", "add_list", "del_list", "rename", "reorder"):
        if not equals or not _is_place(name, option):
            raise Wrong("Invalid argument")
        _change(store, command, name, option, value)
    else:
        raise Wrong("Invalid argument")
    return ""


def _change(store: Store, command: str, name: str, option: str, value: str) -> None:
    if option or command != "set":
        name = store.section(name).id
    if value or not option or command != "set":
        store.change(command, name, option, value)
    elif option in store.section(name).options:
        store.change("delete", name, option, "")


def _is_place(name: str, option: str) -> bool:
    return (name.startswith("@") or _is_name(name)) and (not option or _is_name(option))


def _is_name(text: str) -> bool:
    return text.isascii() and text.replace("_", "a").isalnum()


def _import(folder: str, package: str, text: str) -> str:
    try:
        sections = uci.parse(text.encode("utf-8", "surrogateescape"))
    except uci.ParseError as error:
        raise Wrong(str(error)) from None
    open(f"{folder}/{package}", "a").close()
    store = Store(folder, package)
    store.sections = sections
    store.write()
    return ""


def _delete(store: Store, name: str, option: str) -> None:
    section = store.section(name)
    if option and option not in section.options:
        raise Wrong("Entry not found")
    store.change("delete", section.id, option, "")


def _get(store: Store, name: str, option: str, extended: bool) -> str:
    section = store.section(name)
    if not option:
        return section.type + "\n"
    if option not in section.options:
        raise Wrong("Entry not found")
    found = section.options[option]
    return (found if isinstance(found, str) else " ".join(found)) + "\n"


def _show(store: Store, name: str, option: str, extended: bool) -> str:
    text = uci.show(store.sections, store.package, extended)
    if not name:
        return text
    section = store.section(name)
    if option and option not in section.options:
        raise Wrong("Entry not found")
    before = store.sections[: store.sections.index(section)]
    skip = uci.show(before, store.package, extended).count("\n") if before else 0
    lines = text.splitlines(keepends=True)[skip : skip + 1 + len(section.options)]
    return lines[1 + list(section.options).index(option)] if option else "".join(lines)


_READERS: dict[str, Callable[[Store, str, str, bool], str]] = {
    "get": _get,
    "show": _show,
    "export": lambda store, name, option, extended: uci.export(store.sections, store.package),
    "changes": lambda store, name, option, extended: "".join(line + "\n" for line in store.changes()),
    "standin-shell": lambda store, name, option, extended: shell(store),
}


def command(asked: Call) -> None:
    """`uci [-q] [-X] [-c DIR] COMMAND ...`"""
    folder, quiet, extended = "/etc/config", False, False
    words = asked.words[1:]
    while words and words[0].startswith("-"):
        flag = words.pop(0)
        quiet = quiet or flag == "-q"
        extended = extended or flag == "-X"
        if flag in ("-c", "-p", "-P", "-t") and words:
            value = words.pop(0)
            folder = value if flag == "-c" else folder
    try:
        text = run(folder, words, asked.input, extended)
    except (Wrong, OSError) as error:
        asked.done(1, "" if quiet else f"uci: {error}\n", error=True)
        return
    asked.done(0, text)
