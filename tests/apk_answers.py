"""What the real apk answered, from tests/data/apk-answers.txt, for those who ask again: tests/package the stand-in on
this machine, tests/lab a booted guest. The package that it was asked for is made as it was then.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec

from forge.packages import apk, keys, stage
from tests.support.router import Router

DATA = Path(__file__).resolve().parent / "data"
FEED = "http://feed.example.net:8000/apk"
LOG = "# what the scripts wrote"
# Sizes, counts, checksums and dates differ from router to router; a service that was told to end may take a moment.
PARTICULAR = (
    (r"OK: \d+ KiB in \d+ packages", "OK: SIZE in N packages"),
    (r"OK: \d+ distinct", "OK: N distinct"),
    (r"><Q1[A-Za-z0-9+/]{27}=", "><Q1…"),
    (r"compiled for \w+", "compiled for CPU"),
    (r"\b[A-Z][a-z]{2} +\d+ +\d\d:\d\d\b", "DATE"),
    (r"(?m)^[a-z0-9-]+(?=><Q1…$)", "NAME"),
    (r"(?m)^(prerm .* service=)[01]$", r"\1N"),
)


# Debian's busybox has none. The records ask for the probe's service, by its whole command.
PGREP = """\
#!/bin/sh
for process in /proc/[0-9]*; do
	[ "$(tr '\\0' ' ' 2>/dev/null <"$process/cmdline")" != "/bin/$2 " ] || echo "${process#/proc/}"
done
"""


class Answer(NamedTuple):
    command: str  # LOG for what the package's scripts have written since the last command of apk's
    output: str
    status: int


def records() -> list[Answer]:
    """As far as they are of apk: behind them stands what the router's network looked like."""
    text = (DATA / "apk-answers.txt").read_text().partition("$ uci show network.lan")[0]
    found = []
    for one in re.split(rf"(?m)^(?=\$ |{LOG}$)", text)[1:]:
        head, _, body = one.partition("\n")
        body = re.sub(r"(?m)^# .*\n", "", body)  # what the next ones are about
        status = re.search(r"(?m)^\[status (\d+)\]\n", body)
        output = body.replace(status[0], "") if status else body
        found.append(Answer(head.removeprefix("$ "), output, int(status[1]) if status else 0))
    return found


def plain(text: str) -> str:
    for pattern, instead in PARTICULAR:
        text = re.sub(pattern, instead, text)
    return text.strip()


def probe(folder: Path, release: int) -> Path:
    """The package of the records, and its second release."""
    place = folder / f"probe-{release}"
    shutil.copytree(DATA / "apk-probe", place)
    (place / "Makefile.probe").rename(place / "Makefile")
    for name, before in (("Makefile", "PKG_RELEASE:=1"), ("probe.conf", "value '1'"), ("tool", "tool 1")):
        text = (place / name).read_text()
        assert before in text
        (place / name).write_text(text.replace(before, before.replace("1", str(release))))
    with stage.staged(place, epoch=1_700_000_000, source="feeds/mailrelay/package/probe") as packages:
        [made] = apk.pack(packages[0], folder)
    return made


def trust(router: Router, key: ec.EllipticCurvePrivateKey) -> None:
    router.put("/etc/apk/keys/mailrelay.pem", keys.apk_public_text(key.public_key()).decode())


def feed(router: Router, key: ec.EllipticCurvePrivateKey, *packages: Path) -> None:
    """Have the router know of a feed of these packages, signed with that key."""
    index = packages[0].with_name("packages.adb")
    index.write_bytes(apk.index(packages, key))
    router.upload([*packages, index])
    router.ok(f"cd /tmp && mv {index.name} /mnt && cp {' '.join(one.name for one in packages)} /mnt")
    router.put("/etc/apk/repositories.d/customfeeds.list", f"/mnt/{index.name}\n")


def differences(router: Router, folder: Path) -> tuple[int, list[str]]:
    """Asks everything again, in its order; how much was asked, and what was answered otherwise."""
    router.put("/usr/bin/pgrep", PGREP, 0o755)
    key = ec.generate_private_key(ec.SECP256R1())
    packages = [probe(folder, 1), probe(folder, 2)]
    trust(router, key)
    feed(router, key, packages[0])
    router.upload(packages)
    found = []
    for command, output, status in records():
        if command == LOG:
            said, code = router.run("cat /tmp/probe.log 2>/dev/null; rm -f /tmp/probe.log").output, 0
        else:
            if command.startswith(("apk add", "apk del")):
                router.run("rm -f /tmp/probe.log")
            done = router.run("sh", "-s", input=f"{{ {command}\n}} 2>&1")
            said, code = done.output.replace("[/mnt/", f"[{FEED}/"), done.status
        if (plain(said), code) != (plain(output), status):
            found.append(f"$ {command}\n{said}[status {code}]\nrecorded:\n{output}[status {status}]")
    return len(records()), found
