"""What ./inv starts in .venv, without its site-packages and with the default action for Ctrl-C: an interrupt this early
ends it without a word, and a damaged .venv is made anew. main.py does the rest."""

import _signal  # type: ignore[import-not-found] # in the interpreter itself: signal takes long enough for a traceback

_signal.signal(_signal.SIGINT, _signal.SIG_DFL)

import posix  # noqa: E402

posix.dup2(5, 2)  # until here ./inv hides what an interrupted interpreter has to say

import os  # noqa: E402
import sys  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - before pathlib is there
MENDED = "MAILRELAY_VENV_MENDED"  # set for a second start, which mends nothing


def start() -> None:
    import site

    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    site.main()
    if ROOT not in sys.path:
        sys.path.insert(0, ROOT)
    try:
        from forge.inv.main import main

        main()
    except (ImportError, SyntaxError) as error:
        where = str(getattr(error, "path", "") or getattr(error, "filename", "") or "")
        ours = (getattr(error, "name", "") or "").partition(".")[0] in ("forge", "tasks")
        elsewhere = where and not where.startswith(f"{ROOT}/.venv/")
        if ours or elsewhere or MENDED in os.environ:
            raise
        mend(error)


def mend(error: Exception) -> None:
    """Start again with a new .venv: something in this one is gone or damaged."""
    print(f".venv is damaged ({error}): it is made anew.", file=sys.stderr, flush=True)
    os.truncate(f"{ROOT}/.venv/.stamp.base", 0)
    os.execve("/bin/sh", ["sh", f"{ROOT}/inv", *sys.argv[1:]], {**os.environ, MENDED: "1"})


start()
