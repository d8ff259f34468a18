'use strict';
'require baseclass';

/*
 * The fields of the settings page: tabs, titles and their order. What else there is to an option stands in options.js.
 * The page draws them, and whatever speaks of a setting calls it by its title here.
 */

/* By section: tabs, each with its name, title, and options with their titles. */
const TABS = {
	mailrelay: [
		[ 'general', _('General'), [
			[ 'enabled', _('Enabled') ], [ 'network', _('Networks that may send') ], [ 'allow', _('Addresses that may send') ],
			[ 'sender', _('Send as') ], [ 'postmaster', _('Notices to') ]
		] ],
		[ 'recipients', _('Recipients'), [
			[ 'recipient', _('Send everything to') ], [ 'alias', _('Aliases') ], [ 'allowed_recipient', _('Allowed recipients') ]
		] ],
		[ 'trouble', _('Trouble'), [
			[ 'notify', _('Program') ], [ 'notify_after', _('Stuck after') ]
		] ],
		[ 'storage', _('Storage'), [
			[ 'spool', _('Folder') ], [ 'max_queue_size', _('Largest queue') ], [ 'min_free_space', _('Free space') ],
			[ 'queue_lifetime', _('Try for') ], [ 'failed_lifetime', _('Keep failed mail for') ]
		] ],
		[ 'advanced', _('Advanced'), [
			[ 'hostname', _('Own name') ], [ 'port', _('Ports') ], [ 'login', _('Logins of machines') ],
			[ 'retry_min', _('First wait') ], [ 'retry_max', _('Longest wait') ],
			[ 'max_message_size', _('Largest mail') ], [ 'max_recipients', _('Recipients of a mail') ],
			[ 'max_connections', _('Connections') ], [ 'max_connections_per_client', _('Connections of a machine') ],
			[ 'command_timeout', _('Time for a command') ], [ 'min_data_rate', _('Slowest mail') ],
			[ 'max_useless_commands', _('Useless commands') ], [ 'max_command_length', _('Longest command') ],
			[ 'max_line_length', _('Longest line') ], [ 'max_header_length', _('Longest header') ]
		] ]
	],
	smarthost: [
		[ 'general', _('General'), [
			[ 'enabled', _('Enabled') ], [ 'host', _('Server') ], [ 'tls', _('Encryption') ], [ 'port', _('Port') ],
			[ 'username', _('Login name') ], [ 'password', _('Password') ]
		] ],
		[ 'use', _('Use'), [
			[ 'from', _('Send as') ], [ 'sender', _('For mail from') ], [ 'rate', _('At most') ],
			[ 'overflow', _('The rest by the next provider') ], [ 'priority', _('Priority') ]
		] ],
		[ 'advanced', _('Advanced'), [
			[ 'auth', _('Kind of login') ], [ 'verify', _('Verify the server') ], [ 'ca_file', _('Authorities') ],
			[ 'fingerprint', _('Fingerprint') ], [ 'allow_cleartext', _('Allow no encryption') ], [ 'family', _('Connect by') ],
			[ 'connections', _('Connections') ], [ 'timeout', _('Time limit') ]
		] ]
	],
	client: [
		[ 'general', _('General'), [
			[ 'address', _('Address') ], [ 'accept_any_login', _('Takes any login') ], [ 'username', _('Login name') ],
			[ 'password', _('Password') ], [ 'rate_limit', _('Mails a minute') ], [ 'redirect', _('Catch its mail') ]
		] ]
	]
};

/* The type of a section by what the relay calls it, of those that have the option. */
function typeOf(section, option) {
	const first = section == 'main' ? 'mailrelay' : /^client\b/.test(section) ? 'client' : 'smarthost';

	return [ first, 'smarthost', 'client', 'mailrelay' ].find((type) => titleOf(type, option)) || first;
}

function titleOf(type, name) {
	const entries = TABS[type].flatMap((tab) => tab[2]);

	return (entries.find((entry) => entry[0] == name) || [])[1];
}

return baseclass.extend({
	tabs: TABS,

	/* The tab of an option, undefined where there is none. */
	tabOf: (type, name) => (TABS[type].find((tab) => tab[2].some((entry) => entry[0] == name)) || [])[0],

	/* A field's title, by the option's name and the section's type; undefined where there is none. */
	titleOf: titleOf,

	/* The same by what the relay calls the section; the name itself where there is no such field. */
	title: (section, option) => titleOf(typeOf(section, option), option) || option
});
