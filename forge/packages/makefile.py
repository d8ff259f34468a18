"""Evaluates a package Makefile with GNU make, through the stand-ins of forge/packages/mk for OpenWrt's own includes.

evaluate() tells what the Makefile says, without running a recipe; run_install() runs those that fill a package's tree.
Both work on the copy that stage.py made, and name the checkout's own Makefile, with the line, in what they raise.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from forge.core import cli, paths, proc
from forge.core.errors import ForgeError

MK = Path(__file__).with_name("mk")
CHECKOUT = paths.ROOT
TIMEOUT = 300.0  # seconds for one run of make

_PARSE_ERROR = re.compile(r"^(?P<file>[^\s:]+):(?P<line>\d+): \*\*\* (?P<what>.*?)\.?(?:  Stop\.)?$", re.MULTILINE)
_NO_INCLUDE = re.compile(r"^(?P<file>[^\s:]+):(?P<line>\d+): (?P<what>\S+): No such file or directory$", re.MULTILINE)
_UNDEFINED = re.compile(r"warning: undefined variable '([^']+)'")
_ABSENT = re.compile(r"^\w+: cannot (?:stat|access|open|read)[^']*'([^']+)'", re.MULTILINE)


@dataclass(frozen=True)
class Fault:
    """Something wrong in a file of a package, with its line (0: the file as a whole) and what would be right."""

    path: Path
    line: int
    problem: str
    hint: str = ""

    def __str__(self) -> str:
        where = paths.shown(self.path) + (f":{self.line}" if self.line else "")
        return f"{where}: {self.problem}" + (f"; {self.hint}" if self.hint else "")


class PackageError(ForgeError):
    """A package cannot be made as it stands: all that was found wrong, one line each."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = sorted(set(faults), key=lambda fault: (str(fault.path), fault.line, fault.problem))
        super().__init__("\n".join(["this package cannot be made", *(f"  {fault}" for fault in self.faults)]))


class Makefile:
    """The text of a package Makefile, to find the line of what make only reports as a value."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            data = path.read_bytes()
        except OSError as error:
            raise PackageError([Fault(path, 0, error.strerror or str(error))]) from error
        try:
            self.lines = data.decode("utf-8").split("\n")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise PackageError([Fault(path, line, "this is not UTF-8", "save the file as UTF-8")]) from error

    def block(self, name: str) -> range:
        """The line numbers of `define NAME` to its endef; empty if it stands nowhere under that name."""
        for start, line in enumerate(self.lines, 1):
            if re.match(rf"\s*define\s+{re.escape(name)}\s*[:?+]?=?\s*$", line):
                for end in range(start, len(self.lines) + 1):
                    if re.match(r"\s*endef\b", self.lines[end - 1]):
                        return range(start, end + 1)
                return range(start, len(self.lines) + 1)
        return range(0)

    def find(self, pattern: str, blocks: Iterable[str] = (), *, elsewhere: bool = True) -> int:
        """The first line that matches, in these blocks (in their order) if they have it, else anywhere; 0 if none."""
        compiled = re.compile(pattern)
        everything = [range(1, len(self.lines) + 1)] if elsewhere else []
        for lines in [*(self.block(name) for name in blocks), *everything]:
            for number in lines:
                if compiled.search(self.lines[number - 1]):
                    return number
        return 0

    def assignment(self, name: str, package: str = "") -> int:
        """The line where a variable is set: with a package, in its define or a template it may call, else anywhere.

        Where it is not set, the line of the package's define.
        """
        templates = re.findall(r"^\s*define\s+(Package/[^/\s]+/\S+)\s*$", "\n".join(self.lines), re.MULTILINE)
        blocks = [f"Package/{package}", *templates] if package else []
        setting = rf"^\s*(?:override |export )?{re.escape(name)}\s*(?:[:?+]|::)?="
        return self.find(setting, blocks, elsewhere=not package) or self.define(f"Package/{package}")

    def define(self, name: str) -> int:
        """The line of `define NAME`, or of the end of the file."""
        block = self.block(name)
        return block[0] if block else max(1, len(self.lines))


@dataclass(frozen=True)
class Definition:
    """What the Makefile says of one package: its fields and texts by OpenWrt's names, expanded."""

    name: str
    fields: dict[str, str]
    hooks: dict[str, str]  # description, conffiles, and the scripts, as far as the Makefile has them
    unknown: list[str]  # names that `define Package/NAME` sets and OpenWrt does not know


@dataclass(frozen=True)
class Evaluation:
    """What a Makefile says: its packages in the order of their BuildPackage lines, and all that it defines."""

    makefile: Makefile
    packages: list[Definition]
    common: dict[str, str]  # PKG_NAME, PKG_VERSION, PKG_RELEASE, …
    names: list[str]  # everything that is called Build/…, Package/… or PKG_…
    undefined: list[str] = field(default_factory=list)  # variables that are used and set nowhere


@dataclass(frozen=True)
class Tree:
    """A folder laid out like OpenWrt's, without a space in its path, with a copy of one package directory in it."""

    top: Path
    package: Path  # the copy
    origin: Path  # the directory it is a copy of


def evaluate(tree: Tree, variant: str = "") -> Evaluation:
    """Read the Makefile. Raise PackageError where make itself cannot."""
    makefile = Makefile(tree.origin / "Makefile")
    with tempfile.TemporaryDirectory(dir=tree.top) as folder:
        out = Path(folder)
        words = ["--warn-undefined-variables", f"FORGE_OUT={out}", f"BUILD_VARIANT={variant}", "forge-tell"]
        result = _make(tree, words)
        if result.status != 0:
            raise PackageError([_explain(tree, makefile, result.output)])
        told = {path.name: path.read_text(encoding="utf-8") for path in out.iterdir()}
    values = {name: text.removesuffix("\n").removesuffix(".") for name, text in told.items() if "@" in name}
    packages = []
    for package in told.get("packages", "").split():
        mine = {name.partition("@")[2]: value for name, value in values.items() if name.startswith(f"{package}@")}
        unknown = mine.pop("unknown", "").split()
        fields = {name: value.strip() for name, value in mine.items() if name.isupper()}
        hooks = {name: value for name, value in mine.items() if not name.isupper()}
        packages.append(Definition(package, fields, hooks, unknown))
    return Evaluation(
        makefile,
        packages,
        {name[1:]: value.strip() for name, value in values.items() if name.startswith("@")},
        told.get("names", "").split(),
        sorted(set(_UNDEFINED.findall(result.output))),
    )


def run_install(tree: Tree, name: str, root: Path, variant: str = "") -> None:
    """Run Build/Prepare, Build/Compile and Package/NAME/install, which fill `root`."""
    makefile = Makefile(tree.origin / "Makefile")
    result = _make(tree, [f"FORGE_STAGE={root}", f"BUILD_VARIANT={variant}", f"forge-stage-{name}"])
    if result.status != 0:
        raise PackageError(_explain_recipe(tree, makefile, name, result.output))


def known_variables() -> list[str]:
    """The names that the stand-ins give to a Makefile."""
    text = "".join((MK / name).read_text(encoding="utf-8") for name in ("rules.mk", "package.mk"))
    return sorted(set(re.findall(r"^([A-Z][A-Z_]+)[?:]?=", text, re.MULTILINE)) - {"FORGE_TELL"})


def clean_environment(**more: str) -> list[str]:
    """The words that start a program alike for everyone: no variable of the caller's but PATH, umask 022."""
    variables = {"PATH": os.environ.get("PATH", os.defpath), "HOME": "/", "LC_ALL": "C", "TZ": "UTC", **more}
    words = [f"{name}={value}" for name, value in variables.items()]
    return ["env", "-i", *words, "sh", "-c", 'umask 022; exec "$@"', "sh"]


def _make(tree: Tree, words: list[str]) -> proc.Result:
    argv = [*clean_environment(), "make", "-r", "--no-print-directory", f"--directory={tree.package}"]
    po2lmo = shlex.join(["env", f"PYTHONPATH={CHECKOUT}", sys.executable, "-m", "forge.packages.po"])
    return proc.run([*argv, f"TOPDIR={tree.top}", f"PO2LMO={po2lmo}", *words], check=False, timeout=TIMEOUT)


# ---- what make says, for people -------------------------------------------------------------------------------------


def _explain(tree: Tree, makefile: Makefile, output: str) -> Fault:
    """A failure while make reads the Makefile."""
    output = output.replace(f"{tree.package}/", "")
    absent = _NO_INCLUDE.search(output)
    if absent:
        what = absent["what"].replace(str(tree.top), "$(TOPDIR)")
        return Fault(
            makefile.path,
            int(absent["line"]) if absent["file"] == "Makefile" else 0,
            f"the mini-SDK has no {what}",
            "it stands in for rules.mk, package.mk and luci.mk only",
        )
    found = _PARSE_ERROR.search(output)
    if found:
        return Fault(makefile.path, int(found["line"]) if found["file"] == "Makefile" else 0, found["what"])
    last = (output.strip().splitlines() or ["it gives no reason"])[-1]
    return Fault(makefile.path, 0, f"make cannot read it: {last}")


def _explain_recipe(tree: Tree, makefile: Makefile, name: str, output: str) -> list[Fault]:
    """A recipe that failed: make names the line of the eval, so what it could not find is searched for."""
    output = output.replace(f"{tree.package}/", "./")
    blocks = [f"Package/{name}/install", "Build/Prepare", "Build/Compile", "Build/Configure"]
    faults = []
    for word in _ABSENT.findall(output):
        line = makefile.find(rf"(?<!\S){re.escape(word)}(?!\S)", blocks)
        line = line or makefile.find(re.escape(Path(word).name), blocks) or makefile.define(blocks[0])
        faults.append(Fault(makefile.path, line, f"there is no {word}.{cli.near(word, _neighbours(tree, word))}"))
    if faults:
        return faults
    lines = [line for line in output.splitlines() if not line.startswith("make: ***")]
    quoted = "".join(f"\n    | {line}" for line in lines[-8:])
    return [Fault(makefile.path, makefile.define(blocks[0]), f"the recipes of {name} fail:{quoted}")]


def _neighbours(tree: Tree, word: str) -> list[str]:
    """What the package directory has in the folder of a file that is not there, written as the recipe writes it."""
    folder = word.rpartition("/")[0]
    try:
        return [f"{folder}/{path.name}" for path in (tree.package / folder).iterdir()]
    except OSError:
        return [f"./{path.relative_to(tree.package)}" for path in tree.package.rglob("*")]
