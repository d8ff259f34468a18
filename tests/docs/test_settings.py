"""The settings and site files that the documentation shows are taken without a fault; faults read as it shows them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import tasks  # noqa: F401 - declares them
from forge.core import paths
from forge.core.errors import ForgeError
from forge.openwrt import catalog
from forge.site import site
from tests.docs import pages, places

MAIN = "config mailrelay 'main'\n\tlist network 'lan'\n"
SMARTHOST = "config smarthost 'provider'\n\toption host 'smtp.example.org'\n"


def of_kind(kind: str) -> list[pages.Block]:
    return [one for one in pages.blocks() if one.kind == kind and places.block_place(one) == "test_settings.py"]


def check(text: str, folder: Path) -> tuple[int, str]:
    file = folder / "settings"
    file.write_text(text)
    file.chmod(0o600)
    argv = [sys.executable, "-I", "-S", str(paths.RELAY), "check", "--config", str(file)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    return done.returncode, (done.stdout + done.stderr).replace(str(file), "/etc/config/mailrelay")


@pytest.mark.parametrize("block", of_kind("settings"), ids=str)
def test_settings_have_no_fault(block: pages.Block, tmp_path: Path) -> None:
    text = block.text
    text = text if "config mailrelay" in text else f"{MAIN}\n{text}"
    text = text if "config smarthost" in text else f"{text}\n{SMARTHOST}"
    status, output = check(text, tmp_path)
    assert status == 0, output


def test_a_fault_of_the_settings_reads_as_it_is_shown(tmp_path: Path) -> None:
    (shown,) = [line.text for line in places.of("test_settings.py") if line.text.startswith("/etc/config/")]
    text = f"{MAIN}\n\n\n\nconfig smarthost 'gmail'\n\toption host 'x.example'\n\toption tls 'ssl'\n"
    _, output = check(text, tmp_path)
    assert shown.split("...")[0].strip() in output


@pytest.mark.parametrize("block", of_kind("toml"), ids=str)
def test_site_files_have_no_fault(block: pages.Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "secret")
    (tmp_path / "provider-password").write_text("secret\n")
    head = '[smarthost.provider]\nhost = "smtp.example.org"\nusername = "plc"\n'
    whole = [block.text] if block.first.text.startswith("[") else [f"{head}{line.text}" for line in block.lines]
    for text in whole:
        file = tmp_path / "site.toml"
        file.write_text(text)
        site.load(file)


def test_faults_of_a_site_file_read_as_they_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = [line.text for line in places.of("test_settings.py") if "plant7.toml" in line.text]
    monkeypatch.chdir(tmp_path)
    text = '# plant7\nhostname = "plant7"\ntimezone = "Berlin"\n\n\n\n\n[root]\npassword_hash = "secret"\n'
    Path("plant7.toml").write_text(text)
    with pytest.raises(ForgeError) as error:
        site.load(Path("plant7.toml"))
    said = re.sub(r"\s+", " ", str(error.value))
    for line in shown:
        assert re.sub(r"\s+", " ", line.strip()) in said


def test_the_image_that_is_named_is_of_the_current_release() -> None:
    (shown,) = [line.text for line in places.of("test_settings.py") if line.text.startswith("dist/images/")]
    number, profile, name = catalog.version(catalog.stable().series).number, "glinet_gl-mt1300", "my-site"
    start = f"dist/images/{number}/{profile}/{name}/openwrt-{number}-{name}-ramips-mt7621-{profile}-"
    assert shown.startswith(start)
