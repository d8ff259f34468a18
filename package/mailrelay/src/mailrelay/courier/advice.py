"""What to do about a failure: the table behind explain, for people who mount cabinets, not mail servers.

Paragraphs, first match wins: what holds for one provider stands before what holds for all. Its first lines are the
conditions, all of which must hold, and the indented ones the advice. The conditions, with alternatives behind each:

    host        name, or any name below it
    port, tls   as the smarthost is set
    cause       of a failure.Failure
    stage       of a Failure or an Outcome
    code        first digits of the reply code
    enhanced    the enhanced status code
    text        what stands in the text, in any case; alternatives are parted by |
    any         nothing is asked

A * at the end of an alternative stands for anything. In advice, {host} {port} {tls} {text} and the details of a
certificate are filled in.
"""

TABLE = """
# Logins: what each provider wants

cause login-refused; code 4
    The provider cannot check logins just now. The mail waits and is tried again.

host gmail.com googlemail.com google.com; cause login-* no-common-auth
    Google does not take your normal password here. Make an App Password (myaccount.google.com/apppasswords, needs
    2-step verification) and put its 16 letters into option password; username is the whole Gmail address.

host office365.com outlook.office.com protection.outlook.com; cause login-* no-common-auth
    Microsoft 365 has signing in with a password switched off for this account (SMTP AUTH). An administrator can
    switch on 'Authenticated SMTP' for the mailbox, and security defaults must allow it. Microsoft removes this way
    step by step: a provider with app passwords is the safer choice.

host outlook.com live.com hotmail.com; cause login-* no-common-auth
    Outlook.com, Hotmail and Live only take OAuth2 logins, no passwords, since September 2024. mailrelay cannot do
    that: use another provider for sending.

host mail.yahoo.com yahoo.com aol.com; cause login-* no-common-auth
    Yahoo and AOL do not take your normal password here. Make an app password in the account's security settings and
    put it into option password; username is the whole address.

host mail.me.com icloud.com; cause login-* no-common-auth
    Apple does not take your normal password here. Make an app-specific password at account.apple.com and put it
    into option password; username is the whole iCloud address.

host fastmail.com messagingengine.com; cause login-* no-common-auth
    Fastmail does not take your normal password here. Make an app password (Settings, Privacy & Security, with
    access to SMTP) and put it into option password; username is the whole address.

host zoho.com zoho.eu zoho.in zohocloud.ca; cause login-* no-common-auth
    Zoho refuses the login. With two-factor sign-in it wants an app-specific password (accounts.zoho.com, Security).
    The host must fit the account: smtp.zoho.eu for European ones, smtppro.zoho... for own domains.

host gmx.net gmx.com gmx.de gmx.at gmx.ch; cause login-* no-common-auth
    GMX refuses the login. Allow it first: on the GMX web page, Settings, POP3 & IMAP, 'Allow access'. With two-
    factor sign-in it also wants an app password. Username is the whole address.

host web.de; cause login-* no-common-auth
    WEB.DE refuses the login. Allow it first: on the WEB.DE web page, Settings, POP3/IMAP, 'Allow access'. With two-
    factor sign-in it also wants an app password. Username is the whole address.

host t-online.de; cause login-* no-common-auth
    Telekom does not take your normal password here. Make a 'Passwort für E-Mail-Programme' in the customer centre
    and put it into option password; username is the whole address.

host amazonaws.com; cause login-* no-common-auth
    Amazon SES has logins of its own: create SMTP credentials in the SES console of this region. The access key of
    an AWS user does not work, nor do credentials of another region.

host sendgrid.net; cause login-* no-common-auth
    SendGrid wants the word apikey as option username, and an API key with the right to send as option password.

# Logins in general

enhanced 5.7.139
    Microsoft 365 has signing in with a password switched off (SMTP AUTH). An administrator can switch on
    'Authenticated SMTP' for the mailbox.

cause login-refused; text application-specific | app password | app-specific | two-factor | 2-step
    The provider wants an app password or allows logins only after a switch in its settings. Look there for 'app
    password' or 'SMTP access', and put that password into option password.

cause login-refused
    The provider refuses username and password. Check both; many providers want the whole mail address as username
    and an app password instead of the normal one. The mail waits until this is mended.

cause login-required
    The provider takes mail only after a login. Set options username and password.

cause no-common-auth; text xoauth2 | oauthbearer
    The provider only takes OAuth2 logins here, which mailrelay cannot do. Look in its settings for app passwords or
    SMTP access; without those, use another provider for sending.

tls none; cause no-common-auth; text offers no login | has no login
    A login is set, but the provider offers none without encryption. Set option tls to 'starttls' (port 587) or
    'tls' (port 465).

cause no-common-auth; text offers no login | has no login
    A login is set, but the provider offers none on this port. Port 587 or 465 is the one for sending with a login;
    if it wants no login, leave username empty.

cause no-common-auth
    The provider does not offer the kind of login that is set. Set option auth to 'auto'.

# Names and connections

cause no-such-name
    There is no server called {host}. Check option host for a typing mistake.

cause name-timeout
    The name {host} cannot be looked up. Most likely the Internet connection (WAN, mobile) is down, or the DNS
    server does not answer. The mail waits and is sent once the connection is back.

cause refused
    {host} is there but refuses connections to port {port}. Check options host and port: 587 with tls 'starttls',
    465 with tls 'tls'. If they are right, the server is down for the moment.

cause unreachable
    No way to {host}. The Internet connection (WAN, mobile) is down, or it lacks IPv6: then set option family to
    'ipv4'. The mail waits.

port 25; cause timeout; stage connect
    Nothing answers at {host}, port 25. Most Internet providers block port 25. Use port 587 with tls 'starttls' or
    465 with tls 'tls'.

cause timeout; stage connect
    Nothing answers at {host}, port {port}. A firewall or the Internet provider may block this port, or the server
    is down. Try the other port: 587 with tls 'starttls', 465 with tls 'tls'.

# TLS

port 465 2465; tls starttls; cause timeout lost tls-protocol no-starttls; stage banner ehlo starttls
    Port 465 speaks TLS from the first moment. Set option tls to 'tls', or option port to 587.

port 465 2465; tls none; cause timeout lost; stage banner
    The server says nothing without TLS. Set option tls to 'tls' (usual for port 465).

port 25 587 2525 2587; tls tls; cause tls-protocol timeout lost; stage tls
    Port {port} begins without TLS. Set option tls to 'starttls', or option port to 465.

cause tls-protocol; stage banner
    The server speaks TLS from the first moment. Set option tls to 'tls'.

cause tls-protocol
    The server speaks no TLS that is new enough (1.2), or none at all on this port. Check options port and tls: 587
    with 'starttls', 465 with 'tls'. ({text})

cause cleartext
    Without TLS, mail and password would cross the internet for everybody to read. Set option tls to 'starttls' or
    'tls', or allow_cleartext '1' if that is all right here.

cause no-starttls
    The server offers no encryption on port {port}, so nothing was sent. If this happens suddenly, something on the
    way may be removing it (a firewall that inspects mail, or an attack). Otherwise try port 465 with tls 'tls'.

cause cert-not-yet-valid
    The server's certificate is valid only from {not_before}. Check the date and time of this machine: a router
    without Internet time shows an old date. The mail waits.

cause cert-expired
    The server's certificate was valid until {not_after}. If it should be good, check the date and time of this
    machine. If it is your own server, renew its certificate.

cause cert-wrong-name
    The server's certificate is for {names}, not for {host}. Write one of these names into option host.

cause cert-untrusted
    The server's certificate is from {issuer}, whom this machine does not trust. If it is a public provider,
    something on the way answers in its place: don't send. Or the machine lacks the list of those to trust: on OpenWrt
    install the package ca-bundle, on Debian ca-certificates. If it is your own server, put its CA into option ca_file,
    or set option fingerprint to {sha256}

cause cert-fingerprint
    The server's certificate is not the one in option fingerprint. If you know that it was renewed, set the option to
    {sha256}

cause ca-file
    The file in option ca_file cannot be used: {text}.

# Greeting

cause rejected closing lost; stage ehlo
    The provider does not like the name this machine calls itself. Set option hostname in section main to a full
    name such as router.example.org, not localhost.

cause rejected; stage banner; code 5
    The provider refuses this Internet address. Such refusals are usual for port 25 from home and mobile lines: use
    port 587 or 465 with a login. It said: {text}

cause rejected; stage banner
    The provider is busy. The mail waits and is tried again. It said: {text}

# Sender, quota, size, recipient: answers to a message

host amazonaws.com; code 554; text not verified
    Amazon SES sends only from verified addresses. Verify the sender in the SES console of this region, or set
    option sender in section main to one that is. A new account may also send to verified recipients only (sandbox).

host gmail.com googlemail.com google.com; code 5; enhanced 5.4.5
    Google's limit for one day is reached (500 recipients, 2000 for Workspace). This mail is kept among the failed
    ones: release it tomorrow. To stay below, set option rate, for example '20/minute 400/day'.

code 5; text daily | quota exceeded | sending limit | rate limit | too many messages
    The account has sent as much as it may. This mail is kept among the failed ones: release it later. To stay below,
    set option rate, for example '20/minute 400/day'. It said: {text}

code 4; text greylist | graylist
    The provider lets senders wait that it does not know yet. The mail is tried again.

code 4; text rate limit | rate exceeded | too many | quota | limit exceeded | sending limit | throttl | concurrent
    The provider wants slower sending. The mail waits; set option rate, for example '20/minute'. It said: {text}

host office365.com outlook.office.com protection.outlook.com outlook.com live.com hotmail.com; enhanced 5.7.60
    The account may not send from this address. Set option sender in section main to the address that you log in
    with.

text sendasdenied | send as | not owned by user | sender address rejected | sender address is not allowed |
not permitted to relay as | does not match | not allowed to send from | relaying disallowed as |
unauthorized sender | sender not verified | from address
    The account may not send from this address. Set option sender in section main to the address that you log in
    with, or to another one that the provider has confirmed.

enhanced 5.3.4 5.2.3
    The message is larger than the provider takes. Send smaller pictures, or lower option max_message_size in
    section main so that the machine hears of it at once. ({text})

code 552; text size | large | too big
    The message is larger than the provider takes. Send smaller pictures, or lower option max_message_size in
    section main so that the machine hears of it at once.

enhanced 5.2.2 4.2.2
    The recipient's mailbox is full.

enhanced 5.6.7
    The provider takes no addresses with umlauts or other special characters. Use a plain address.

code 5; text relay access | access denied | relaying | to relay | for relay | relay denied | authentication required |
must authenticate | not authenticated
    The provider sends mail to others only after a login, or only for its own customers. Set options username and
    password, and use port 587 or 465.

enhanced 5.1.1 5.1.10
    The provider has no such recipient. Check the address for a typing mistake.

stage rcpt; enhanced 5.1.0 5.1.2 5.1.3 5.1.6 5.5.0
    The provider has no such recipient. Check the address for a typing mistake.

enhanced 5.1.3
    This is not a mail address. Check it for a typing mistake.

enhanced 5.1.7 5.1.8
    The sender is not a mail address. Set option sender in section main.

code 5; text spam | blocked | blacklist | blocklist | reputation | policy | suspicious | dmarc
    The provider took the message for spam. Set option sender in section main to your own address there. It said:
    {text}

stage local mail rcpt data dot; code 5
    The provider refuses the message. It said: {text}

stage mail rcpt data dot; code 4
    The provider defers the message. It is tried again. It said: {text}

# The rest

cause closing
    The provider ends the connection. The mail waits and is tried again. It said: {text}

cause garbage
    What answers at {host}, port {port} is not a mail server, or something on the way disturbs it. Check options
    host and port. ({text})

cause timeout
    {host} took the connection and then said nothing. The line may be slow or disturbed, or something on the way
    inspects mail. The mail waits and is tried again.

cause lost
    The connection to {host} broke off. The mail waits and is tried again.

any
    It did not work: {text}
"""
