"""`python3 -I -S package/mailrelay/src COMMAND`, or the folder called as sendmail, mailq or newaliases."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Hand over to the command; each imports only what it needs, because `serve` stays in memory."""
    called = os.path.basename(sys.argv[0].rstrip("/"))
    arguments = sys.argv[1:]
    if called in ("sendmail", "mailq", "newaliases"):
        arguments = [called, *arguments]
    if arguments[:1] == ["serve"]:
        from mailrelay.daemon import supervisor

        return supervisor.main(arguments[1:])
    if arguments and arguments[0] in ("sendmail", "mailq", "newaliases"):
        from mailrelay.cli import sendmail

        return sendmail.main(arguments[0], arguments[1:])
    if arguments[:1] == ["compile"]:
        from mailrelay.cli import compile

        return compile.main(arguments[1:])
    from mailrelay.cli import main as cli

    return cli.main(arguments)


sys.exit(main())
