'use strict';
'require baseclass';
'require dom';
'require ui';
'require mailrelay.relay as relay';
'require mailrelay.words as words';

/*
 * The test mail: a field, a button, and each step as it happens. Shown on the overview, where it goes out by the saved
 * settings, and on the settings page, where it goes out by those in the form. On the overview a machine's mail can be
 * played too: it goes through the relay's own port and the queue, and is followed until it is delivered.
 */

const PAUSE = 700; /* ms between two looks at a running test */

const STEPS = {
	name: _('Name lookup'),
	connect: _('Connection'),
	tls: _('TLS'),
	certificate: _('Certificate'),
	banner: _('Greeting'),
	ehlo: _('Hello'),
	starttls: _('Start of TLS'),
	login: _('Login'),
	mail: _('Sender'),
	rcpt: _('Recipient'),
	data: _('Mail'),
	dot: _('Acceptance'),
	quit: _('Goodbye'),
	lost: _('Connection'),
	next: _('Next provider'),
	queued: _('In the queue'),
	sending: _('On its way'),
	delivered: _('Delivery'),
	deferred: _('Delivery'),
	failed: _('Delivery')
};

/* What is worth showing of a certificate, by the relay's names. */
const CERTIFICATE = {
	issuer: _('issued by %s'),
	names: _('for %s'),
	not_after: _('valid until %s')
};

function facts(step) {
	if (step.step == 'certificate')
		return Object.keys(CERTIFICATE).filter(function(name) { return (step.detail || {})[name]; })
			.map(function(name) { return CERTIFICATE[name].format(step.detail[name]); });
	if (step.step == 'ehlo')
		return (step.detail || {}).name ? [ _('we said %s').format(step.detail.name) ] : [];
	return step.step == 'login' && (step.detail || {}).mechanism ? [ step.detail.mechanism ] : [];
}

function row(step) {
	return E('tr', { 'class': 'tr', 'data-step': step.step }, [
		E('td', { 'class': 'td left', 'style': 'width:1.5em' }, [
			E('span', { 'class': 'label ' + (step.ok ? 'success' : 'danger error'), 'title': step.ok ? _('done') : _('failed') },
				[ step.ok ? '✔' : '✘' ])
		]),
		E('td', { 'class': 'td left', 'style': 'width:10em' }, [ STEPS[step.step] || step.step ]),
		E('td', { 'class': 'td left', 'style': 'overflow-wrap:anywhere' }, [ step.text ].concat(facts(step)).filter(Boolean)
			.reduce(function(parts, text) { return parts.concat(parts.length ? E('br') : [], text); }, [])),
		E('td', { 'class': 'td right', 'style': 'width:5em' }, [ step.seconds != null ? _('%d ms').format(step.seconds * 1000) : '' ])
	]);
}

/* By what became of the mail: LuCI's kind of box, and its title. */
const RESULTS = {
	accepted: [ 'success', _('The provider has accepted the mail') ],
	delivered: [ 'success', _('The mail went all the way to the provider') ],
	deferred: [ 'warning', _('The mail waits and is tried again') ],
	failed: [ 'error', _('The mail was not sent') ]
};

function verdict(last) {
	const [ kind, title ] = RESULTS[(last || {}).result] || RESULTS.failed, failed = kind != 'success';
	const faults = (last && last.findings || []).filter(function(finding) { return !finding.warning; });
	const texts = (faults.length ? faults.map((fault) => words.findingText(fault)) : [ last ? last.text : _('The test ended without a result; see the log.') ])
		.map(function(text) { return E('p', {}, [ text ]); });

	if (!failed)
		texts.push(E('p', {}, [ _('Look into the mailbox: if it is not there in a few minutes, look among the spam.') ]));
	else if (last && last.advice)
		texts.unshift(E('p', { 'class': 'mailrelay-advice' }, [ E('strong', {}, [ words.adviceText(last) ]) ]));

	return E('div', { 'class': 'alert-message ' + kind }, [ E('h4', {}, [ title ]) ].concat(texts));
}

function wait() {
	return new Promise(function(resolve) { window.setTimeout(resolve, PAUSE); });
}

return baseclass.extend({
	/*
	 * The panel. `settings` returns, or promises, the settings to send by as the text of a file; without it the saved
	 * ones are taken. `plays`: whether the engine can play a machine.
	 */
	render: function(settings, plays) {
		const field = E('input', {
			'type': 'email', 'class': 'cbi-input-text', 'id': 'mailrelay-test-address', 'autocomplete': 'email',
			'placeholder': 'you@example.org', 'aria-label': _('Mail address')
		});
		const result = E('div', { 'id': 'mailrelay-test-result', 'aria-live': 'polite' });
		const send = (address) => Promise.resolve(settings ? settings() : null)
			.then((text) => text ? relay.testDraft(address, text) : relay.test(address));
		const button = (id, kind, title, begin) => E('button', {
			'class': 'btn cbi-button cbi-button-' + kind, 'id': id, 'click': ui.createHandlerFn(this, 'run', field, result, begin)
		}, [ title ]);

		return E('div', { 'class': 'cbi-section' }, [
			E('h3', {}, [ _('Test mail') ]),
			E('div', { 'class': 'cbi-section-descr' }, [
				settings ? _('Sends a mail by the settings above, also those that are not saved yet.')
				         : _('Sends a mail past the queue and shows each step.')
			]),
			E('div', { 'class': 'cbi-value' }, [
				E('label', { 'class': 'cbi-value-title', 'for': 'mailrelay-test-address' }, [ _('To') ]),
				E('div', { 'class': 'cbi-value-field' }, [
					field, ' ',
					button('mailrelay-test', 'action', _('Send test mail'), send),
					plays ? [ ' ', button('mailrelay-play', 'neutral', _('Send what a PLC would'), relay.play) ] : [],
					plays ? E('div', { 'class': 'cbi-value-description' }, [
						_('A PLC\'s mail goes to this router\'s own port and through the queue, as an alarm does. Without an address it goes to the postmaster.')
					]) : ''
				].flat())
			]),
			result
		]);
	},

	/* Begins it and follows it. `begin` promises the router's answer. */
	run: function(field, result, begin) {
		const table = E('table', { 'class': 'table' });

		dom.content(result, table);

		return begin(field.value.trim()).then((answer) => {
			if (!answer.ok)
				throw new Error(answer.text);

			return this.follow(table);
		}).then((last) => {
			dom.append(result, verdict(last));
		}).catch((error) => {
			dom.content(result, verdict({ text: error.message }));
		});
	},

	/* Shows the steps as they come; promises the last one, which has the result, null if it ended without. */
	follow: function(table) {
		return relay.testStatus().then((answer) => {
			const steps = answer.steps, last = steps[steps.length - 1];

			dom.content(table, steps.filter((step) => !step.result).map(row).concat(
				answer.running ? E('tr', { 'class': 'tr' }, [ E('td', { 'class': 'td left', 'colspan': 4 }, [
					E('em', { 'class': 'spinning' }, [ _('Waiting for the provider…') ])
				]) ]) : []));

			return answer.running ? wait().then(() => this.follow(table)) : (last && last.result ? last : null);
		});
	}
});
