"""Renders files/ and a Site into the folder that firmware is built with: the lab's and the ImageBuilder's `FILES`.

A file goes in as it is, `NAME.j2` as what Jinja2 makes of it, without the ending; a template that renders to nothing
makes no file. Modes and times are set here, so that the checkout's and the umask mean nothing.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forge.core import paths
from forge.core.errors import ForgeError
from forge.core.uci_text import quoted
from forge.site.site import Site

SUFFIX = ".j2"
TIME = 1735689600  # 2025-01-01: a router's clock starts with the newest date in /etc, so it lies in the past
# What may hold a secret is closed to all but root; OpenWrt's own services read their settings as root.
PRIVATE = (
    "etc/config/",
    "etc/uci-defaults/",
    "etc/dropbear/",
    "etc/shadow",
    "etc/ssl/private/",
    "etc/wireguard/",
    "root/",
)
PRIVATE_FOLDERS = ("etc/dropbear", "etc/ssl/private", "etc/wireguard", "root")
IGNORED = {".gitignore", ".gitkeep", ".DS_Store"}


class OverlayError(ForgeError):
    """A file of the overlay cannot be rendered or does not fit."""


class _Safe(str):
    """Text that a filter has made fit for the place where it goes."""


def render(site: Site, into: Path, *, files: Path | None = None) -> list[Path]:
    """Write the overlay to the folder `into`, which is empty or not there yet; return the files, sorted.

    `files` is the folder to render, files/ of the checkout by default.
    """
    files = files or paths.FILES
    if into.exists() and any(into.iterdir()):
        raise OverlayError(f"{into} is not empty", hint="name a folder that is, or that does not exist yet")
    into.mkdir(parents=True, exist_ok=True)
    environment = _environment(files)
    made: dict[str, Path] = {}
    for source in sorted(_sources(files), key=os.fsencode):
        template = source.endswith(SUFFIX)
        name = source.removesuffix(SUFFIX) if template else source
        if name in made:
            raise OverlayError(f"{files} has both {name} and {name}{SUFFIX}", hint="remove one of the two")
        if (files / source).is_symlink():
            made[name] = _place(into, name)
            made[name].symlink_to((files / source).readlink())
            continue
        data = _render(environment, files, source, site) if template else (files / source).read_bytes()
        if template and not data.strip():
            continue
        made[name] = _place(into, name)
        made[name].write_bytes(data)
        made[name].chmod(_mode(name, data, (files / source).stat().st_mode))
    _finish(into)
    return sorted(made.values())


def _sources(files: Path) -> list[str]:
    found = []
    for folder, folders, names in os.walk(files):
        folders.sort()
        inside = [*names, *(name for name in folders if Path(folder, name).is_symlink())]
        found += [str(Path(folder, name).relative_to(files)) for name in inside if name not in IGNORED]
    return found


def _place(into: Path, name: str) -> Path:
    place = into / name
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _mode(name: str, data: bytes, given: int) -> int:
    if name.startswith(PRIVATE):
        return 0o600
    return 0o755 if given & 0o100 or data.startswith(b"#!") else 0o644


def _finish(into: Path) -> None:
    """Set modes of folders, and every time; the deepest first, as each change in a folder would change its time."""
    for folder, folders, names in os.walk(into, topdown=False):
        for name in [*folders, *names]:
            os.utime(Path(folder, name), (TIME, TIME), follow_symlinks=False)
        Path(folder).chmod(0o700 if os.path.relpath(folder, into).startswith(PRIVATE_FOLDERS) else 0o755)
    os.utime(into, (TIME, TIME))


# ---- templates ------------------------------------------------------------------------------------------------------


def _environment(files: Path) -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(files),
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters |= FILTERS
    return environment


def _render(environment: Any, files: Path, source: str, site: Site) -> bytes:
    import jinja2

    try:
        return str(environment.get_template(source).render(site=site, vars=site.vars)).encode()
    except jinja2.TemplateSyntaxError as error:
        where = f"{files / (error.filename or source)}".replace(f"{files}/{files}", f"{files}")
        raise OverlayError(f"{where}:{error.lineno}: is not a template: {error.message}") from None
    except jinja2.UndefinedError as error:
        hint = f"values for templates of your own go into [vars] of the site file ({site.source or 'there is none'})"
        raise OverlayError(f"{files / source}:{_line_of(error)}: {error.message}", hint=hint) from None
    except (jinja2.TemplateError, _Unfit) as error:
        raise OverlayError(f"{files / source}:{_line_of(error)}: {error}") from None
    except UnicodeDecodeError as error:
        raise OverlayError(f"{files / source}: is not UTF-8 text: {error.reason}") from None


def _line_of(error: BaseException) -> int:
    """Return the template's line: the innermost frame that is not Python's or ours."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.endswith(SUFFIX):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


class _Unfit(ValueError):
    """A value that cannot stand where the template puts it."""


def _finalize(value: Any) -> Any:
    import jinja2

    if isinstance(value, (_Safe, jinja2.Undefined)):
        return value
    raise _Unfit("a value is put into the file as it is; write {{ value | sh }}, | uci, | line or | verbatim")


def _text(value: Any) -> str:
    """Return a value as one line of text; true and false as UCI writes them. An undefined one complains by itself."""
    text = str(int(value)) if isinstance(value, bool) else str(value)
    if any(ord(c) < 32 or c in "\x7f\x85\u2028\u2029" for c in text):
        raise _Unfit("a value holds a line break or a control character")
    return text


def _name(value: Any) -> _Safe:
    """Write the name of a UCI section or option, as it is."""
    if not re.fullmatch("[A-Za-z0-9_]+", str(value)):
        raise _Unfit(f"{value!r} is not the name of a section or option")
    return _Safe(value)


FILTERS: dict[str, Callable[[Any], _Safe]] = {
    "sh": lambda value: _Safe(shlex.quote(_text(value))),  # one word for a shell
    "uci": lambda value: _Safe(quoted(_text(value))),  # one value for a file in /etc/config, with its quotes
    "line": lambda value: _Safe(_text(value)),  # one line of a plain file
    "name": _name,
    "verbatim": _Safe,  # text of any kind, as it is: the template's author answers for it
}
