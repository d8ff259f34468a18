"""What the SMTP server session answers, in words that an owner understands on telnet.

Enhanced status codes are RFC 3463's; RFC 2034 has them in every 2xx, 4xx and 5xx reply but the greeting, HELO and EHLO.
"""

from __future__ import annotations

BANNER = b"220 %s ESMTP mailrelay\r\n"
NOT_ALLOWED = b"554 5.7.1 Your address is not in a network that may send through this relay\r\n"
HELO = b"250 %s\r\n"
# Host name; " size" or ""; LOGIN or "".
EHLO = b"250-%s\r\n250-PIPELINING\r\n250-SIZE%s\r\n%s250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
EHLO_LOGIN = b"250-AUTH LOGIN PLAIN\r\n"

OK = b"250 2.0.0 OK\r\n"
SENDER_OK = b"250 2.1.0 Sender OK\r\n"
RECIPIENT_OK = b"250 2.1.5 Recipient OK\r\n"
RECIPIENT_AGAIN = b"250 2.1.5 Recipient OK, named before\r\n"
GO_AHEAD = b"354 Send the message, then a line with nothing but a dot\r\n"
GOOD_BYE = b"221 2.0.0 Good-bye\r\n"
CANNOT_VERIFY = b"252 2.1.5 I cannot tell, but will take mail for it and try\r\n"
HELP = (
    b"214-2.0.0 This is mailrelay. It takes mail like this and sends it on through your provider:\r\n"
    b"214-2.0.0 EHLO name, MAIL FROM:<you@example.org>, RCPT TO:<them@example.org>, DATA, QUIT.\r\n"
    b"214 2.0.0 Also: HELO, RSET, NOOP, VRFY, HELP, and AUTH where a login is set for you.\r\n"
)

# The session ends.
TOO_MANY = b"421 4.7.0 Too many commands without a message, good-bye\r\n"
BLIND = b"421 4.5.0 DATA was refused, and this is no command: wait for 354 before sending the message\r\n"
UNCLEAR = b"421 4.5.0 It was unclear where the last message ended, so this connection takes no more; connect again\r\n"
TOO_MANY_LOGINS = b"421 4.7.0 Too many wrong logins, good-bye\r\n"
NOT_WEB = b"421 4.7.0 This is a mail relay, not a web server\r\n"

# Commands.
UNKNOWN = b"500 5.5.2 I do not know this command; HELP lists those I know\r\n"
TOO_LONG = b"500 5.5.2 This command line is too long\r\n"
MAIL_SYNTAX = b"501 5.5.4 Write MAIL FROM:<name@example.org>\r\n"
RCPT_SYNTAX = b"501 5.5.4 Write RCPT TO:<name@example.org>\r\n"
DATA_SYNTAX = b"501 5.5.4 Nothing may follow DATA on its line\r\n"
MAIL_PARAMETER = b"555 5.5.4 I do not know what follows the address in MAIL FROM\r\n"
RCPT_PARAMETER = b"555 5.5.4 I do not know what follows the address in RCPT TO\r\n"
NESTED_MAIL = b"503 5.5.1 A message is under way: DATA to send it, RSET to drop it\r\n"
MAIL_FIRST = b"503 5.5.1 MAIL FROM comes first\r\n"
RCPT_FIRST = b"503 5.5.1 MAIL FROM and at least one accepted RCPT TO come first\r\n"
NO_TLS = b"502 5.5.1 There is no TLS on this side of the relay; go on without\r\n"
NO_LISTS = b"502 5.5.1 There are no mailing lists here\r\n"
NO_BDAT = b"502 5.5.1 BDAT is not offered; use DATA\r\n"

# Envelope and message.
BAD_SENDER = b"553 5.1.7 %s\r\n"
BAD_RECIPIENT = b"553 5.1.3 %s\r\n"
NOT_ASCII = b"553 5.6.7 An address with non-ASCII letters needs SMTPUTF8 after MAIL FROM:<...>\r\n"
TOO_MANY_RECIPIENTS = b"452 4.5.3 Too many recipients; send the message again for the others\r\n"
NO_PROVIDER = (
    b"451 4.3.0 No mail provider is set up on this relay yet; add one in LuCI or as a smarthost in "
    b"/etc/config/mailrelay\r\n"
)
NO_ROOM = b"452 4.3.1 There is no room for this message on the relay now, try again later\r\n"
TOO_BIG = b"552 5.3.4 This message is larger than the %d bytes that the relay takes\r\n"
LONG_LINE = b"554 5.6.0 A line of this message is longer than %d bytes\r\n"
LONG_HEADER = b"552 5.3.4 The header of this message is longer than %d bytes\r\n"
MAIL_LOOP = b"554 5.4.6 This message came through %d relays: it is in a loop\r\n"

# Login.
LOGIN_FIRST = b"530 5.7.0 Log in first: this relay wants a name and a password from you\r\n"
NO_LOGIN = b"502 5.5.1 No login is needed here and none is offered; go on with MAIL FROM\r\n"
LOGIN_LATE = b"503 5.5.1 A login comes before MAIL FROM\r\n"
LOGGED_IN_ALREADY = b"503 5.5.1 You are logged in already\r\n"
MECHANISMS = b"504 5.5.4 Only AUTH LOGIN and AUTH PLAIN are known here\r\n"
ASK_NAME = b"334 VXNlcm5hbWU6\r\n"
ASK_PASSWORD = b"334 UGFzc3dvcmQ6\r\n"
ASK_BOTH = b"334 \r\n"
LOGGED_IN = b"235 2.7.0 Logged in\r\n"
WRONG_LOGIN = b"535 5.7.8 This name or password is wrong\r\n"
NOT_BASE64 = b"501 5.5.2 This is not base64\r\n"
LOGIN_GIVEN_UP = b"501 5.7.0 Login given up\r\n"
