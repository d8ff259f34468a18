"""The tasks `build` and `inspect`: packages from package/*/Makefile into dist/, and what a package file holds.

The embedded default: no SDK, no download. stage.py reads and stages, the PACKERS pack; this prints.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from forge.core import choices, cli, console, paths
from forge.core.errors import ForgeError, UsageError
from forge.packages import apk, deb, epoch, ipk, keys, stage
from forge.packages.package import Contents, Entry, Package, Packer

PACKERS: dict[str, Packer] = {"ipk": ipk, "apk": apk, "deb": deb}
MAGIC = {b"ADB": "apk", b"!<ar": "deb"}  # how a file begins; anything else is taken for an ipk
ROUTER = "root@192.168.1.1"
DEVICES = {"character device": "c", "block device": "b", "directory": "d", "link": "l", "pipe": "p", "file": "-"}


class UnsoundError(ForgeError):
    """A package file was listed, and is not as it should be."""


@dataclass(frozen=True)
class Built:
    """A file that was made."""

    package: Package
    path: Path
    size: int
    installed: int  # bytes of the files that the package puts on the router
    sha256: str
    key: Path | None = None  # the public half of the one that signed it


def output(out: str) -> Path:
    """The folder that takes the packages: --out, or dist/. It is made by whoever writes there."""
    folder = Path(out).absolute() if out else paths.DIST
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out: {out} is a file, and a folder is wanted")
    return folder


def preview(package: str, formats: Sequence[str], who: str, folder: Path) -> list[Built]:
    """Say what would be built, and build nothing."""
    names_ = [package] if package else choices.packages()
    console.say(f"{who} would make {', '.join(names_)} as .{' and .'.join(formats)} in {paths.shown(folder)}")
    console.result([{"package": name, "formats": list(formats), "folder": str(folder)} for name in names_])
    return []


def run(
    *, package: str = "", format: str = "all", folder: Path | None = None, reproducible: bool = False
) -> list[Built]:
    """Make the packages (of this name, else all) in `folder` (dist/), and print what was made and what to do with
    it."""
    built = signed(make(package=package, format=format, folder=folder, reproducible=reproducible), reproducible)
    if not built:
        what = package or "any of these packages"
        raise ForgeError(f"there is no .deb of {what}", hint="mailrelay is the one: ./inv build --format deb")
    if format == "deb":
        _report_debs(built)
    else:
        report(built)
    return built


def make(
    *,
    package: str = "",
    format: str = "all",
    release: str = "24.10",
    folder: Path | None = None,
    reproducible: bool = False,
) -> list[Built]:
    """Make them in `folder`, dist/ by default; .ipk files by the conventions of `release` (ipk.RELEASES).

    `reproducible` refuses what would give other bytes elsewhere (epoch.of); else it is told.
    """
    cli.choice(format, choices.FORMATS, "--format")
    built: list[Built] = []
    for directory in directories(package):
        with console.step(f"building {paths.shown(directory)}"):
            changed = epoch.uncommitted(directory)
            with stage.staged(directory, [package] if package else [], reproducible=reproducible) as packages:
                built += [one for staged in packages for one in pack(staged, folder or paths.DIST, format, release)]
        if changed:
            more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
            console.note(f"not committed: {', '.join(changed[:3])}{more}; the same commit makes other bytes elsewhere")
    return built


def pack(package: Package, folder: Path, format: str = "all", release: str = "24.10") -> list[Built]:
    """Pack one staged package in one format or all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [path for one in choices.formats(format) for path in PACKERS[one].pack(package, folder, release)]
    return [measured(package, path) for path in made]


def signed(built: Sequence[Built], reproducible: bool = False) -> list[Built]:
    """The .apk files among these get the signature of the feed's key, which a router that has it asks for; unsigned
    with a note where this machine can keep no key, or where everybody is to get the same bytes (`reproducible`). The
    public key is put beside them, to be brought to routers."""
    if not any(one.path.suffix == ".apk" for one in built):
        return list(built)
    if reproducible:
        console.note("the .apk files are not signed: a signature would be another one elsewhere")
        return list(built)
    try:
        key = keys.load_apk()
    except keys.NoFolderError as error:
        console.note(f"the .apk files are not signed: {error.message}")
        return list(built)
    done = []
    for one in built:
        if one.path.suffix == ".apk":
            apk.sign(one.path, key)
            public = keys.publish_apk(one.path.parent / "keys", key.public_key())
            data = one.path.read_bytes()
            one = replace(one, size=len(data), sha256=hashlib.sha256(data).hexdigest(), key=public)
        done.append(one)
    return done


def packed(name: str, folder: Path, format: str = "ipk", directory: Path = paths.PACKAGES / "mailrelay") -> Path:
    """One of our packages as `./inv build` makes it, or the one of another directory."""
    with stage.staged(directory, [name]) as packages:
        [made] = [one.path for package in packages for one in pack(package, folder, format)]
    return made


def measured(package: Package, path: Path) -> Built:
    """A package file with its figures; the package is staged still."""
    files = [path for path in package.root.rglob("*") if path.is_file() and not path.is_symlink()]
    installed = sum(path.stat().st_size for path in files)
    data = path.read_bytes()
    return Built(package, path, len(data), installed, hashlib.sha256(data).hexdigest())


def directories(package: str) -> list[Path]:
    """The package directories, or the one whose Makefile builds `package`."""
    found = sorted(path.parent for path in paths.PACKAGES.glob("*/Makefile"))
    if not found:
        raise ForgeError(f"there is no Makefile in {paths.shown(paths.PACKAGES)}/*/", hint="is this a whole checkout?")
    if not package:
        return found
    names = {name: directory for directory in found for name in stage.defined(directory)}
    return [names[cli.choice(package, names, "--package")]]


def report(built: Sequence[Built]) -> None:
    console.result(_facts(built))
    console.say()
    rows = [(paths.shown(one.path), str(one.size), str(one.installed), one.sha256) for one in built]
    console.table(("file", "size", "installed", "sha256"), rows)
    console.say()
    names = {one.package.name for one in built}
    if any(names & set(one.package.conflicts) for one in built):
        console.note("a router takes one of them: they refuse each other")
    console.say("Next, with a router at 192.168.1.1 (the other packages likewise):")
    engines_first = sorted(built, key=lambda one: "mailrelay-engine" not in one.package.provides)  # the others need one
    for suffix, say in ((".ipk", _say_opkg), (".apk", _say_apk)):
        if file := next((one for one in engines_first if one.path.suffix == suffix), None):
            say(file)
    console.say("  What is in a package:")
    console.say(f"    ./inv inspect {shlex.quote(paths.shown(built[0].path))}")


def _facts(built: Sequence[Built]) -> list[dict[str, object]]:
    return [
        {
            "package": one.package.name,
            "version": f"{one.package.version}-r{one.package.release}",
            "file": str(one.path),
            "size": one.size,
            "installed": one.installed,
            "sha256": one.sha256,
            "key": str(one.key) if one.key else None,
        }
        for one in built
    ]


def _say_opkg(built: Built) -> None:
    console.say("  OpenWrt up to 24.10:")
    _say_install(built.path, "opkg update && opkg install")


def _say_apk(built: Built) -> None:
    if built.key is None:
        console.say("  OpenWrt 25.12 and later (the package has no signature):")
        _say_install(built.path, "apk update && apk add --allow-untrusted")
        return
    console.say("  OpenWrt 25.12 and later, which takes what your feed's key has signed once it has that key:")
    console.say(f"    scp -O {shlex.quote(paths.shown(built.key))} {ROUTER}:/etc/apk/keys/")
    _say_install(built.path, "apk update && apk add")
    console.say("    (without the key: apk add --allow-untrusted)")


def _say_install(file: Path, install: str) -> None:
    console.say(f"    scp -O {shlex.quote(paths.shown(file))} {ROUTER}:/tmp/")
    console.say(f"    ssh {ROUTER} '{install} /tmp/{file.name}'")


def _report_debs(built: Sequence[Built]) -> None:
    console.result(_facts(built))
    console.say()
    console.table(("file", "size", "sha256"), [(paths.shown(one.path), str(one.size), one.sha256) for one in built])
    console.say()
    console.say("Next, as root on Debian 12 or Raspberry Pi OS (docs/owner/raspberry-pi.md goes on from there):")
    console.say(f"    apt install ./{built[0].path.name}")
    console.say("  And where the mail of that machine's own programs shall go through the relay, too:")
    console.say(f"    apt install ./{built[-1].path.name}")


# ---- inspect --------------------------------------------------------------------------------------------------------


def inspect(file: str) -> None:
    """Print what a package file says and holds. Raise UnsoundError, at the end, for what is wrong with it."""
    path = Path(file)
    if not path.is_file():
        near = cli.near(path.name, [one.name for one in path.parent.glob("*.?[pe][kb]")])
        raise UsageError(f"there is no file {file}.{near}", hint="./inv build makes packages in dist/")
    contents = read(path)
    console.result(
        {
            "file": str(path),
            "format": contents.format,
            "size": path.stat().st_size,
            "control": dict(contents.control),
            "scripts": dict(contents.scripts),
            "conffiles": list(contents.conffiles),
            "files": [{**vars(one), "mode": f"{one.mode:04o}"} for one in contents.files],
            "faults": list(contents.faults),
            "signatures": contents.signatures,
        }
    )
    console.title(f"{printable(path.name)}: {contents.format}, {path.stat().st_size} bytes")
    console.table(("field", "value"), _rows(contents))
    if contents.signatures is not None:
        console.say()
        console.title("Signatures")
        for line in contents.signatures or ["none: apk takes it with --allow-untrusted alone"]:
            console.say(line)
    for name, text in contents.scripts.items():
        console.say()
        console.title(printable(name))
        console.say(printable(text.rstrip("\n")))
    if contents.conffiles:
        console.say()
        console.title("Configuration files, kept on upgrade")
        for line in contents.conffiles:
            console.say(printable(line))
    console.say()
    console.title(f"Files: {sum(one.kind == 'file' for one in contents.files)}")
    console.table(
        ("mode", "", "owner", "size", "path"),
        [(_mode(one), f"{one.mode:04o}", printable(one.owner), str(one.size), _path(one)) for one in contents.files],
    )
    if contents.faults:
        console.say()
        for fault in contents.faults:
            console.bad(printable(fault))
        raise UnsoundError(f"{printable(file)} is no sound package; nothing of it was unpacked")


def read(path: Path) -> Contents:
    """A package file of any format, known by its first bytes."""
    with path.open("rb") as file:
        start = file.read(4)
    format = next((format for magic, format in MAGIC.items() if start.startswith(magic)), "ipk")
    return PACKERS[format].inspect(path)


def printable(text: str) -> str:
    """The text with every control character as an escape: a package's author does not get to steer a terminal."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def _rows(contents: Contents) -> list[tuple[str, str]]:
    rows = []
    for name, value in contents.control:
        first, *others = printable(value).split("\n")
        rows += [(printable(name), first), *(("", line) for line in others)]
    return rows


def _mode(entry: Entry) -> str:
    letters = "".join(bit if entry.mode >> (8 - at) & 1 else "-" for at, bit in enumerate("rwxrwxrwx"))
    return DEVICES.get(entry.kind, "?") + letters


def _path(entry: Entry) -> str:
    if entry.kind == "link":
        return printable(f"{entry.path} -> {entry.target}")
    return printable(entry.path) + (f" (a {entry.kind} of {printable(entry.target)})" if entry.target else "")
