"""The systemd unit of the .deb, as systemd itself judges it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from forge.core import paths
from forge.core.errors import ForgeError
from forge.host import debian_packages, host
from tests.deb.machine import UNIT

TREE = paths.PACKAGES / "mailrelay" / "debian" / "mailrelay"
EXPOSURE = 20  # tenths, as --threshold counts: it has to be below


@pytest.fixture(scope="module")
def analyze(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """systemd-analyze: the machine's, or Debian's, unpacked and not installed."""
    if found := host.command("systemd-analyze"):
        return [str(found)]
    try:
        folder = debian_packages.unpack(("systemd",))
    except ForgeError as error:
        pytest.skip(f"there is no systemd-analyze here, and {error.message}")
    libraries = {str(path.parent) for path in folder.rglob("*.so*")}
    units = next(path for path in folder.rglob("sysinit.target")).parent
    return [
        "env",
        f"LD_LIBRARY_PATH={os.pathsep.join(sorted(libraries))}",
        f"SYSTEMD_UNIT_PATH={units}:",
        str(next(folder.rglob("bin/systemd-analyze"))),
    ]


def run(analyze: list[str], *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*analyze, "--no-pager", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60
    )


def test_systemd_has_nothing_to_say_against_the_unit(analyze: list[str]) -> None:
    done = run(analyze, "verify", "--man=no", "--recursive-errors=no", TREE / UNIT)
    assert (done.returncode, done.stdout) == (0, "")


def test_its_exposure_is_below_2(analyze: list[str], tmp_path: Path) -> None:
    done = run(analyze, "security", "--offline=true", f"--threshold={EXPOSURE - 1}", TREE / UNIT)
    print(done.stdout)
    assert done.returncode == 0
    # The same measure on a unit without the one line that matters most.
    weaker = tmp_path / "mailrelay.service"
    weaker.write_text(re.sub(r"^CapabilityBoundingSet=.*\n", "", (TREE / UNIT).read_text(), flags=re.MULTILINE))
    assert run(analyze, "security", "--offline=true", f"--threshold={EXPOSURE - 1}", weaker).returncode != 0


def test_only_the_relays_own_folders_can_be_written_to() -> None:
    unit = (TREE / UNIT).read_text()
    assert re.findall(r"^ReadWritePaths=(.*)$", unit, re.MULTILINE) == ["/run/mailrelay /var/lib/mailrelay"]
    assert "RuntimeDirectory" not in unit and "StateDirectory" not in unit, "these would belong to User="
