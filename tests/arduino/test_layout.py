"""The library is laid out as the Arduino IDE and its library manager want it: the rules of Arduino's own linter, as far
as they can be checked without its network services (https://arduino.github.io/arduino-lint/latest/rules/library/)."""

from __future__ import annotations

import re

from forge.checks import arduino
from forge.core import paths

LIBRARY = arduino.LIBRARY
REQUIRED = ("name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures")
OPTIONAL = ("depends", "dot_a_linkage", "includes", "precompiled", "ldflags", "license")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
HEADER = (LIBRARY / "src" / "MailRelay.h").read_text()


def properties() -> dict[str, str]:
    lines = (LIBRARY / "library.properties").read_text().splitlines()
    pairs = [line.split("=", 1) for line in lines]
    assert len({key for key, _ in pairs}) == len(pairs), "a field is there twice"
    return {pair[0]: pair[1] for pair in pairs}


def test_library_properties_has_what_it_must_and_nothing_else() -> None:
    found = properties()
    assert [field for field in REQUIRED if not found.get(field)] == []
    assert set(found) - {*REQUIRED, *OPTIONAL} == set()
    assert all(value == value.strip() for value in found.values())
    name = found["name"]
    assert NAME.fullmatch(name) and len(name) <= 16
    assert LIBRARY.name == name
    assert not re.search("arduino|library", name, re.IGNORECASE)
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["version"])
    assert found["category"] == "Communication", "one of those that the library manager knows"
    assert re.fullmatch(r"https?://[^/ ]+\.[^ ]+", found["url"])
    assert found["architectures"] == "*"
    assert not found["paragraph"].startswith(found["sentence"]), "they are shown one after the other"
    assert found["sentence"].endswith(".")
    assert not re.search("arduino", found["author"] + found["maintainer"], re.IGNORECASE)
    assert found["license"] == "Apache-2.0"
    assert all((LIBRARY / "src" / header).is_file() for header in found["includes"].split(","))


def test_its_license_is_the_projects() -> None:
    assert (LIBRARY / "LICENSE").read_bytes() == (paths.ROOT / "LICENSE").read_bytes()


def test_it_has_the_folders_and_files_that_a_library_may_have() -> None:
    assert {path.name for path in LIBRARY.iterdir()} == {
        "LICENSE",
        "README.md",
        "examples",
        "keywords.txt",
        "library.properties",
        "src",
    }
    found = list(LIBRARY.rglob("*"))
    assert not [path for path in found if path.is_symlink() or path.name.startswith(".")]
    assert {path.suffix for path in found if path.is_file()} <= {".cpp", ".h", ".ino", ".md", ".txt", ".properties", ""}


def test_every_sketch_lies_in_a_folder_of_its_name() -> None:
    sketches = arduino.sketches()
    assert [path.stem for path in sketches] == ["ControllinoAlarm", "OneFunction"]
    for path in sketches:
        assert path.parent.name == path.stem
        assert NAME.fullmatch(path.stem)
        assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_keywords_are_separated_by_tabs_and_name_the_whole_interface() -> None:
    lines = (LIBRARY / "keywords.txt").read_text().splitlines()
    rows = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"\w+\t(KEYWORD1|KEYWORD2|LITERAL1)", row) for row in rows)
    named = [row.split("\t")[0] for row in rows]
    assert len(set(named)) == len(named)
    public = HEADER[HEADER.index("class MailRelay") : HEADER.index(" private:\n  enum Step")]
    public = re.sub(r"//.*", "", public)
    functions = set(re.findall(r"\b([a-z]\w+)\(", public)) - {"idle", "write", "override"}
    results = set(re.findall(r"\b([A-Z]\w+)\b(?=,?\s*$)", public, re.MULTILINE)) - {"Result"}
    assert {"MailRelay", "MailText"} | functions | results == set(named)


def test_it_uses_neither_heap_nor_string_nor_delay() -> None:
    for path in (LIBRARY / "src").iterdir():
        code = re.sub(r"//.*|\"[^\"\n]*\"", "", path.read_text())
        assert not re.findall(r"\b(?:new|malloc|calloc|realloc|free|String|delay|sprintf|std::)\b", code), path.name
