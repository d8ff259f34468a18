"""What to change where a machine on the LAN is refused: one line for the log and the status file.

Decides nothing. Called by `journal` with the reply and the command that it answers.
"""

from __future__ import annotations

# By id, which programs and translations know: it never changes.
TEXTS = {
    "machine-network": "name the machine's network with list network or list allow, if it may send",
    "machine-nobody": "set option postmaster, or list alias 'NAME=you@example.org'",
    "machine-recipient": "add it to list allowed_recipient, if mail may go there",
    "machine-rate": "raise rate_limit in its section client: a machine without a queue loses what is refused",
    "machine-room": "mailrelay queue shows what waits; raise max_queue_size, or put the spool on larger storage",
    "machine-recipients": "raise max_recipients, if the machine does not send the mail again for the others",
    "machine-provider": "add a section smarthost",
    "machine-large": "raise max_message_size, or have the machine send less at a time",
    "machine-header": "raise max_header_length",
    "machine-line": "raise max_line_length",
    "machine-loop": "find the server that sends this mail back to the relay",
    "machine-disk": "the log says under not-stored what the disk answered",
    "machine-login": "give the machine the username and password of its section client, or take them out there",
    "machine-offer-login": "set option login 'any', or accept_any_login in a section client for this machine",
    "machine-kind-of-login": "have the machine log in by LOGIN or PLAIN, or without a login",
    "machine-no-tls": "turn SSL/TLS (also called STARTTLS, encryption, secure connection) off in the machine's "
    "mail settings",
    "machine-before": "the reason is in the refusal before this one",
    "machine-line-ends": "have the machine end every line of its mail in CRLF",
    "machine-web": "send it mail, not web pages: the web interface is at another port",
    "machine-command": "raise max_command_length, if the machine needs it",
    "machine-plain": "see that the machine is set to send by plain SMTP; look for newer firmware of the machine "
    "if it sends no mail",
    "machine-firmware": "look for newer firmware of the machine if it sends no mail",
    "machine-address": "correct the address in the machine's settings: name@example.org, and nothing beside it",
    "machine-umlauts": "write the addresses in the machine's settings without umlauts and the like",
    "machine-extras": "turn delivery notifications and other extras off in the machine's mail settings",
    "machine-slow": "see to the machine's network; or lower min_data_rate",
    "machine-silent": "see to the machine's network; or raise command_timeout",
    "machine-connections": "have the machine close its connections; or raise max_connections and "
    "max_connections_per_client",
}
# How the reply begins, how the command does, id: the first match counts.
_HINTS = (
    ("554 5.7.1 Your", "", "machine-network"),
    ("550 5.1.1", "", "machine-nobody"),
    ("550 5.7.1", "", "machine-recipient"),
    ("450 4.7.1", "", "machine-rate"),
    ("452 4.3.1", "", "machine-room"),
    ("452 4.5.3", "", "machine-recipients"),
    ("451 4.3.0 No mail", "", "machine-provider"),
    ("552 5.3.4 This", "", "machine-large"),
    ("552 5.3.4 The header", "", "machine-header"),
    ("554 5.6.0", "", "machine-line"),
    ("554 5.4.6", "", "machine-loop"),
    ("451 4.3.0 This", "", "machine-disk"),
    ("530", "", "machine-login"),
    ("535", "", "machine-login"),
    ("421 4.7.0 Too many wrong", "", "machine-login"),
    ("501", "AUTH", "machine-login"),
    ("502", "AUTH", "machine-offer-login"),
    ("504", "AUTH", "machine-kind-of-login"),
    ("502", "STARTTLS", "machine-no-tls"),
    ("421 4.7.0 There is no TLS", "", "machine-no-tls"),
    ("421 4.5.0 DATA", "", "machine-before"),
    ("421 4.5.0 It", "", "machine-line-ends"),
    ("421 4.7.0 Too many commands", "", "machine-before"),
    ("421 4.7.0 This is", "", "machine-web"),
    ("500 5.5.2 This", "", "machine-command"),
    ("500", "", "machine-plain"),
    ("503", "RCPT", "machine-before"),
    ("503", "DATA", "machine-before"),
    ("503", "", "machine-firmware"),
    ("501", "MAIL", "machine-address"),
    ("501", "RCPT", "machine-address"),
    ("501", "", "machine-firmware"),
    ("502", "", "machine-firmware"),
    ("553 5.1", "", "machine-address"),
    ("553 5.6.7", "", "machine-umlauts"),
    ("555", "", "machine-extras"),
    ("421 4.4.2 The message", "", "machine-slow"),
    ("421 4.4.2", "", "machine-silent"),
    ("421 4.3.2 Too many", "", "machine-connections"),
)


def hint(reply: str, said: str) -> tuple[str, str]:
    """Return the id and text of what to change, "" if nobody knows. said: the command, as Commands.said gives it."""
    said = said.upper()
    for begins, command, code in _HINTS:
        if reply.startswith(begins) and said.startswith(command):
            return code, TEXTS[code]
    return "", ""
