'use strict';
'require baseclass';
'require mailrelay.advice as advice';
'require mailrelay.layout as layout';
'require mailrelay.options as options';

/* global advice, layout, options */

/*
 * What the relay finds and advises, in the page's words and language: by the ids that it gives beside its own English,
 * which speaks of options. {main.sender} is the title of that field, {value} a fact of the relay's. Where an id is not
 * known, as from another version, what the relay says is shown.
 */

/* By a finding's code, or by code and option where these differ. What is not of its type is said by options.js. */
const FINDINGS = {
	'unreadable': _('The settings cannot be read: {error}'),
	'syntax': _('The settings cannot be read from line {line} of the file on ({reason}): mend that line by hand.'),
	'second-main': _('Only one section with the relay\'s own settings counts, the one called main: remove the other from the file.'),
	'unknown-section': _('"{value}" is no kind of section that the relay knows: remove it from the file.'),
	'unknown-option': _('The relay knows no such option there: remove it from the file, or correct its name.'),
	'twice': _('Stands twice in the file, and line {last} counts: remove one of the two.'),
	'cut': _('The file holds more than is read: a quote, # or ; ends it. Enter it anew.'),
	'no-list': _('Takes one value, and the file has a list: enter it anew.'),
	'readable-by-others': _('The settings file can be read by others, and it holds passwords: run chmod 600 on it.'),
	'no-smarthost': _('There is no provider, so that all mail is refused for now.'),
	'no-smarthost-for-others': _('Leaves mail from other senders without a provider: clear it for one provider.'),
	'nobody-told': _('Is empty, and no login name is a mail address: nobody is told of mail that cannot be delivered. Enter your address.'),
	'no-network': _('Nothing is chosen, so that only the router itself can send. Choose the network of your machines, such as lan.'),
	'public-network': _('"{value}" lets addresses of the internet send. Enter networks of your own, or see that a firewall keeps everyone else out.'),
	'dotless-hostname': _('"{value}" has no dot: providers are greeted by the connection\'s address instead. Enter a full name like router.example.org.'),
	'dotless-domain': _('"{value}" has a domain without a dot, which providers refuse: enter the full domain.'),
	'spool-in-memory': _('"{value}" is in memory: a power cut loses the mail that waits there. Name a folder on flash, a disk or a USB stick.'),
	'no-program': _('"{value}" does not exist or cannot be run.'),
	'retry-order': _('"{value}" is shorter than {main.retry_min}: enter at least {least}.'),
	'queue-too-small': _('"{value}" is less than {main.max_message_size}: a mail of that size can never be taken.'),
	'exposed-network': _('"{value}" is in the firewall zone "{zone}", which faces the internet: anyone there could send. Take it out.'),
	'unknown-network': _('There is no network "{value}" on this router. It has: {known}'),
	'alias-twice': _('"{value}" is set twice: put its addresses into one line, with commas between them.'),
	'alias-nowhere': _('"{value}" is neither an address nor another alias.'),
	'alias-loop': _('"{value}" comes back to itself: enter where its mail goes in the end.'),
	'no-effect': _('Has no effect without encryption.'),
	'no-effect overflow': _('Has no effect without {smarthost.rate} and another provider.'),
	'no-effect accept_any_login': _('Has no effect while {main.login} is set to none.'),
	'sender-of-another': _('Is empty, and mail through this provider comes from {sender}, which it may refuse: enter {account}.'),
	'two-logins': _('Leaves {client.username} without a meaning: set one of the two.'),
	'missing': _('Is missing.'),
	'missing host': _('Is missing: enter the name of the provider\'s server, like smtp.example.org.'),
	'missing address': _('Is missing: enter the machine\'s address, like 192.168.1.10.'),
	'missing username': _('Is missing, but there is a password.'),
	'missing password': _('Is missing, but there is a login name.'),
	'redirected-network': _('Is for one machine, and "{address}" is a network: the mail of all others there would be caught, too.'),
	'address-twice': _('"{value}" has an entry already: put both into one.'),
	'not-allowed': _('"{value}" may not send at all: choose its network in {main.network}, or enter it in {main.allow}.'),
	'family-mismatch': _('"{value}" does not fit the address in {smarthost.host}.'),
	'itself': _('"{value}" is this relay itself, and mail would go round for ever: enter the name of the provider\'s server.'),
	'cleartext': _('With none, everyone on the way can read mail and password. It works only to a server in a private network, or with {smarthost.allow_cleartext}.'),
	'cleartext-refused': _('None is refused, as {host} is not in a private network: choose starttls or tls, or tick {smarthost.allow_cleartext} if anyone may read the mail.'),
	'reading-port': _('{value} is for reading mail. Sending uses 587 or 465.'),
	'port-and-tls': _('{value} usually wants {smarthost.tls} to be {tls}.'),
	'not-a-server': _('"{value}" is the provider\'s domain. Its server for sending is {instead}.'),
	'reading-host': _('"{value}" looks like a server for reading mail. The one for sending may be {instead}.'),
	'auth-without-login': _('"{value}" needs {smarthost.username} and {smarthost.password}.'),
	'unused-login': _('None leaves the login unused: choose auto to log in.'),
	'no-login': _('Is empty, and most providers want a login on this port.'),
	'space-in-password': _('Begins or ends with a space: remove it unless it belongs to the password.'),
	'not-verified': _('Is off: whoever sits in between can read the password and the mail. For a server of your own, set {smarthost.ca_file} or {smarthost.fingerprint} instead.'),
	'no-file': _('There is no file "{value}".'),
	'address-in-certificate': _('"{value}" is an address, which few certificates name: enter the server\'s name.')
};

/* What the Postfix engine alone finds, and what it does not carry out; by section, for its table of those. */
const POSTFIX = {
	'postfix-username': _('Has a colon in it or begins with a space, which Postfix cuts off: use the Python engine if it belongs there.'),
	'postfix-password': _('Ends with a space, which Postfix cuts off: remove it, or change the password.'),
	'postfix-auth': _('The system\'s SASL library lacks login, so that no mail will go out: choose auto or plain.'),
	'postfix-from': _('Is not carried out by Postfix for this provider: mail through all of them comes from {sender}.'),
	'postfix-priority': _('This provider cannot take over from the first one under Postfix: it differs in sender, encryption, authorities, kind of login, family or time limit.'),
	'postfix-smtputf8': _('This Postfix is built without SMTPUTF8: addresses with letters beyond ASCII are refused.'),
	'postfix-smuggling': _('This Postfix ({version}) takes a lone dot between bare line feeds for the end of a mail (CVE-2023-51764): what could hide a second mail is refused, and so are machines that send everything at once. Use Postfix 3.8.5 or later, or the Python engine.'),
	'postfix-mailrelay login': _('Postfix offers no login: a machine that insists on one sends nothing.'),
	'postfix-mailrelay hostname': _('Has no dot: under Postfix providers are greeted by the first address that it listens on.'),
	'postfix-mailrelay notify': _('Postfix runs no program.'),
	'postfix-mailrelay notify_after': _('Under Postfix nobody is told of mail that is stuck.'),
	'postfix-mailrelay failed_lifetime': _('Postfix does not keep what has failed for good: {main.postmaster} is sent it, if one is set.'),
	'postfix-mailrelay allowed_recipient': _('Postfix does not ask this of addresses in {main.alias}, {main.recipient} and {main.postmaster}.'),
	'postfix-mailrelay sender': _('Postfix keeps the original sender in X-Original-From, never in Reply-To.'),
	'postfix-mailrelay max_line_length': _('Postfix takes lines of any length, and folds them at 998.'),
	'postfix-mailrelay max_header_length': _('Under Postfix this holds for each header field, and what is longer is cut.'),
	'postfix-mailrelay max_queue_size': _('Under Postfix this is only free space that must be left, measured at its start.'),
	'postfix-mailrelay max_connections': _('Under Postfix this holds for each address and port, and at most 500 are used.'),
	'postfix-mailrelay queue_lifetime': _('Under Postfix this counts up to 100 days.'),
	'postfix-smarthost rate': _('Postfix sends one mail a second at most, and counts no days.'),
	'postfix-smarthost overflow': _('Postfix lets mail over {smarthost.rate} wait.'),
	'postfix-smarthost sender': _('Postfix compares this with {main.sender}, where that is set.'),
	'postfix-client accept_any_login': _('Postfix offers no login: a machine that insists on one sends nothing.'),
	'postfix-client username': _('Postfix asks no machine for a login: all mail from this address is refused.'),
	'postfix-client rate_limit': _('Postfix can only limit all machines alike.')
};

/* What to do where a machine is refused, or a test mail cannot begin; the rest of all advice is advice.js. */
const ADVICE = {
	'disk': _('Look at the storage that {main.spool} lies on: make room, mount it to be written again, or replace it. Until then mail may be refused, wait, or go out twice.'),
	'no-provider': _('Add a provider.'),
	'no-provider-for-sender': _('Each provider is for mail from some senders only: clear {smarthost.sender} for one of them.'),
	'machine-network': _('Choose the machine\'s network in {main.network}, or enter its address in {main.allow}, if it may send.'),
	'machine-nobody': _('Enter your address as {main.postmaster}, or where mail to this name goes in {main.alias}.'),
	'machine-recipient': _('Add the recipient to {main.allowed_recipient}, if mail may go there.'),
	'machine-rate': _('Raise {client.rate_limit} in its entry: a machine without a queue loses what is refused.'),
	'machine-room': _('Look at the queue for what waits; raise {main.max_queue_size}, or choose a {main.spool} on larger storage.'),
	'machine-recipients': _('Raise {main.max_recipients}, if the machine does not send the mail again for the others.'),
	'machine-provider': _('Add a provider.'),
	'machine-large': _('Raise {main.max_message_size}, or have the machine send less at a time.'),
	'machine-header': _('Raise {main.max_header_length}.'),
	'machine-line': _('Raise {main.max_line_length}.'),
	'machine-loop': _('Find the server that sends this mail back to the relay.'),
	'machine-disk': _('The log says what the storage answered.'),
	'machine-login': _('Give the machine the login name and password of its entry here, or take them out of it.'),
	'machine-offer-login': _('Set {main.login} to any, or tick {client.accept_any_login} in an entry for this machine.'),
	'machine-kind-of-login': _('Have the machine log in by LOGIN or PLAIN, or without a login.'),
	'machine-no-tls': _('Turn SSL/TLS (also called STARTTLS, encryption, secure connection) off in the machine\'s mail settings.'),
	'machine-before': _('The reason is in the refusal before this one.'),
	'machine-line-ends': _('Have the machine end every line of its mail in CRLF.'),
	'machine-web': _('Send it mail, not web pages: the web interface is at another port.'),
	'machine-command': _('Raise {main.max_command_length}, if the machine needs it.'),
	'machine-plain': _('See that the machine is set to send by plain SMTP; look for newer firmware of the machine if it sends no mail.'),
	'machine-firmware': _('Look for newer firmware of the machine if it sends no mail.'),
	'machine-address': _('Correct the address in the machine\'s settings: name@example.org, and nothing beside it.'),
	'machine-umlauts': _('Write the addresses in the machine\'s settings without umlauts and the like.'),
	'machine-extras': _('Turn delivery notifications and other extras off in the machine\'s mail settings.'),
	'machine-slow': _('See to the machine\'s network; or lower {main.min_data_rate}.'),
	'machine-silent': _('See to the machine\'s network; or raise {main.command_timeout}.'),
	'machine-connections': _('Have the machine close its connections; or raise {main.max_connections} and {main.max_connections_per_client}.')
};

/* The text with titles and facts in its {places}; null without one, or where a fact is not there. */
function fill(text, values) {
	let complete = text != null;

	const filled = (text || '').replace(/\{([a-z_0-9]+)(?:\.([a-z_0-9]+))?\}/g, (all, name, option) => {
		const found = option ? layout.titleOf(name == 'main' ? 'mailrelay' : name, option) : (values || {})[name];

		if (found == null)
			complete = false;
		return option && found ? _('"%s"').format(found) : found;
	});

	return complete ? filled : null;
}

/* Of a value that is not of its type, which is what the code says. */
function typed(finding) {
	const type = options.types[(finding.code || '').replace(/^no-/, '')], values = finding.values || {};

	if (!type || !/^no-/.test(finding.code))
		return null;

	return [
		values.value == null ? _('This cannot be used.') : _('"%s" cannot be used.').format(values.value),
		_('Expected: %s').format(type.text) + '.',
		values.instead == null ? null : _('It may be "%s".').format(values.instead)
	].filter(Boolean).join(' ');
}

return baseclass.extend({
	/* The ids that there are words for. */
	findings: Object.assign({}, FINDINGS, POSTFIX),
	advice: Object.assign({}, advice.texts, ADVICE),

	/*
	 * What a finding says, in one text: of `mailrelay check --json`, or one of the status's warnings. `names` says where it
	 * is, of its section and option; without it the field's title does.
	 */
	findingText(finding, names) {
		const place = (names || ((section, option) => option && layout.title(section, option)))(finding.section, finding.option);

		return [ place, this.finding(finding) ].filter(Boolean).join(': ');
	},

	/* The same without the place. */
	finding(finding) {
		const text = this.findings[finding.code + ' ' + finding.option] || this.findings[finding.code];

		return fill(text, finding.values) || typed(finding) || (finding.problem ? finding.problem + '; ' + finding.hint : finding.text);
	},

	/* What to do about a failure, a trouble, a refusal, a port that is taken, or the end of a test; '' where nobody knows. */
	adviceText(failure) {
		if (failure.stop != null)
			return failure.stop ? _('Run this on the router: %s. Or enter another port, here and in the machines.').format(failure.stop)
				: _('Stop that program, or enter another port here and in the machines.');

		const values = Object.assign({ text: failure.answer || failure.text }, failure.advice_values);

		return fill(this.advice[failure.advice_code], values) || failure.advice || '';
	}
});
