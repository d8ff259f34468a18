'use strict';
'require baseclass';
'require dom';
'require ui';
'require mailrelay.relay as relay';
'require mailrelay.words as words';

/* global relay, words */

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
	const detail = step.detail || {};

	if (step.step == 'certificate')
		return Object.keys(CERTIFICATE).filter((name) => detail[name]).map((name) => CERTIFICATE[name].format(detail[name]));
	if (step.step == 'ehlo')
		return detail.name ? [ _('we said %s').format(detail.name) ] : [];
	return step.step == 'login' && detail.mechanism ? [ detail.mechanism ] : [];
}

function row(step) {
	return E('tr', { 'class': 'tr', 'data-step': step.step }, [
		E('td', { 'class': 'td left', 'style': 'width:1.5em' }, [
			E('span', { 'class': 'label ' + (step.ok ? 'success' : 'important danger error'), 'title': step.ok ? _('done') : _('failed') }, [ step.ok ? '✔' : '✘' ])
		]),
		E('td', { 'class': 'td left', 'style': 'width:10em' }, [ STEPS[step.step] || step.step ]),
		E('td', { 'class': 'td left', 'style': 'overflow-wrap:anywhere' }, [ step.text ].concat(facts(step)).filter(Boolean)
			.reduce((parts, text) => parts.concat(parts.length ? E('br') : [], text), [])),
		E('td', { 'class': 'td right', 'style': 'width:5em; white-space:nowrap' }, [ step.seconds != null ? _('%d ms').format(step.seconds * 1000) : '' ])
	]);
}

/* That there is no end yet: for whom, since when, and how long at most. */
function waiting(begun, seconds) {
	return E('tr', { 'class': 'tr' }, [ E('td', { 'class': 'td left', 'colspan': 4 }, [
		E('em', { 'class': 'spinning' }, [ begun
			? _('Waiting for %s: %d s so far, %d s at most for each answer').format(begun.smarthost, seconds, begun.limit)
			: _('Waiting for the provider…') ])
	]) ]);
}

/*
 * A second look before a certificate is trusted that nobody vouches for: what that means, and the word of somebody who has
 * compared it.
 */
function askTrust(host, sha256, trust) {
	const compared = E('input', { 'type': 'checkbox', 'id': 'mailrelay-compared' });
	const button = E('button', {
		'class': 'btn cbi-button cbi-button-negative', 'id': 'mailrelay-trust', 'disabled': '',
		'click': ui.createHandlerFn(null, () => Promise.resolve(trust(host, sha256)).then(ui.hideModal))
	}, [ _('Trust this certificate') ]);

	compared.addEventListener('change', () => { button.disabled = !compared.checked; });
	ui.showModal(_('Trust a certificate'), [
		E('p', {}, [ _('Only for a server of your own. Of a public provider this certificate means that something on the way answers in its place: whoever that is would get the password and read all mail.') ]),
		E('p', {}, [ _('%s has shown the certificate with this SHA-256 fingerprint:').format(host) ]),
		E('p', {}, [ E('code', { 'style': 'overflow-wrap:anywhere' }, [ sha256 ]) ]),
		E('p', {}, [ _('At the server itself this prints it: openssl x509 -noout -fingerprint -sha256 -in CERTIFICATE') ]),
		E('p', {}, [ E('label', {}, [ compared, ' ', _('I have compared it at the server itself, and it is the same.') ]) ]),
		E('div', { 'class': 'right' }, [
			E('button', { 'class': 'btn cbi-button', 'click': ui.hideModal }, [ _('Dismiss') ]), ' ', button
		])
	]);
}

/* The way to it, where the certificate is what failed. */
function trustLink(last, steps, trust) {
	const shown = steps.filter((step) => step.step == 'certificate' && !step.ok && (step.detail || {}).sha256).pop();

	if (!trust || !shown || !last || [ 'certificate-untrusted', 'certificate-changed' ].indexOf(last.advice_code) < 0)
		return '';

	return E('p', {}, [ E('button', {
		'class': 'btn cbi-button', 'id': 'mailrelay-look', 'click': () => askTrust(shown.smarthost, shown.detail.sha256, trust)
	}, [ _('It is a server of my own…') ]) ]);
}

/* By what became of the mail: LuCI's kind of box, and its title. */
const RESULTS = {
	accepted: [ 'success', _('The provider has accepted the mail') ],
	delivered: [ 'success', _('The mail went all the way to the provider') ],
	deferred: [ 'warning', _('The mail waits and is tried again') ],
	failed: [ 'error', _('The mail was not sent') ]
};

function verdict(last, steps, trust) {
	const [ kind, title ] = RESULTS[(last || {}).result] || RESULTS.failed, failed = kind != 'success';
	const faults = (last && last.findings || []).filter((finding) => !finding.warning);
	const texts = (faults.length ? faults.map((fault) => words.findingText(fault)) : [ last ? last.text : _('The test ended without a result; see the log.') ])
		.map((text) => E('p', {}, [ text ]));

	if (!failed)
		texts.push(E('p', {}, [ _('It was sent as %s. Look into the mailbox: if it is not there in a few minutes, look among the spam.').format(last.sender) ]));
	else if (last && last.advice)
		texts.unshift(E('p', { 'class': 'mailrelay-advice' }, [ E('strong', {}, [ words.adviceText(last) ]) ]));

	return E('div', { 'class': 'alert-message ' + kind }, [ E('h4', {}, [ title ]), ...texts, trustLink(last, steps, trust) ]);
}

function wait() {
	return new Promise((resolve) => window.setTimeout(resolve, PAUSE));
}

return baseclass.extend({
	/*
	 * The panel. `settings` returns, or promises, the settings to send by as the text of a file; without it the saved
	 * ones are taken. `plays`: whether the engine can play a machine. `trust(host, sha256)` has the certificate that
	 * "host:port" has shown trusted from then on.
	 */
	render(settings, plays, trust) {
		const field = E('input', {
			'type': 'email', 'class': 'cbi-input-text', 'id': 'mailrelay-test-address', 'autocomplete': 'email',
			'placeholder': 'you@example.org', 'aria-label': _('Mail address')
		});
		const result = E('div', { 'id': 'mailrelay-test-result', 'aria-live': 'polite' });
		const send = (address) => Promise.resolve(settings ? settings() : null)
			.then((text) => text ? relay.testDraft(address, text) : relay.test(address));
		const button = (id, kind, title, begin) => E('button', {
			'class': 'btn cbi-button cbi-button-' + kind, 'id': id, 'click': ui.createHandlerFn(this, 'run', field, result, begin, trust)
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
						_('A PLC\'s mail goes to this router\'s own port and through the queue, as an alarm does. Without an address it goes where notices go.')
					]) : ''
				].flat())
			]),
			result
		]);
	},

	/* Begins it and follows it. `begin` promises the router's answer. */
	run(field, result, begin, trust) {
		const table = E('table', { 'class': 'table' });
		const buttons = Array.from(result.parentNode.querySelectorAll('button')); /* the router plays one at a time */

		buttons.forEach((button) => { button.disabled = true; });
		dom.content(result, table);

		return begin(field.value.trim()).then((answer) => {
			if (!answer.ok)
				throw new Error(answer.text);

			return this.follow(table, { steps: 0, since: Date.now() });
		}).then((steps) => {
			const last = steps[steps.length - 1];

			dom.append(result, verdict(last && last.result ? last : null, steps, trust));
		}).catch((error) => {
			dom.content(result, verdict({ text: error.message }, []));
		}).finally(() => buttons.forEach((button) => { button.disabled = false; }));
	},

	/* Shows the steps as they come; promises all of them, the result last. `seen`: how many there were, and since when. */
	follow(table, seen) {
		return relay.testStatus().then((answer) => {
			const steps = answer.steps || [];
			const begun = steps.filter((step) => step.step == 'begin').pop();

			if (steps.length != seen.steps)
				seen = { steps: steps.length, since: Date.now() };

			dom.content(table, steps.filter((step) => !step.result && step.step != 'begin').map(row)
				.concat(answer.running ? waiting(begun, (Date.now() - seen.since) / 1000) : []));

			return answer.running ? wait().then(() => this.follow(table, seen)) : steps;
		});
	}
});
