"""The overlay: what lies in files/ and in the site file becomes files with fixed modes and times, or a clear error."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forge.core import paths
from forge.generate import relay_schema
from forge.site import overlay, site
from forge.site.overlay import OverlayError
from forge.site.site import Site

from .samples import tree_of

TEXT = """
hostname = "plant7"
[root]
password_hash = "$6$salt$%s"
ssh_keys = []
[lan]
address = "192.168.1.1/24"
[smarthost.x]
host = "smtp.example.org"
username = "it's"
password = "a'b\\"c $(reboot) `id` \\\\ ä € {{ x }}"
""" % ("a" * 86)  # fmt: skip


@pytest.fixture
def full(tmp_path: Path) -> Site:
    (tmp_path / "site.toml").write_text(TEXT)
    return site.load(tmp_path / "site.toml")


def contents(folder: Path) -> dict[str, tuple[str, int, object, int]]:
    """Kind, mode, content and time of everything below a folder."""
    return {name: (*found, int((folder / name).lstat().st_mtime)) for name, found in tree_of(folder).items()}


def files(tmp_path: Path, **texts: str) -> Path:
    folder = tmp_path / "files"
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_j2", ".j2")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_site_that_says_nothing_makes_no_file(tmp_path: Path) -> None:
    assert overlay.render(Site(), tmp_path / "out") == []
    assert list((tmp_path / "out").iterdir()) == []


def test_what_may_hold_a_secret_is_closed_to_all_but_root(full: Site, tmp_path: Path) -> None:
    made = overlay.render(full, tmp_path / "out")
    modes = {str(path.relative_to(tmp_path / "out")): path.stat().st_mode & 0o777 for path in made}
    assert modes == {
        "etc/config/mailrelay": 0o600,
        "etc/uci-defaults/50-site": 0o600,
        "lib/upgrade/keep.d/site": 0o644,
    }


def test_the_same_site_gives_the_same_bytes_modes_and_times(full: Site, tmp_path: Path) -> None:
    overlay.render(full, tmp_path / "one")
    before = os.umask(0o077)
    try:
        copy = shutil.copytree(paths.FILES, tmp_path / "files")
        for path in copy.rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)
        overlay.render(full, tmp_path / "two", files=copy)
    finally:
        os.umask(before)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_the_relay_reads_from_its_settings_what_the_site_file_says(full: Site, tmp_path: Path) -> None:
    overlay.render(full, tmp_path / "out")
    data = (tmp_path / "out/etc/config/mailrelay").read_bytes()
    settings, faults, _ = relay_schema.check(data, "config", relay_schema.Machine())
    assert not faults
    (smarthost,) = settings.smarthosts
    assert smarthost.username == "it's"
    assert smarthost.password == "a'b\"c $(reboot) `id` \\ ä € {{ x }}"


def test_files_of_the_owner_go_in_as_they_are(full: Site, tmp_path: Path) -> None:
    folder = files(tmp_path, etc__banner="{{ not a template }}\n", usr__bin__tool="#!/bin/sh\n", etc__config__x="a\n")
    (folder / "etc/link").symlink_to("../tmp/there")
    (folder / "etc/.gitignore").write_text("")
    overlay.render(full, tmp_path / "out", files=folder)
    assert (tmp_path / "out/etc/banner").read_text() == "{{ not a template }}\n"
    modes = {name: mode & 0o777 for name, (_, mode, _) in tree_of(tmp_path / "out").items()}
    assert modes["usr/bin/tool"] == 0o755 and modes["etc/banner"] == 0o644 and modes["etc/config/x"] == 0o600
    assert (tmp_path / "out/etc/link").readlink() == Path("../tmp/there")
    assert ".gitignore" not in str(list((tmp_path / "out").rglob("*")))


def test_a_template_gets_the_site_and_the_owners_own_values(tmp_path: Path) -> None:
    folder = files(tmp_path, etc__motd_j2="{{ site.hostname | line }} in {{ vars.building | line }}\n")
    overlay.render(Site(hostname="plant7", vars={"building": "B7"}), tmp_path / "out", files=folder)
    assert (tmp_path / "out/etc/motd").read_text() == "plant7 in B7\n"


@pytest.mark.parametrize(
    "text, words",
    [
        ("\n\n{{ vars.nothing | sh }}\n", [":3: ", "nothing", "[vars]"]),
        ("\n{{ site.nothing | sh }}\n", [":2: ", "nothing"]),
        ("\n{% if %}\n", [":2: ", "is not a template"]),
        ("{{ x | nofilter }}\n", [":1: ", "nofilter"]),
        ("\n{{ site.hostname }}\n", [":2: ", "write {{ value | sh }}"]),
        ("a\n{{ 'a b' | name }}\n", [":2: ", "not the name of a section or option"]),
        ("{{ 'a\\nb' | sh }}\n", [":1: ", "line break"]),
    ],
)
def test_a_template_that_cannot_be_rendered_is_told_with_its_line(tmp_path: Path, text: str, words: list[str]) -> None:
    folder = files(tmp_path, etc__x_j2=text)
    with pytest.raises(OverlayError) as caught:
        overlay.render(Site(hostname="a"), tmp_path / "out", files=folder)
    for word in [f"{folder}/etc/x.j2", *words]:
        assert word in str(caught.value)


def test_two_sources_of_one_file_are_refused(tmp_path: Path) -> None:
    folder = files(tmp_path, etc__x="1", etc__x_j2="2")
    with pytest.raises(OverlayError, match=r"has both etc/x and etc/x\.j2"):
        overlay.render(Site(), tmp_path / "out", files=folder)


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    with pytest.raises(OverlayError, match="is not empty"):
        overlay.render(Site(), tmp_path)


_line = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20)


@given(_line)
def test_a_value_stays_one_word_of_the_shell_and_one_of_uci(value: str) -> None:
    assert shlex.split(overlay.FILTERS["sh"](value)) == [value]
    uci = overlay.FILTERS["uci"](value)
    (section,) = relay_schema.uci.parse(f"config x 'y'\n\toption z {uci}\n".encode())
    assert section.options.get("z", "") == value


def test_the_rendered_script_passes_the_shells_linter(full: Site, tmp_path: Path) -> None:
    made = overlay.render(full, tmp_path / "out")
    (script,) = (path for path in made if path.name == "50-site")
    # A hash has dollars in it, which are meant as they are.
    done = subprocess.run(["shellcheck", "-e", "SC2016", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
