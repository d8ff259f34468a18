"""What to change where a machine on the LAN is refused: one line for the log and the status file.

Decides nothing. Called by `journal` with the reply and the command that it answers.
"""

from __future__ import annotations

_ADDRESS = "correct the address in the machine's settings: name@example.org, and nothing beside it"
_LOGIN = "give the machine the username and password of its section client, or take them out there"
_BEFORE = "the reason is in the refusal before this one"
_FIRMWARE = "look for newer firmware of the machine if it sends no mail"
_NO_TLS = "turn SSL/TLS (also called STARTTLS, encryption, secure connection) off in the machine's mail settings"

# How the reply begins, how the command does, hint: the first match counts.
_HINTS = (
    ("554 5.7.1 Your", "", "name the machine's network with list network or list allow, if it may send"),
    ("550 5.1.1", "", "set option postmaster, or list alias 'NAME=you@example.org'"),
    ("550 5.7.1", "", "add it to list allowed_recipient, if mail may go there"),
    ("450 4.7.1", "", "raise rate_limit in its section client: a machine without a queue loses what is refused"),
    ("452 4.3.1", "", "mailrelay queue shows what waits; raise max_queue_size, or put the spool on larger storage"),
    ("452 4.5.3", "", "raise max_recipients, if the machine does not send the mail again for the others"),
    ("451 4.3.0 No mail", "", "add a section smarthost"),
    ("552 5.3.4 This", "", "raise max_message_size, or have the machine send less at a time"),
    ("552 5.3.4 The header", "", "raise max_header_length"),
    ("554 5.6.0", "", "raise max_line_length"),
    ("554 5.4.6", "", "find the server that sends this mail back to the relay"),
    ("451 4.3.0 This", "", "the log says under not-stored what the disk answered"),
    ("530", "", _LOGIN),
    ("535", "", _LOGIN),
    ("421 4.7.0 Too many wrong", "", _LOGIN),
    ("501", "AUTH", _LOGIN),
    ("502", "AUTH", "set option login 'any', or accept_any_login in a section client for this machine"),
    ("504", "AUTH", "have the machine log in by LOGIN or PLAIN, or without a login"),
    ("502", "STARTTLS", _NO_TLS),
    ("421 4.7.0 There is no TLS", "", _NO_TLS),
    ("421 4.5.0 DATA", "", _BEFORE),
    ("421 4.5.0 It", "", "have the machine end every line of its mail in CRLF"),
    ("421 4.7.0 Too many commands", "", _BEFORE),
    ("421 4.7.0 This is", "", "send it mail, not web pages: the web interface is at another port"),
    ("500 5.5.2 This", "", "raise max_command_length, if the machine needs it"),
    ("500", "", "see that the machine is set to send by plain SMTP; " + _FIRMWARE),
    ("503", "RCPT", _BEFORE),
    ("503", "DATA", _BEFORE),
    ("503", "", _FIRMWARE),
    ("501", "MAIL", _ADDRESS),
    ("501", "RCPT", _ADDRESS),
    ("501", "", _FIRMWARE),
    ("502", "", _FIRMWARE),
    ("553 5.1", "", _ADDRESS),
    ("553 5.6.7", "", "write the addresses in the machine's settings without umlauts and the like"),
    ("555", "", "turn delivery notifications and other extras off in the machine's mail settings"),
    ("421 4.4.2 The message", "", "see to the machine's network; or lower min_data_rate"),
    ("421 4.4.2", "", "see to the machine's network; or raise command_timeout"),
    ("421 4.3.2 Too many", "", "have the machine close its connections; or raise max_connections and "
                               "max_connections_per_client"),
)  # fmt: skip


def hint(reply: str, said: str) -> str:
    """Return what to change, "" if nobody knows. said: the command, as Commands.said gives it."""
    said = said.upper()
    for begins, command, text in _HINTS:
        if reply.startswith(begins) and said.startswith(command):
            return text
    return ""
