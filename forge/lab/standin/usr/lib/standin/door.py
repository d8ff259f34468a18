"""Where the small programs (usr/lib/standin/ask, under their many names) come in, and how they get their answers.

A program leaves its words and its standard input in a file, makes a FIFO for the answer and writes its number into
the FIFO `door`. The answer is one line with the exit status and the stream, then the text. Who asks is told by the
file's owner.
"""

from __future__ import annotations

import os
import stat

import loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

BOX = "/var/run/ubus"


class Writer:
    """Writes to a descriptor without waiting, and closes it once all is written or nobody reads any more."""

    def __init__(self, descriptor: int) -> None:
        self.open = True
        self._descriptor = descriptor
        self._unsent = b""

    def send(self, data: bytes) -> None:
        self._unsent += data
        self._flush()

    def close(self) -> None:
        self.open = False
        self._flush()

    def _flush(self) -> None:
        if self._descriptor < 0:
            return
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._descriptor, self._unsent[:4096]) :]
        except BlockingIOError:
            loop.watch_writable(self._descriptor, self._flush)
            return
        except OSError:  # nobody reads any more
            self.open, self._unsent = False, b""
        loop.forget_writable(self._descriptor)
        if not self.open:
            loop.forget(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


class Call(Writer):
    """One run of a program: `words` begin with its name; `input` is its standard input if it reads that."""

    def __init__(self, words: list[str], input: str, uid: int, answer: int) -> None:
        super().__init__(answer)
        self.words = words
        self.input = input
        self.uid = uid

    def done(self, status: int = 0, text: str = "", *, error: bool = False) -> None:
        """The whole answer: what goes to standard output, or to standard error."""
        if self.open:
            self.begin(status, error=error, empty=not text)
            self.say(text)
            self.close()

    def begin(self, status: int = 0, *, error: bool = False, empty: bool = False) -> None:
        """The first part of an answer of which more is to come, for programs that follow something."""
        self.say(f"{status} {'-' if empty else 'err' if error else 'out'}\n")

    def say(self, text: str) -> None:
        self.send(text.encode("utf-8", "surrogateescape"))


class Door:
    def __init__(self, programs: dict[str, Callable[[Call], None]]) -> None:
        """`programs` answer, now or later, to calls of their names."""
        self.programs = programs
        self.rest = b""
        os.makedirs(BOX, exist_ok=True)
        os.chmod(BOX, 0o1777)
        path = f"{BOX}/door"
        if os.path.exists(path):
            os.unlink(path)
        os.mkfifo(path)
        os.chmod(path, 0o622)
        self.descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        loop.watch(self.descriptor, self.ring)

    def ring(self) -> None:
        *lines, self.rest = (self.rest + os.read(self.descriptor, 4096)).split(b"\n")
        for line in lines:
            call = self.fetch(line) if line.replace(b"-", b"").isalnum() else None
            if call is not None:
                self.serve(call)

    def fetch(self, number: bytes) -> Call | None:
        """Both files' names are taken away at once: those who have them open need them no longer."""
        asked, answer = f"{BOX}/{number.decode()}.ask", f"{BOX}/{number.decode()}.answer"
        try:
            with open(os.open(asked, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                uid = os.fstat(file.fileno()).st_uid
                count, _, rest = file.read().partition(b"\0")
            os.unlink(asked)
            way = os.open(answer, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            os.unlink(answer)
        except OSError:
            return None
        if not stat.S_ISFIFO(os.fstat(way).st_mode):
            os.close(way)
            return None
        *words, text = rest.split(b"\0", max(1, int(count or 1)))
        return Call([_text(word) for word in words], _text(text), uid, way)

    def serve(self, call: Call) -> None:
        name = call.words[0].rpartition("/")[2]
        program = self.programs.get(name)
        if program is None:
            call.done(127, f"the stand-in for OpenWrt has no {name}\n", error=True)
            return
        try:
            program(call)
        except Exception as error:  # a fault of one program must not take the router down
            import traceback

            traceback.print_exc()
            call.done(255, f"{name}: the stand-in failed: {type(error).__name__}: {error}\n", error=True)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
