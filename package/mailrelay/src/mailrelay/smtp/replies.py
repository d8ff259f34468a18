"""What the SMTP server session answers, in words that an owner understands on telnet.

Enhanced status codes are RFC 3463's; RFC 2034 has them in every 2xx, 4xx and 5xx reply but the greeting, HELO and EHLO.
"""

from __future__ import annotations

from mailrelay.smtp.reply import Reply

BANNER = Reply(220, "", "%s ESMTP mailrelay")
NOT_ALLOWED = Reply(554, "5.7.1", "Your address is not in a network that may send through this relay")
HELO = Reply(250, "", "%s")
# Host name; " size" or ""; EHLO_LOGIN, EHLO_ANY_LOGIN or "".
EHLO = Reply(250, "", "%s\nPIPELINING\nSIZE%s\n%sENHANCEDSTATUSCODES\n8BITMIME\nSMTPUTF8")
EHLO_LOGIN = "AUTH LOGIN PLAIN\n"
EHLO_ANY_LOGIN = "AUTH LOGIN PLAIN CRAM-MD5\n"

OK = Reply(250, "2.0.0", "OK")
SENDER_OK = Reply(250, "2.1.0", "Sender OK")
RECIPIENT_OK = Reply(250, "2.1.5", "Recipient OK")
RECIPIENT_AGAIN = Reply(250, "2.1.5", "Recipient OK, named before")
GO_AHEAD = Reply(354, "", "Send the message, then a line with nothing but a dot")
GOOD_BYE = Reply(221, "2.0.0", "Good-bye")
CANNOT_VERIFY = Reply(252, "2.1.5", "I cannot tell, but will take mail for it and try")
HELP = Reply(
    214,
    "2.0.0",
    "This is mailrelay. It takes mail like this and sends it on through your provider:\n"
    "EHLO name, MAIL FROM:<you@example.org>, RCPT TO:<them@example.org>, DATA, QUIT.\n"
    "Also: HELO, RSET, NOOP, VRFY, HELP, and AUTH where EHLO offers it.",
)

# The session ends.
TOO_MANY = Reply(421, "4.7.0", "Too many commands without a message, good-bye")
CONTENT_REFUSED = Reply(
    421, "4.5.0", "DATA was refused, and this is no command: wait for 354 before sending the message"
)
UNCLEAR = Reply(
    421, "4.5.0", "It was unclear where the last message ended, so this connection takes no more; connect again"
)
TOO_MANY_LOGINS = Reply(421, "4.7.0", "Too many wrong logins, good-bye")
NOT_WEB = Reply(421, "4.7.0", "This is a mail relay, not a web server")
TLS_FIRST = Reply(421, "4.7.0", "There is no TLS on this side of the relay; connect without")

# Commands.
UNKNOWN = Reply(500, "5.5.2", "I do not know this command; HELP lists those I know")
TOO_LONG = Reply(500, "5.5.2", "This command line is too long")
MAIL_SYNTAX = Reply(501, "5.5.4", "Write MAIL FROM:<name@example.org>")
RCPT_SYNTAX = Reply(501, "5.5.4", "Write RCPT TO:<name@example.org>")
DATA_SYNTAX = Reply(501, "5.5.4", "Nothing may follow DATA on its line")
MAIL_PARAMETER = Reply(555, "5.5.4", "I do not know what follows the address in MAIL FROM")
RCPT_PARAMETER = Reply(555, "5.5.4", "I do not know what follows the address in RCPT TO")
NESTED_MAIL = Reply(503, "5.5.1", "A message is under way: DATA to send it, RSET to drop it")
MAIL_FIRST = Reply(503, "5.5.1", "MAIL FROM comes first")
RCPT_FIRST = Reply(503, "5.5.1", "MAIL FROM and at least one accepted RCPT TO come first")
NO_TLS = Reply(502, "5.5.1", "There is no TLS on this side of the relay; go on without")
NO_LISTS = Reply(502, "5.5.1", "There are no mailing lists here")
NO_BDAT = Reply(502, "5.5.1", "BDAT is not offered; use DATA")

# Envelope and message.
BAD_SENDER = Reply(553, "5.1.7", "%s")
BAD_RECIPIENT = Reply(553, "5.1.3", "%s")
NOT_ASCII = Reply(553, "5.6.7", "An address with non-ASCII letters needs SMTPUTF8 after MAIL FROM:<...>")
TOO_MANY_RECIPIENTS = Reply(452, "4.5.3", "Too many recipients; send the message again for the others")
NO_PROVIDER = Reply(
    451,
    "4.3.0",
    "No mail provider is set up on this relay yet; add one in LuCI or as a smarthost in /etc/config/mailrelay",
)
NO_ROOM = Reply(452, "4.3.1", "There is no room for this message on the relay now, try again later")
TOO_BIG = Reply(552, "5.3.4", "This message is larger than the %d bytes that the relay takes")
LONG_LINE = Reply(554, "5.6.0", "A line of this message is longer than %d bytes")
LONG_HEADER = Reply(552, "5.3.4", "The header of this message is longer than %d bytes")
MAIL_LOOP = Reply(554, "5.4.6", "This message came through %d relays: it is in a loop")

# Login.
LOGIN_FIRST = Reply(530, "5.7.0", "Log in first: this relay wants a name and a password from you")
NO_LOGIN = Reply(502, "5.5.1", "No login is needed here and none is offered; go on with MAIL FROM")
LOGIN_LATE = Reply(503, "5.5.1", "A login comes before MAIL FROM")
LOGGED_IN_ALREADY = Reply(503, "5.5.1", "You are logged in already")
ASK_DIGEST = Reply(334, "", "PDBAbWFpbHJlbGF5Pg==")  # <0@mailrelay>: any answer will do
MECHANISMS = Reply(504, "5.5.4", "This way to log in is not offered here; EHLO says which are")
ASK_NAME = Reply(334, "", "VXNlcm5hbWU6")
ASK_PASSWORD = Reply(334, "", "UGFzc3dvcmQ6")
ASK_BOTH = Reply(334, "", "")
LOGGED_IN = Reply(235, "2.7.0", "Logged in")
WRONG_LOGIN = Reply(535, "5.7.8", "This name or password is wrong")
NOT_BASE64 = Reply(501, "5.5.2", "This is not base64")
LOGIN_GIVEN_UP = Reply(501, "5.7.0", "Login given up")

# The listener's: what depends on disk, network, rates and time.
QUEUED = Reply(250, "2.0.0", "Queued as %s")
DISK_FULL = Reply(452, "4.3.1", "No room left to store mail, try again later")
NOT_STORED = Reply(451, "4.3.0", "This mail could not be stored, try again later")
TOO_MANY_MESSAGES = Reply(450, "4.7.1", "More than %d messages a minute from you, try again later")
NO_ALIAS = Reply(
    550,
    "5.1.1",
    "No alias says where mail for this local name goes; write list alias 'root=you@example.org', or set a postmaster",
)
RECIPIENT_NOT_ALLOWED = Reply(550, "5.7.1", "This relay does not send to that recipient")
TOO_MANY_CONNECTIONS = Reply(421, "4.3.2", "Too many connections and yours is the slowest, try again later")
NEW_SETTINGS = Reply(421, "4.3.2", "The settings have changed, please connect again")
SHUTTING_DOWN = Reply(421, "4.3.2", "The relay is shutting down, try again later")
TOO_SLOW = Reply(421, "4.4.2", "The message comes in too slowly, try again")
TIMED_OUT = Reply(421, "4.4.2", "Nothing complete came for too long, good-bye")
