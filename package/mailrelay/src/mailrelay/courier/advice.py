"""Whose fault a failure is and what to do about it: the table behind explain, for people who mount cabinets, not mail
servers. It decides what becomes of the mail; nothing else does.

Paragraphs, first match wins: what holds for one provider stands before what holds for all. Its first lines are the
conditions, all of which must hold, then ->, the verdict and the advice's id; the indented ones are the advice, but
where an earlier paragraph has it already. The conditions, with alternatives behind each:

    host        name, or any name below it
    port, tls   as the smarthost is set
    auth        likewise
    cause       of a failure.Failure
    stage       of a Failure or an Outcome
    code        first digits of the reply code
    enhanced    the enhanced status code
    text        what a word of the text, or several, begin with, in any case; alternatives are parted by |
    any         nothing is asked

A * at the end of an alternative stands for anything. In advice, {host} {port} {tls}, {text} with its code and the
details of a certificate are filled in. Ids never change: programs and translations know them. The verdicts:

    recipient   this recipient will not get it: it fails
    message     this message will not do: it fails
    sender      the provider does not take mail from this sender: such mail waits, the owner is told
    setting     the provider takes no mail before something is changed: all mail waits for it, the owner is told
    passing     waiting ends it

What a 4xx answers waits whatever the verdict. Only what is surely a setting holds mail; in doubt it is the message's.
"""

TABLE = """
# Encryption that is asked for

tls none; text starttls | requires tls | tls required | tls is required | requires encryption | encryption required |
encryption is required | encrypted connection | secure connection | encryption needed |
session encryption -> setting encryption-required
    The provider takes mail and logins only over an encrypted connection. Set option tls to 'starttls' (port 587) or
    'tls' (port 465).

tls none; enhanced 5.7.10 5.7.11 -> setting encryption-required

# Logins: what each provider wants

tls none; cause no-common-auth; text offers no login | has no login -> setting login-needs-encryption
    A login is set, but the provider offers none without encryption. Set option tls to 'starttls' (port 587) or
    'tls' (port 465).

cause no-common-auth; text offers no login | has no login -> setting no-login-on-port
    A login is set, but the provider offers none on this port. Port 587 or 465 is the one for sending with a login;
    if it wants no login, leave username empty.

auth plain login cram-md5; cause no-common-auth; text login | plain | cram-md5 -> setting auth-auto
    The provider does not offer the kind of login that is set. Set option auth to 'auto'.

text credits | daily message quota; cause login-refused -> setting login-no-credits
    The account has sent as much as it may, or its credits are used up. The mail waits until there are new ones: look
    at the provider's web page, or buy more. It said: {text}

cause login-refused; code 4 -> passing login-check-later
    The provider cannot check logins just now. The mail waits and is tried again.

enhanced 5.7.30 -> setting microsoft-no-passwords
    Microsoft 365 takes no passwords for sending any more (basic authentication is switched off for good), and no
    administrator can change that. Send through Azure Communication Services (smtp.azurecomm.net), a connector to
    TENANT-com.mail.protection.outlook.com (port 25, no login), High Volume Email, or another provider.

host azurecomm.net; cause login-* no-common-auth -> setting azure-login
    Azure Communication Services wants the word resource|application id|tenant id as option username (or an SMTP
    username made in the portal) and the secret of the Entra application as option password. Such secrets expire.

host gmail.com googlemail.com google.com; cause login-* no-common-auth; text invalid credentials for relay |
relay denied -> setting workspace-relay
    The Workspace SMTP relay service does not know this Internet address. Register it in the Google Admin console
    (Gmail, Routing, SMTP relay service), or set options username and password. It said: {text}

host gmail.com googlemail.com google.com; cause login-* no-common-auth -> setting gmail-app-password
    Google does not take your normal password here. Make an App Password (myaccount.google.com/apppasswords, needs
    2-step verification) and put its 16 letters into option password; username is the whole Gmail address.

host outlook.com live.com hotmail.com; enhanced 5.7.139; text basic authentication is disabled
-> setting outlook-oauth2
    Outlook.com, Hotmail and Live only take OAuth2 logins, no passwords, since September 2024. mailrelay cannot do
    that: use another provider for sending.

enhanced 5.7.139; text credentials were incorrect | credentials are incorrect -> setting microsoft-wrong-password
    Microsoft 365 says that username or password is wrong. Check both: username is the whole address of the account, and
    an account with a second factor needs an app password or a sign-in rule without it. The mail waits.

enhanced 5.7.139; text for the tenant -> setting microsoft-off-organisation
    Microsoft 365 has signing in with a password (SMTP AUTH) switched off for the whole organisation. An administrator
    can allow it: Exchange admin centre, Settings, Mail flow, 'Turn off SMTP AUTH protocol', or for this one mailbox
    under Manage email apps, 'Authenticated SMTP'.

enhanced 5.7.139; text for the mailbox -> setting microsoft-off-mailbox
    Microsoft 365 has signing in with a password (SMTP AUTH) switched off for this mailbox. An administrator can
    switch it on: Microsoft 365 admin centre, the user, Mail, Manage email apps, 'Authenticated SMTP'.

enhanced 5.7.139; text security defaults | conditional access | security policy | access policy
-> setting microsoft-security-defaults
    Security defaults or a Conditional Access policy of Microsoft 365 keeps this account from signing in with a
    password. An administrator has to make an exception for it, or use another way of sending.

enhanced 5.7.139; text locked -> setting microsoft-locked
    Microsoft 365 has locked this account. An administrator has to unlock it and to find out why. The mail waits.

enhanced 5.7.3; cause login-refused -> setting microsoft-login
    Microsoft refuses the login: username or password is wrong, or signing in with a password (SMTP AUTH) is switched
    off. Check both first; then an administrator can look for 'Authenticated SMTP' at the mailbox, under Manage email
    apps.

host office365.com outlook.office.com outlook.office365.com protection.outlook.com; cause login-required
-> setting microsoft-login-required
    Microsoft 365 takes mail here only after a login. Set options username and password; a connector without a login
    is reached at TENANT-com.mail.protection.outlook.com, port 25.

host office365.com outlook.office.com protection.outlook.com; cause login-* no-common-auth
-> setting microsoft-off-account
    Microsoft 365 has signing in with a password switched off for this account (SMTP AUTH). An administrator can
    switch on 'Authenticated SMTP' for the mailbox, and security defaults must allow it. Microsoft removes this way
    step by step: a provider with app passwords is the safer choice.

host outlook.com live.com hotmail.com; cause login-* no-common-auth -> setting outlook-oauth2

host mail.yahoo.com yahoo.com aol.com; cause login-* no-common-auth -> setting yahoo-app-password
    Yahoo and AOL do not take your normal password here. Make an app password in the account's security settings and
    put it into option password; username is the whole address.

host mail.me.com icloud.com; cause login-* no-common-auth -> setting icloud-app-password
    Apple does not take your normal password here. Make an app-specific password at account.apple.com and put it
    into option password; username is the whole iCloud address.

host fastmail.com messagingengine.com; cause login-* no-common-auth -> setting fastmail-app-password
    Fastmail does not take your normal password here. Make an app password (Settings, Privacy & Security, with
    access to SMTP) and put it into option password; username is the whole address.

host zoho.com zoho.eu zoho.in zohocloud.ca; cause login-* no-common-auth -> setting zoho-login
    Zoho refuses the login. With two-factor sign-in it wants an app-specific password (accounts.zoho.com, Security).
    The host must fit the account: smtp.zoho.eu for European ones, smtppro.zoho... for own domains.

host gmx.net gmx.com gmx.de gmx.at gmx.ch; cause login-* no-common-auth -> setting gmx-login
    GMX refuses the login. Allow it first: on the GMX web page, Settings, POP3 & IMAP, 'Allow access'. With
    two-factor sign-in it also wants an app password. Username is the whole address.

host web.de; cause login-* no-common-auth -> setting webde-login
    WEB.DE refuses the login. Allow it first: on the WEB.DE web page, Settings, POP3/IMAP, 'Allow access'. With
    two-factor sign-in it also wants an app password. Username is the whole address.

host t-online.de; cause login-* no-common-auth -> setting telekom-password
    Telekom does not take your normal password here. Make a 'Passwort für E-Mail-Programme' in the customer centre
    and put it into option password; username is the whole address.

host amazonaws.com; cause login-* no-common-auth -> setting ses-login
    Amazon SES has logins of its own: create SMTP credentials in the SES console of this region. The access key of
    an AWS user does not work, nor do credentials of another region.

host sendgrid.net; cause login-* no-common-auth -> setting sendgrid-login
    SendGrid wants the word apikey as option username, and an API key with the right to send as option password.

# Logins in general

enhanced 5.7.139 -> setting microsoft-off
    Microsoft 365 has signing in with a password switched off (SMTP AUTH). An administrator can switch on
    'Authenticated SMTP' for the mailbox.

cause login-refused; text application-specific | app password | app-specific | two-factor | 2-step | two-step |
multi-factor | mfa | 2fa | web browser -> setting app-password
    The provider wants an app password or allows logins only after a switch in its settings. Look there for 'app
    password' or 'SMTP access', and put that password into option password.

tls none; cause login-refused; text not advertised -> setting login-needs-encryption

auth plain login cram-md5; cause login-refused; text mechanism -> setting auth-plain
    The provider does not take the kind of login that is set. Set option auth to 'auto', or to 'plain'.

cause login-refused; text suspended | disabled | locked | blocked | not activated | deactivated
-> setting account-blocked-login
    The provider says that the account is blocked or switched off. Ask it why; the mail waits until this is mended. It
    said: {text}

cause login-refused -> setting login-refused
    The provider refuses username and password. Check both; many providers want the whole mail address as username
    and an app password instead of the normal one. The mail waits until this is mended.

cause login-required -> setting login-required
    The provider takes mail only after a login. Set options username and password.

cause no-common-auth; text xoauth2 | oauthbearer -> setting oauth2-only
    The provider only takes OAuth2 logins here, which mailrelay cannot do. Look in its settings for app passwords or
    SMTP access; without those, use another provider for sending.

cause no-common-auth -> setting auth-auto

# Names and connections

cause no-such-name -> setting no-such-name
    There is no server called {host}. Check option host for a typing mistake.

cause name-timeout -> passing name-timeout
    The name {host} cannot be looked up. Most likely the Internet connection (WAN, mobile) is down, or the DNS
    server does not answer; or there is a typing mistake in option host. The mail waits and is sent once the name is
    found.

cause refused -> passing connection-refused
    {host} is there but refuses connections to port {port}. Check options host and port: 587 with tls 'starttls',
    465 with tls 'tls'. If they are right, the server is down for the moment.

cause unreachable -> passing unreachable
    No way to {host}. The Internet connection (WAN, mobile) is down, or it lacks IPv6: then set option family to
    'ipv4'. The mail waits.

port 25; cause timeout; stage connect -> passing port-25-blocked
    Nothing answers at {host}, port 25. Most Internet providers block port 25. Use port 587 with tls 'starttls' or
    465 with tls 'tls'.

cause timeout; stage connect -> passing no-connection
    Nothing answers at {host}, port {port}. A firewall or the Internet provider may block this port, or the server
    is down. Try the other port: 587 with tls 'starttls', 465 with tls 'tls'.

# TLS

port 465 2465; tls starttls; cause timeout lost tls-protocol no-starttls; stage banner ehlo starttls
-> setting tls-port-465
    Port 465 speaks TLS from the first moment. Set option tls to 'tls', or option port to 587.

port 465 2465; tls none; cause timeout lost; stage banner -> setting silent-without-tls
    The server says nothing without TLS. Set option tls to 'tls' (usual for port 465).

port 25 587 2525 2587; tls tls; cause tls-protocol timeout lost; stage tls -> setting starttls-port
    Port {port} begins without TLS. Set option tls to 'starttls', or option port to 465.

cause tls-protocol; stage banner -> setting tls-at-once
    The server speaks TLS from the first moment. Set option tls to 'tls'.

cause tls-protocol -> setting tls-protocol
    The server speaks no TLS that is new enough (1.2), or none at all on this port. Check options port and tls: 587
    with 'starttls', 465 with 'tls'. ({text})

cause cleartext -> setting cleartext
    Without TLS, mail and password would cross the internet for everybody to read. Set option tls to 'starttls' or
    'tls', or allow_cleartext '1' if that is all right here.

cause no-starttls -> setting no-starttls
    The server offers no encryption on port {port}, so nothing was sent. If this happens suddenly, something on the
    way may be removing it (a firewall that inspects mail, or an attack). Otherwise try port 465 with tls 'tls'.

cause cert-not-yet-valid -> setting certificate-not-yet-valid
    The server's certificate is valid only from {not_before}. Check the date and time of this machine: a router
    without Internet time shows an old date. The mail waits.

cause cert-expired -> setting certificate-expired
    The server's certificate was valid until {not_after}. If it should be good, check the date and time of this
    machine. If it is your own server, renew its certificate.

cause cert-wrong-name -> setting certificate-name
    The server's certificate is for {names}, not for {host}. Write one of these names into option host.

cause cert-untrusted -> setting certificate-untrusted
    The server's certificate is from {issuer}, whom this machine does not trust. If it is a public provider,
    something on the way answers in its place: don't send. Or the machine lacks the list of those to trust: on OpenWrt
    install the package ca-bundle, on Debian ca-certificates. If it is your own server, put its CA into option ca_file,
    or read the fingerprint at the server itself (openssl x509 -noout -fingerprint -sha256 -in CERTIFICATE) and set
    option fingerprint to it.

cause cert-fingerprint -> setting certificate-changed
    The server's certificate is not the one in option fingerprint. If you have not renewed it, something on the way
    answers in the server's place: don't send. If you have, compare with the fingerprint at the server itself, and
    write it there if it is this one: {sha256}

cause ca-file -> setting ca-file
    The file in option ca_file cannot be used: {text}.

# Who is too busy, or wants slower sending

host smtp-relay.gmail.com; code 421; stage ehlo -> setting google-name
    Google does not like the name this machine calls itself. Set option hostname in section main to a full name such
    as router.example.org, not localhost.

text greylist | graylist | grey-list | greylisting -> passing greylisted
    The provider lets senders wait that it does not know yet. The mail is tried again.

text too many recipients -> passing fewer-recipients
    The provider takes fewer recipients at once. Those that are left get the mail with the next attempt.

text too many connections | too many concurrent | concurrent | too many sessions | thread limit |
maximum per connection -> passing fewer-connections
    The provider wants fewer connections at once. The mail waits; set option connections to '1', or option rate, for
    example '20/minute'. It said: {text}

# What is about one sender or one recipient, whatever else it says

enhanced 5.7.60 5.7.23 5.7.26 5.7.27 5.7.509 5.7.515 5.2.252 5.1.7 -> sender sender-refused
    The account may not send from this address. Set option sender in section main (or option from of this smarthost)
    to the address that you log in with, or to another one that the provider has confirmed. It said: {text}

stage mail; enhanced 5.2.2 4.2.2 -> setting own-mailbox-full
    The account's own mailbox is full, and the provider lets it send nothing. Make room there; the mail waits until
    then. It said: {text}

stage mail; code 5; text mailbox is full | mailbox full | over quota | mailbox quota | storage quota
-> setting own-mailbox-full

enhanced 5.2.2 4.2.2 -> recipient mailbox-full
    The recipient's mailbox is full.

code 4 5; text mailbox is full | mailbox full | inbox is full | out of storage | mailbox for user is full |
over quota | mailbox quota | mailbox size limit | storage quota | mailbox has exceeded | mailbox exceed |
mailbox limit -> recipient mailbox-full

enhanced 5.2.1 5.7.124 5.7.129 5.7.133 5.7.134 -> recipient recipient-closed
    This recipient takes no mail from you, or none at all. Ask the recipient's administrator. It said: {text}

code 5; text tried to reach | to this recipient | to this group | to this mailbox | to this address |
sendernotauthenticatedfor | allowed-senders | mailbox is disabled | mailbox disabled | resolver.rst
-> recipient recipient-closed

stage rcpt; code 5; text recipient account | recipient's account | recipient mailbox | recipient's mailbox |
account for | user account is | this user -> recipient recipient-closed

stage rcpt; enhanced 5.1.1 5.1.10; text account -> recipient no-such-recipient
    The provider has no such recipient. Check the address for a typing mistake. It said: {text}

enhanced 5.4.1; text recipient address rejected -> recipient no-such-recipient

code 5; text recipient address rejected: access denied -> setting relay-denied
    The provider sends mail to others only after a login, or only for its own customers. Set options username and
    password, and use port 587 or 465.

code 5; text recipient address rejected | recipient rejected | invalid recipient | unknown recipient |
bad recipient -> recipient no-such-recipient

# The account: blocked, used up

enhanced 5.7.501 5.7.502 5.7.503 5.7.504 5.7.505 5.1.8 5.7.705; text access denied | outbound | exceeded
-> setting microsoft-blocked
    Microsoft 365 has blocked this account from sending. An administrator can unblock it at security.microsoft.com,
    'Restricted entities'. The mail waits. It said: {text}

enhanced 5.7.708 5.7.750 -> setting microsoft-address
    Microsoft 365 takes no mail from this Internet address or organisation (usual for new and for trial accounts). Its
    administrator has to ask Microsoft's support to allow it. The mail waits. It said: {text}

enhanced 5.4.5 5.1.90 -> setting daily-limit
    The account's limit for one day is reached (Gmail: 500 recipients, Workspace 2000). The mail waits and goes out when
    the provider takes it again. To stay below, set option rate, for example '20/minute 400/day'.

text submissionquotaexceeded | daily limit | daily user | daily sending | daily message | daily quota | daily smtp |
daily relay | daily email | daily mail | daily send | per day | monthly | credits | credit limit | out of credit |
no credit | insufficient credit | messaging limit | quota has been | sending quota | message quota | mail quota |
email quota | quota exceeded | quota reached | exceeded quota | exceeded your quota | exceeded the quota |
exceeds quota | exceeded its quota | send limit | sending limit | limit for sending | per hour | hourly limit |
hourly sending | max defers | exceeded threshold | recipient limit -> setting quota
    The account has sent as much as it may: a daily limit, a quota or credits are used up. The mail waits and goes out
    when the provider takes it again. To stay below, set option rate, for example '20/minute 400/day'. It said: {text}

code 4; text too much mail | rate limit | rate exceeded | ratelimit | too many | quota | limit exceeded |
limit reached | throttl | too quickly | too fast | slow down | sending rate -> passing slower
    The provider wants slower sending. The mail waits; set option rate, for example '20/minute'. It said: {text}

code 5; text too many messages | too much mail | too many mails | too many emails | rate limit | ratelimit | throttl |
sending rate | too quickly | too fast | unusual sending | exceeded the max | emails per -> setting too-much
    The account has sent as much as it may. The mail waits and goes out when the provider takes it again. To stay below,
    set option rate, for example '20/minute 400/day'. It said: {text}

text account is disabled | account disabled | account has been | account is suspended | account suspended |
account is blocked | account blocked | account is locked | account locked | account is not act | account not act |
account is under | account is inactive | account inactive | account is temporarily | account is currently |
account on hold | account is on hold | account is restricted | user disabled | user is disabled | user suspended |
sending suspended | sending is suspended | sending paused | sending has been | sending is disabled |
sending disabled | domain is disabled | domain has been disabled | domain is suspended | not yet activated |
not activated | under validation | under review | has been suspended | been blocked from sending | outgoing blocked |
outbound sender | restricted from sending | compromised | free accounts | trial account | please upgrade |
outboundspamexception | outbound messages | subscription | trial has | license expired | licence expired |
sending denied | sandbox domain | sandbox subdomain | sandbox account | payment | unpaid -> setting account-blocked
    The provider has blocked the account, or not yet unlocked it. Look at its web page, or ask it why. The mail
    waits until this is mended. It said: {text}

stage mail data dot; code 5; text is disabled | is suspended | is deactivated -> setting account-blocked

# The name in EHLO, and the name that the Internet address has

text helo | ehlo name | ehlo command rej | ehlo argument | ehlo host | ehlo: | invalid ehlo | bad ehlo |
need fully-qualified host | fully qualified host | invalid hostname | invalid host name | bogus host
-> setting name-refused
    The provider does not like the name this machine calls itself. Set option hostname in section main to a full
    name such as router.example.org, not localhost. It said: {text}

text reverse dns | reverse hostname | reverse-dns | rdns | ptr | cannot find your | could not find your
-> setting no-reverse-name
    The provider refuses this Internet address, since it has no name of its own. Such refusals are usual for port 25
    from home and mobile lines: use port 587 or 465 with a login. It said: {text}

enhanced 5.7.25 4.7.25 -> setting no-reverse-name

# Who may send from which address

host amazonaws.com; text address blacklisted -> recipient ses-suppressed
    Amazon SES no longer sends to this recipient (suppression list): mail to it has bounced before.

text the ip you | not authorized to send email directly | not allowed to connect | all messages from |
connection rejected -> setting address-listed
    The provider refuses this Internet address: it is on a list, or of a kind it takes no mail from. Such refusals are
    usual for home and mobile lines: use port 587 or 465 with a login, or ask the provider. It said: {text}

host amazonaws.com; text is not authorized to perform -> setting ses-rights
    The SMTP credentials may not send: the AWS user behind them lacks the right ses:SendRawEmail for this identity. Give
    it that right, or create new SMTP credentials in the SES console.

text not authorized to perform -> setting credentials-rights
    The credentials may not send: whoever manages the account has to give them the right to. It said: {text}

text not verified; host amazonaws.com -> sender ses-unverified
    Amazon SES sends only from verified addresses. Verify the sender in the SES console of this region, or set
    option sender in section main to one that is. A new account may also send to verified recipients only (sandbox).

text invalid credentials for relay | mail relay denied -> setting workspace-relay

text sender address rejected: not logged in | unauthenticated senders -> setting sender-login
    The provider takes mail from this address only after a login. Set options username and password.

host yahoo.com aol.com; code 55; text mailbox unavailable; stage mail data dot -> sender sender-not-account
    The account may not send from this address. Set option sender in section main to the address that you log in
    with.

enhanced 4.1.8 5.1.8 4.1.7 -> sender sender-invalid
    The sender is no address that mail can come from. Set option sender in section main to the address that you log in
    with. It said: {text}

code 5; text multiple from | there are multiple | duplicate header | duplicate from -> message bad-header
    The machine writes a header that no provider takes. It said: {text}

text sender id | sendasdenied | send as | sender address | sender not | sender is not | sender verif | sender domain |
sender's domain | sender denied | sender rejected | sender refused | sender identity | sender login | sender unknown |
unauthorized sender | unauthorised sender | unallowed sender | unregistered sender | unknown sender | invalid sender |
bad sender | illegal sender | sender signature | not verified | fake sender | spoofed | spoofing | not owned by |
owned by user | not your address | not one of your | not a verified | verified sender | does not match | must match |
must be same | must be the same | must equal | must be from | not allowed to send from | not authorized to send |
not permitted to send | not allowed to send | not authorised to send | to send as | not permitted to relay as |
relaying disallowed as | not allowed to relay emails | header from | from address | from header | from: header |
from domain | envelope sender | envelope from | reverse-path | reverse path | return-path | return path |
mail from must | mail from address | domain of sender | not local sender | missing from | from field | from: field |
domain not verified | domain is not verified | unverified sender | unverified domain | unverified address
-> sender sender-refused

text dmarc | dkim | spf | sender policy framework | unauthenticated email -> sender sender-authentication
    The provider does not believe that this sender's mail comes from here (SPF, DKIM, DMARC). Set option sender in
    section main (or option from of this smarthost) to the address that you log in with. It said: {text}

stage mail; code 5; text no such user | user unknown | unknown user | unknown address | mailbox unavailable |
mailbox not found | no such mailbox | does not exist | syntax | malformed | invalid address | bad address |
must contain a domain | not a valid | address rejected | not allowed | not permitted | not authori | not accepted |
not our user -> sender sender-not-taken
    The provider takes no mail from this sender. Set option sender in section main (or option from of this smarthost)
    to the address that you log in with. It said: {text}

stage mail; enhanced 5.1.0 5.1.3 -> sender sender-not-taken

# Internet addresses that are listed; contents that name listed ones

code 5; text surbl | uribl | url in | a url | urls | blacklisted url | links | a link | bad link |
malicious -> message content-refused
    The provider refuses the message for what is in it. It said: {text}

text spamhaus | blocked using | dnsbl | rbl | blacklist | blocklist | black list | block list | is listed |
listed at | listed in | listed by | listed on | listing in | on our list | client host | client address |
banned sending ip | from this ip | from your ip | ip address | ip reputation | ip is | ip not | your ip | ip= |
source ip | sending ip | connecting ip | sender ip | mail from ip | messages from ip | unauthorized ip |
unauthorised ip | dynamic ip | dynamic address | dynamically | dial-up | dialup | residential | poor reputation |
low reputation | bad reputation | barracuda | sorbs | uceprotect | abusix | spamcop |
connections will not be accepted | not accepted from this -> setting address-listed

enhanced 5.7.606 5.7.511 -> setting address-listed

# The greeting

cause rejected closing; stage banner ehlo; code 4 -> passing busy
    The provider is busy. The mail waits and is tried again. It said: {text}

cause rejected; stage ehlo -> setting name-refused

cause rejected; stage banner; code 5 -> setting address-refused
    The provider refuses this Internet address. Such refusals are usual for port 25 from home and mobile lines: use
    port 587 or 465 with a login. It said: {text}

cause rejected; stage banner -> passing busy

# Size, login, port, recipient, contents

enhanced 5.3.4 5.2.3 -> message too-large
    The message is larger than the provider takes. Send smaller pictures, or lower option max_message_size in
    section main so that the machine hears of it at once. ({text})

code 5; text message size | size limit | maximum size | too large | too big | exceeds size | size exceeds |
larger than -> message too-large

code 552; text size | large -> message too-large

enhanced 5.6.7 -> recipient no-umlauts
    The provider takes no addresses with umlauts or other special characters. Use a plain address.

code 5; text too many hops | hop count | mail loop | loops back | routing loop | loop detected -> message loop
    The mail goes round in a circle: it came here, or to the provider, too often. It said: {text}

enhanced 5.7.57 5.7.54 5.7.64 -> setting relay-denied

text relay access | relaying | rcpthosts | forwarding to remote | delivery not authorized | must use authentication |
authentication failed | use authentication | relay denied | relay not | relay prohibited | relay is not |
unable to relay | to relay | for relay | cannot relay | no relay | not relay | relay through | open relay |
authentication required | authentication is required | requires authentication | must authenticate |
must be authenticated | please authenticate | not authenticated | authentication needed | need to authenticate |
smtp auth | auth first | auth command | auth required | log in first | login first | login required | must login |
must log in | must check for new mail | check your mail first | denied (mode: normal) | pop before smtp |
turn on smtp authentication | unauthenticated user | outgoing smtp auth -> setting relay-denied

code 5; text port 587 | port 465 | submission port | port 25 | use port | use 587 | use 465 | wrong port
-> setting other-port
    The provider wants mail on another port. Set option port to 587 with tls 'starttls', or to 465 with tls 'tls'. It
    said: {text}

enhanced 5.1.1 5.1.10 -> recipient no-such-recipient

stage rcpt; enhanced 5.1.0 5.1.2 5.1.3 5.1.6 5.5.0 -> recipient no-such-recipient

enhanced 5.1.3 -> recipient not-an-address
    This is not a mail address. Check it for a typing mistake.

code 5; text user not found | recipient not found | account not found | user unknown | unknown user | no such user |
no such recipient | recipientnotfound | unrouteable | unroutable | mailbox unavailable | mailbox not found |
no such mailbox | no mailbox | does not exist | doesn't have a | not a valid mailbox | domain not found |
host or domain name not found -> recipient no-such-recipient

text permissions to submit | client was not authenticated -> setting relay-denied

stage mail; enhanced 5.7.0 5.7.1 5.7.2 -> sender sender-not-taken

code 5; text attachment | security issue | file type | filetype | executable | banned file | .exe | malware | virus |
infected | dangerous content -> message attachment
    The provider refuses the message for what is attached to it or stands in it: a kind of file that it does not
    take, or what looks like a virus. It said: {text}

code 5; text spam | junk | unsolicited | phish | blocked | reputation | policy | policies | suspicious |
content -> message spam
    The provider took the message for spam, or its rules forbid it. If option sender in section main is not set to your
    own address there, set it. It said: {text}

code 5; text try again | try later | temporar | please retry -> passing deferred
    The provider defers the message. It is tried again. It said: {text}

code 5; text access denied -> setting relay-denied

stage mail; code 501 551 553 -> sender sender-not-taken

stage rcpt; code 5 -> recipient recipient-refused
    The provider refuses this recipient. It said: {text}

stage local mail data dot; code 5 -> message message-refused
    The provider refuses the message. It said: {text}

stage mail rcpt data dot; code 4 -> passing deferred

# The rest

cause closing -> passing closing
    The provider ends the connection. The mail waits and is tried again. It said: {text}

cause garbage; stage banner -> setting not-smtp
    What answers at {host}, port {port} is not a mail server, or something on the way disturbs it. Check options
    host and port. ({text})

cause garbage -> passing not-smtp

cause timeout -> passing silent
    {host} took the connection and then said nothing. The line may be slow or disturbed, or something on the way
    inspects mail. The mail waits and is tried again.

cause lost -> passing lost
    The connection to {host} broke off. The mail waits and is tried again.

any -> passing other
    It did not work: {text}
"""
