'use strict';
'require baseclass';

/* Made from the relay's schema.py by `python3 -m forge.generate.luci_options`. */
return baseclass.extend({
	yes: [ '1', 'yes', 'on', 'true', 'enabled' ],
	no: [ '0', 'no', 'off', 'false', 'disabled' ],
	sizes: { '': 1, 'K': 1024, 'M': 1048576, 'G': 1073741824 },
	durations: { '': 1, 's': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800 },
	noSpool: [ '/', '/bin', '/boot', '/dev', '/etc', '/etc/config', '/etc/mailrelay', '/home', '/lib', '/mnt', '/overlay', '/overlay/upper', '/proc', '/rom', '/root', '/run', '/sbin', '/sys', '/tmp', '/usr', '/usr/bin', '/usr/lib', '/var', '/var/lib', '/var/mail', '/var/run', '/var/spool', '/var/tmp' ],
	spaceFree: [ 'net', 'network', 'port' ],
	sections: {
		mailrelay: {
			enabled: { kind: 'switch', value: '1', help: _('Whether the relay runs at all.') },
			network: { kind: 'network', list: true, help: _('The networks whose machines may send, by name: `lan` on OpenWrt, a network interface like `eth0` elsewhere. The relay listens on their addresses. This machine itself may always send.') },
			allow: { kind: 'net', list: true, help: _('Further addresses or networks that may send, like `192.168.7.0/24`: those behind another router.') },
			port: { kind: 'port', list: true, value: '25', help: _('The ports to listen on.') },
			hostname: { kind: 'hostname', computed: _('the system\'s host name'), help: _('The name the relay calls itself by, to machines and to the provider. Never `localhost`: many providers refuse it.') },
			spool: { kind: 'spool', value: '/etc/mailrelay/spool', help: _('The folder where mail waits. It must be on storage that survives a power cut: not in `/tmp`, and on OpenWrt not in `/var`.') },
			max_message_size: { kind: 'size', value: '25M', low: 1024, high: 1073741824, lowText: '1K', highText: '1G', help: _('The largest mail that is taken.') },
			max_queue_size: { kind: 'size', value: '0', low: 0, high: 1099511627776, lowText: '0', highText: '1024G', help: _('How much may wait in all; `0` is a quarter of the free space.') },
			min_free_space: { kind: 'size', value: '512K', low: 0, high: 1099511627776, lowText: '0', highText: '1024G', help: _('How much room always stays free on the spool\'s storage.') },
			sender: { kind: 'address', help: _('Sends every mail as coming from this address, as most providers demand that it is the account\'s own. The original goes into `Reply-To` or `X-Original-From`.') },
			recipient: { kind: 'address', list: true, help: _('Sends every mail to these addresses, whoever it was addressed to.') },
			alias: { kind: 'alias', list: true, help: _('Where mail to a local name goes: `root=owner@example.org`, several addresses separated by commas. The target may also be another alias.') },
			allowed_recipient: { kind: 'recipient', list: true, help: _('If set, mail is taken only for these addresses and domains.') },
			postmaster: { kind: 'address', help: _('Who is told by mail when a mail could not be delivered for good.') },
			notify: { kind: 'program', help: _('A program that is run when mail cannot say it: mail is stuck or the login is refused. It runs as the relay\'s user and finds the facts in its environment.') },
			notify_after: { kind: 'duration', value: '1h', low: 1, high: 7776000, lowText: '1s', highText: '90d', help: _('How long mail may be stuck before `notify` is run.') },
			queue_lifetime: { kind: 'duration', value: '5d', low: 1, high: 31536000, lowText: '1s', highText: '365d', help: _('How long delivery is tried before a mail counts as failed.') },
			failed_lifetime: { kind: 'duration', value: '7d', low: 0, high: 31536000, lowText: '0s', highText: '365d', help: _('How long a failed mail is kept, to be read or sent again.') },
			retry_min: { kind: 'duration', value: '30s', low: 1, high: 86400, lowText: '1s', highText: '1d', help: _('The first wait after a failed attempt; each further one is twice as long.') },
			retry_max: { kind: 'duration', value: '15m', low: 1, high: 604800, lowText: '1s', highText: '1w', help: _('The longest wait between two attempts.') },
			max_connections: { kind: 'integer', value: '256', low: 1, high: 10000, lowText: '1', highText: '10000', help: _('Connections at a time. When full, the one that gets on least is closed.') },
			max_connections_per_client: { kind: 'integer', value: '64', low: 1, high: 10000, lowText: '1', highText: '10000', help: _('Connections at a time from one address.') },
			max_recipients: { kind: 'integer', value: '100', low: 1, high: 10000, lowText: '1', highText: '10000', help: _('Recipients of one mail.') },
			max_command_length: { kind: 'size', value: '2K', low: 512, high: 1048576, lowText: '512', highText: '1M', help: _('The longest SMTP command.') },
			max_line_length: { kind: 'size', value: '1M', low: 1000, high: 1073741824, lowText: '1000', highText: '1G', help: _('The longest line within a mail. Lines over 998 bytes are folded on the way out.') },
			max_header_length: { kind: 'size', value: '64K', low: 1024, high: 16777216, lowText: '1K', highText: '16M', help: _('The longest header section of a mail.') },
			max_useless_commands: { kind: 'integer', value: '20', low: 1, high: 10000, lowText: '1', highText: '10000', help: _('Commands without progress before a connection is closed.') },
			command_timeout: { kind: 'duration', value: '60s', low: 1, high: 3600, lowText: '1s', highText: '1h', help: _('How long a machine may take for one command.') },
			min_data_rate: { kind: 'size', value: '64', low: 0, high: 1048576, lowText: '0', highText: '1M', help: _('How slow a mail may come in, in bytes a second; `0` for any speed.') }
		},
		smarthost: {
			enabled: { kind: 'switch', value: '1', help: _('Whether this provider is used.') },
			host: { kind: 'host', required: true, help: _('The provider\'s server for outgoing mail, like `smtp.example.org`.') },
			port: { kind: 'port', computed: _('587 with `starttls`, 465 with `tls`, 25 with `none`'), help: _('Its port.') },
			tls: { kind: 'choice', value: 'starttls', choices: [ 'starttls', 'tls', 'none' ], help: _('`starttls`: the connection is encrypted after a first command (port 587). `tls`: it is from the first byte on (port 465). `none`: it is not; only to private addresses, see `allow_cleartext`.') },
			allow_cleartext: { kind: 'switch', value: '0', help: _('With `tls` `none`: send unencrypted across other people\'s networks, where all can read it.') },
			verify: { kind: 'switch', value: '1', help: _('Whether the server must prove that it is who it says: certificate and name.') },
			ca_file: { kind: 'path', help: _('A file of certificate authorities to trust instead of the system\'s: for a server of your own.') },
			fingerprint: { kind: 'fingerprint', help: _('The SHA-256 fingerprint of the server\'s certificate, to trust this one and no other.') },
			auth: { kind: 'choice', value: 'auto', choices: [ 'auto', 'plain', 'login', 'cram-md5', 'none' ], help: _('How to log in. `auto` takes the best that the server offers.') },
			username: { kind: 'text', help: _('The login name, often the whole mail address.') },
			password: { kind: 'secret', help: _('The password. Many providers want an *app password* made for this purpose.') },
			priority: { kind: 'integer', value: '10', low: 0, high: 65535, lowText: '0', highText: '65535', help: _('The provider with the lowest number is tried first, the others when it fails.') },
			sender: { kind: 'sender', list: true, help: _('If set, this provider is only for mail from these addresses or domains (`@example.org`).') },
			rate: { kind: 'rate', help: _('How much to send at most: `30/minute`, `500/day`, or both with a space between.') },
			family: { kind: 'choice', value: 'any', choices: [ 'any', 'ipv4', 'ipv6' ], help: _('Whether to connect by IPv4, by IPv6 or by any.') },
			timeout: { kind: 'duration', value: '60s', low: 1, high: 3600, lowText: '1s', highText: '1h', help: _('How long to wait for the server\'s answer.') }
		},
		client: {
			address: { kind: 'net', required: true, help: _('The machine\'s address, or a network. The most specific section counts.') },
			accept_any_login: { kind: 'switch', value: '0', help: _('For machines that insist on a login: takes whatever they send.') },
			username: { kind: 'text', help: _('The login name that these machines must give.') },
			password: { kind: 'secret', help: _('The password that goes with it.') },
			rate_limit: { kind: 'integer', value: '0', low: 0, high: 1000000, lowText: '0', highText: '1000000', help: _('Mails a minute, `0` for any number.') },
			redirect: { kind: 'switch', value: '0', help: _('For a machine with a mail server built in, on OpenWrt: what it sends to port 25 of anyone comes to the relay instead. Wants the address of that one machine.') }
		}
	}
});
