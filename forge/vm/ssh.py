"""SSH to a guest or a router: one shared connection, a throwaway key, and nothing left in anybody's known_hosts.

Everything goes through a config file of its own, which testinfra takes as well (`config`). Files are copied by tar, as
routers have no sftp. The shared connection does not notice that its guest is gone: close() before a kill or a restore.
"""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from forge.core import paths, proc
from forge.core.errors import CommandError, ForgeError, MissingError
from forge.core.timeouts import factor

NAME = "guest"  # what the host is called in the config file
ALIVE_INTERVAL, ALIVE_COUNT = 5, 6  # seconds between questions, and how many may go unanswered
CONNECT_SECONDS = 15.0
RUN_SECONDS = 120.0


class SshError(ForgeError):
    """The host cannot be reached, or does not let us in."""


def key() -> Path:
    """A private key made once on this machine, for guests alone; its public half lies beside it, with .pub."""
    from filelock import FileLock

    folder = paths.cache("ssh")
    folder.chmod(0o700)
    path = folder / "id_ed25519"
    with FileLock(folder / ".lock"):
        if not (path.exists() and path.with_suffix(".pub").exists()):
            path.unlink(missing_ok=True)
            proc.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "mailrelay-lab", "-f", path], timeout=60)
    return path


def public_key() -> str:
    """For a site file's ssh_keys."""
    return key().with_suffix(".pub").read_text().strip()


class Ssh:
    """A way into one host. `folder` takes the config file and the shared connection's socket: keep its path short."""

    def __init__(self, host: str, port: int = 22, *, user: str = "root", folder: Path | None = None) -> None:
        self.host, self.port, self.user = host, port, user
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="mailrelay-ssh-")
        self.folder = folder or Path(self._temporary.name if self._temporary else "")
        self.config = self.folder / "ssh_config"
        self.config.write_text(self._config())
        self.config.chmod(0o600)

    def _config(self) -> str:
        control = self.folder / "control"
        if len(str(control)) > 85:  # ssh adds a random ending while it connects; sockets have at most 107 bytes
            raise SshError(f"{self.folder} is too long a path for a socket", hint="set TMPDIR to a shorter one")
        options = {
            "HostName": self.host,
            "Port": self.port,
            "User": self.user,
            "IdentityFile": f'"{key()}"',
            "BatchMode": "yes",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "GlobalKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
            "ControlPath": f'"{control}"',
            "ControlMaster": "no",
            "ConnectTimeout": round(CONNECT_SECONDS * factor()),
            "ServerAliveInterval": ALIVE_INTERVAL,
            "ServerAliveCountMax": ALIVE_COUNT,
        }
        return f"Host {NAME}\n" + "".join(f"  {name} {value}\n" for name, value in options.items())

    @property
    def argv(self) -> list[str]:
        """`ssh` up to the remote command."""
        return ["ssh", "-F", str(self.config), NAME]

    @property
    def testinfra(self) -> str:
        """The same host for testinfra.get_host."""
        return f"ssh://{NAME}?ssh_config={self.config}&controlpersist=0"

    def connect(self) -> None:
        """Open the shared connection, unless it is there."""
        if self._control("check"):
            return
        # The connection lives in the background, and would hold a pipe of ours open: it gets a file instead.
        log = self.folder / "ssh.log"
        with log.open("wb") as file:
            argv = ["ssh", "-F", str(self.config), "-o", "ControlMaster=yes", "-N", "-f", NAME]
            try:
                status = subprocess.run(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    timeout=2 * CONNECT_SECONDS * factor(),
                    start_new_session=True,
                ).returncode
            except FileNotFoundError:
                hint = "apt-get install --no-install-recommends openssh-client"
                raise MissingError("ssh is not on this machine", hint=hint) from None
            except subprocess.TimeoutExpired:
                status = 255
        if status != 0:
            said = log.read_text(errors="replace").strip().splitlines()
            raise SshError(
                f"no SSH to {self.user}@{self.host} port {self.port}: {said[-1] if said else 'no answer'}",
                hint="root must let this key in, or have no password yet: " + str(key().with_suffix(".pub")),
            )

    def close(self) -> None:
        """End the shared connection; whether the host is still there does not matter."""
        if (self.folder / "control").exists():
            self._control("exit")
            with contextlib.suppress(FileNotFoundError):
                (self.folder / "control").unlink()

    def _control(self, what: str) -> bool:
        if not (self.folder / "control").exists():
            return False
        argv = ["ssh", "-F", str(self.config), "-O", what, NAME]
        return proc.run(argv, check=False, timeout=CONNECT_SECONDS * factor()).status == 0

    def run(
        self, command: str, *, check: bool = True, input: str | None = None, timeout: float = RUN_SECONDS
    ) -> proc.Result:
        """A command line for the host's shell; what it printed. CommandError tells it, without the client's options."""
        self.connect()
        result = proc.run([*self.argv, command], check=False, input=input, timeout=timeout * factor())
        if check and result.status != 0:
            what = "the connection broke" if result.status == 255 else f"status {result.status}"
            lines = "".join(f"\n  | {line}" for line in result.output.rstrip().splitlines()[-proc.TAIL :])
            raise CommandError(f"{what} on {self.host}: {command}{lines}", status=result.status, output=result.output)
        return result

    def put(self, files: Sequence[Path], folder: str = "/tmp") -> None:
        """Copy files and folders into a folder of the host, modes kept."""
        self.connect()
        # Each by its name alone: where it lay here means nothing there.
        members = [word for file in files for word in ("-C", str(file.absolute().parent), file.name)]
        self._pipe(
            ["tar", "-c", "--owner=0", "--group=0", "--numeric-owner", "--format=ustar", "-f", "-", *members],
            [*self.argv, f"mkdir -p {shlex.quote(folder)} && tar -x -f - -C {shlex.quote(folder)}"],
        )

    def get(self, path: str, folder: Path) -> Path:
        """Copy a file or folder of the host into a folder here; where it is then."""
        self.connect()
        parent, _, name = path.rstrip("/").rpartition("/")
        remote = f"tar -c -f - -C {shlex.quote(parent or '/')} {shlex.quote(name)}"
        folder.mkdir(parents=True, exist_ok=True)
        self._pipe([*self.argv, remote], ["tar", "-x", "-f", "-", "--no-same-owner", "-C", str(folder)])
        return folder / name

    def _pipe(self, source: list[str], target: list[str]) -> None:
        with tempfile.TemporaryFile() as archive, tempfile.TemporaryFile() as errors:
            run = partial(subprocess.run, stderr=errors, timeout=RUN_SECONDS * factor())
            try:
                status = run(source, stdin=subprocess.DEVNULL, stdout=archive).returncode
                archive.seek(0)
                status = status or run(target, stdin=archive, stdout=errors).returncode
            except subprocess.TimeoutExpired:
                raise SshError(f"copying to or from {self.host} takes too long") from None
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip()
        if status != 0:
            raise SshError(f"copying to or from {self.host} failed: {said or status}")
