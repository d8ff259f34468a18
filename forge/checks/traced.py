"""Runs the relay and notes which of its lines are reached: python3 -I -S traced.py FOLDER SOURCE ARGUMENTS…

A line is written down when it is first reached, through a descriptor that forked roles share: what ends by os._exit or
kill -9 counts as well, and who has given up rights needs none. It loads nothing that a bare Python has not, so that the
relay's memory and modules stay what they are. coverage.py starts it and reads FOLDER.
"""

from __future__ import annotations

import _thread
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

NOTES = 99  # a descriptor out of the way: a caller may have closed the first three


def main() -> None:
    folder, source = sys.argv[1:3]
    del sys.argv[:2]
    opened = os.open(f"{folder}/{os.getpid()}-{time.time_ns()}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    notes = os.dup2(opened, NOTES, inheritable=False)
    os.close(opened)
    begin = os.path.realpath(source) + os.sep
    seen = set()

    def reached(frame: FrameType, event: str, _: object) -> Callable[..., Any]:
        line = (frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and line not in seen:
            seen.add(line)
            os.write(notes, f"{line[1]} {line[0][len(begin) :]}\n".encode())
        return reached

    def called(frame: FrameType, _: str, __: object) -> Callable[..., Any] | None:
        return reached if frame.f_code.co_filename.startswith(begin) else None

    def start_thread(run: Callable[..., object], *arguments: Any, start: Any = _thread.start_new_thread) -> int:
        def traced(*words: Any, **named: Any) -> None:
            sys.settrace(called)
            run(*words, **named)

        return int(start(traced, *arguments))

    _thread.start_new_thread = start_thread
    sys.path.insert(0, begin)
    file = f"{begin}__main__.py"
    with open(file) as program:  # noqa: PTH123  # pathlib is what a bare Python has not loaded
        code = compile(program.read(), file, "exec")
    sys.settrace(called)
    exec(code, {"__name__": "__main__", "__file__": file})


main()
