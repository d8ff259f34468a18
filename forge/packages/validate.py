"""Whether what a package Makefile says makes sense, before anything is staged: every fault with its line.

OpenWrt's build system takes most of these silently: a misspelt field is just not there, a comma in DEPENDS becomes part
of a name. stage.py calls check(), then takes the values through the functions below it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator

from forge.core import cli
from forge.packages import makefile
from forge.packages.makefile import Definition, Evaluation, Fault
from forge.packages.package import SCRIPTS

# What `define Package/NAME` may set in OpenWrt. IGNORED are of no concern to a finished package; REFUSED would change
# it in ways that the mini-SDK cannot follow.
USED = """ALTERNATIVES CATEGORY CONFLICTS DEFAULT_VARIANT DEPENDS LICENSE LICENSE_FILES MAINTAINER PKGARCH PROVIDES
    SECTION TITLE URL USERID VARIANT""".split()
IGNORED = "BUILDONLY DEFAULT HIDDEN KCONFIG MENU PRIORITY SOURCE SUBMENU SUBMENUDEP VERSION".split()
REFUSED = "ABI_VERSION CONFIGFILE DESCRIPTION EXTRA_DEPENDS FILE_MODES MDEPENDS PKGFLAGS".split()
REQUIRED = "TITLE SECTION CATEGORY".split()

HOOKS = "config conffiles description install postinst postrm preinst prerm".split()
BUILD_STEPS = "Compile Configure InstallDev Install Prepare".split()
COMMON = """PKG_NAME PKG_VERSION PKG_RELEASE PKG_MAINTAINER PKG_LICENSE PKG_LICENSE_FILES PKG_BUILD_DIR
    PKG_BUILD_DEPENDS PKG_CONFIG_DEPENDS PKG_INSTALL_DIR PKG_FLAGS PKG_CPE_ID PKG_SOURCE PKG_SOURCE_URL PKG_HASH
    PKG_PO_VERSION PKG_PROVIDES""".split()

NAME = re.compile(r"[a-z0-9][a-z0-9.+_-]*")
VERSION = re.compile(r"[0-9][0-9A-Za-z.]*(?:_(?:alpha|beta|pre|rc|p|git)[0-9]*)*")  # the form that opkg and apk share
USERID = re.compile(r"[a-z_][a-z0-9_-]*(?:=\d+)?(?::[a-z_][a-z0-9_-]*(?:=\d+)?)?")
ALTERNATIVE = re.compile(r"\d+:/[^:\s]+:/[^:\s]+")


def check(evaluation: Evaluation) -> list[Fault]:
    """All faults of the Makefile as a whole and of each of its packages."""
    faults = [*_common(evaluation), *_names(evaluation), *_undefined(evaluation)]
    for definition in evaluation.packages:
        faults += [*_fields(evaluation, definition), *_texts(evaluation, definition)]
    return faults


# ---- the values -----------------------------------------------------------------------------------------------------


def depends(definition: Definition) -> list[str]:
    """What the package needs, libc first, as OpenWrt adds it; `@` conditions are menuconfig's alone."""
    words = [word.removeprefix("+") for word in definition.fields["DEPENDS"].split() if not word.startswith("@")]
    return ["libc", *(word for word in words if word != "libc")]


def conffiles(definition: Definition) -> list[str]:
    return definition.hooks.get("conffiles", "").split()


def description(definition: Definition) -> str:
    """The text with one space before each line; the title where there is none."""
    text = definition.hooks.get("description") or definition.fields["TITLE"]
    return "\n".join(f" {line.lstrip()}" for line in text.split("\n"))


def scripts(definition: Definition) -> dict[str, str]:
    return {name: f"{definition.hooks[name]}\n" for name in SCRIPTS if definition.hooks.get(name)}


# ---- the checks -----------------------------------------------------------------------------------------------------


def _common(evaluation: Evaluation) -> Iterator[Fault]:
    file, common = evaluation.makefile, evaluation.common
    for name in ("PKG_NAME", "PKG_VERSION", "PKG_RELEASE"):
        if not common[name]:
            yield Fault(file.path, 0, f"{name} is not set")
    if common["PKG_VERSION"] and not VERSION.fullmatch(common["PKG_VERSION"]):
        problem = f"PKG_VERSION {common['PKG_VERSION']!r} is no version that both opkg and apk take"
        yield Fault(file.path, file.assignment("PKG_VERSION"), problem, "write it like 1.0.0 or 1.0.0_rc1")
    if common["PKG_RELEASE"] and not common["PKG_RELEASE"].isdecimal():
        problem = f"PKG_RELEASE {common['PKG_RELEASE']!r} is no whole number"
        yield Fault(file.path, file.assignment("PKG_RELEASE"), problem)
    for name in ("PKG_SOURCE", "PKG_FLAGS", "PKG_CPE_ID"):
        if common[name]:
            yield Fault(file.path, file.assignment(name), f"the mini-SDK cannot follow {name}", "build with the SDK")
    if "Build/Compile" not in evaluation.names:
        problem = "Build/Compile is not defined, so OpenWrt would run make in the sources"
        yield Fault(file.path, 0, problem, "define it, empty if there is nothing to compile")
    if not evaluation.packages:
        yield Fault(file.path, 0, "it builds no package", "end it with $(eval $(call BuildPackage,NAME))")


def _names(evaluation: Evaluation) -> Iterator[Fault]:
    """Defines and PKG_ variables that nothing reads, if something near them would be read."""
    file = evaluation.makefile
    built = [definition.name for definition in evaluation.packages]
    for name in evaluation.names:
        parts = name.split("/")
        if parts[0] == "Package" and len(parts) == 3 and parts[2] in HOOKS and parts[1] not in built:
            problem = f"{name}: no package {parts[1]} is built here.{cli.near(parts[1], built)}"
        elif parts[0] == "Package" and len(parts) == 3 and _misspelt(parts[2], HOOKS):
            problem = f"{name} means nothing.{cli.near(parts[2], HOOKS)}"
        elif parts[0] == "Build" and len(parts) == 2 and _misspelt(parts[1], BUILD_STEPS):
            problem = f"{name} means nothing.{cli.near(parts[1], BUILD_STEPS)}"
        elif len(parts) == 1 and _misspelt(name, COMMON):
            yield Fault(file.path, file.assignment(name), f"{name} means nothing.{cli.near(name, COMMON)}")
            continue
        else:
            continue
        yield Fault(file.path, file.define(name), problem)


def _undefined(evaluation: Evaluation) -> Iterator[Fault]:
    """Variables that are used but set nowhere, if they look like ones that the includes set."""
    file, known = evaluation.makefile, makefile.known_variables()
    for name in evaluation.undefined:
        line = file.find(rf"\$[({{]{re.escape(name)}[)}}]")
        if line and _misspelt(name, known):
            yield Fault(file.path, line, f"$({name}) is not set anywhere.{cli.near(name, known)}")


def _fields(evaluation: Evaluation, definition: Definition) -> Iterator[Fault]:
    file, fields, name = evaluation.makefile, definition.fields, definition.name

    def at(field: str, problem: str, hint: str = "") -> Fault:
        return Fault(file.path, file.assignment(field, name), f"{name}: {problem}", hint)

    known = [*USED, *IGNORED, *REFUSED]
    for field in definition.unknown:
        yield at(field, f"there is no field {field}.{cli.near(field, known)}")
    for field in REFUSED:
        if fields[field]:
            yield at(field, f"the mini-SDK cannot follow {field}", "build with the SDK")
    for field in REQUIRED:
        if not fields[field]:
            yield at(field, f"{field} is missing")
    if not NAME.fullmatch(name):
        yield at("", "a package's name is lower case letters, digits and . + _ -")
    if f"Package/{name}/install" not in evaluation.names:
        yield at("", f"Package/{name}/install is missing")
    if fields["PKGARCH"] != "all":
        yield at(
            "PKGARCH", f"PKGARCH is {fields['PKGARCH'] or 'the CPU'}: the mini-SDK compiles nothing", "set it to all"
        )
    expected = f"{evaluation.common['PKG_VERSION']}-r{evaluation.common['PKG_RELEASE']}"
    if evaluation.common["PKG_RELEASE"] and fields["VERSION"] != expected:
        yield at("VERSION", f"the mini-SDK takes the version from PKG_VERSION and PKG_RELEASE, not {fields['VERSION']}")
    for field, value in fields.items():
        if "\n" in value or any(ord(letter) < 32 and letter != "\t" for letter in value):
            yield at(field, f"{field} has a line break or control character in it")
    yield from _lists(definition, at)


def _lists(definition: Definition, at: Callable[..., Fault]) -> Iterator[Fault]:
    fields = definition.fields
    for field in ("DEPENDS", "CONFLICTS", "PROVIDES", "ALTERNATIVES", "USERID"):
        if "," in fields[field]:
            yield at(field, f"{field} has a comma in it", "put spaces between the words")
    for word in fields["DEPENDS"].split():
        if ":" in word:
            yield at("DEPENDS", f"DEPENDS {word} hangs on the build's configuration, which the mini-SDK has not")
        elif not word.startswith("@") and not NAME.fullmatch(word.removeprefix("+").strip(",")):
            yield at("DEPENDS", f"DEPENDS {word!r} is no package name")
        elif word.removeprefix("+") == definition.name:
            yield at("DEPENDS", f"{definition.name} depends on itself")
    for field in ("CONFLICTS", "PROVIDES"):
        for word in fields[field].split():
            if not NAME.fullmatch(word.removeprefix("@").strip(",")):
                yield at(field, f"{field} {word!r} is no package name")
    for word in fields["USERID"].split():
        if not USERID.fullmatch(word):
            yield at("USERID", f"USERID {word!r} is not understood", "write it like user=473:group=473")
    for word in fields["ALTERNATIVES"].split():
        if not ALTERNATIVE.fullmatch(word):
            problem = f"ALTERNATIVES {word!r} is not understood"
            yield at("ALTERNATIVES", problem, "write it like 150:/usr/sbin/sendmail:/usr/lib/mailrelay/sendmail")


def _texts(evaluation: Evaluation, definition: Definition) -> Iterator[Fault]:
    file, name = evaluation.makefile, definition.name
    for hook, text in scripts(definition).items():
        block = file.block(f"Package/{name}/{hook}")
        if block and not text.startswith("#!"):
            first = min(block[0] + 1, block[-1])
            yield Fault(file.path, first, f"Package/{name}/{hook} has no #! line first", "begin it with #!/bin/sh")
    lists = f"Package/{name}/conffiles"
    for line in definition.hooks.get("conffiles", "").split("\n"):
        if not line.strip():
            continue
        number = file.find(re.escape(line.strip()), [lists]) or file.define(lists)
        if not line.startswith("/"):
            yield Fault(file.path, number, f"{name}: conffile {line!r} does not begin with /")
        elif re.search(r"[\s*?\[\]]", line) or "/../" in f"{line}/":
            yield Fault(file.path, number, f"{name}: conffile {line!r} is no plain path", "write one path a line")


def _misspelt(word: str, names: list[str]) -> bool:
    """Whether the word is none of the names, but so near to one that it must be meant."""
    return word not in names and bool(difflib.get_close_matches(word, names, n=1, cutoff=0.8))
