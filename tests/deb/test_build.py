"""`./inv build --format deb` and `./inv inspect` on what it made."""

from __future__ import annotations

from pathlib import Path

import pytest

from forge.core import paths
from forge.core.errors import ForgeError
from forge.packages import minisdk


@pytest.fixture
def dist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "DIST", tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")  # where a shallow clone does not know the commit
    return tmp_path


def test_the_packages_are_made_and_the_next_command_is_named(dist: Path, capsys: pytest.CaptureFixture[str]) -> None:
    built = minisdk.run(format="deb")
    names = ["mailrelay_1.0.0-1_all.deb", "mailrelay-mta_1.0.0-1_all.deb"]
    assert sorted(path.name for path in dist.iterdir()) == sorted(names)
    assert sorted(one.path.name for one in built) == sorted(names)
    said = capsys.readouterr().out
    assert all(f"apt install ./{name}" in said for name in names)

    minisdk.inspect(str(dist / names[0]))
    said = capsys.readouterr().out
    assert "Depends" in said and "python3:any (>= 3.10)" in said
    assert "/usr/lib/systemd/system/mailrelay.service" in said
    assert "deb-systemd-helper" in said, "its scripts are shown"


def test_there_is_no_deb_of_a_package_for_routers(dist: Path) -> None:
    with pytest.raises(ForgeError, match=r"no \.deb of mailrelay-postfix"):
        minisdk.run(package="mailrelay-postfix", format="deb")


def test_a_broken_file_is_called_one(dist: Path) -> None:
    broken = dist / "broken.deb"
    broken.write_bytes(b"!<arch>\n" + b"x" * 100)
    with pytest.raises(ForgeError, match=r"broken\.deb"):
        minisdk.inspect(str(broken))
