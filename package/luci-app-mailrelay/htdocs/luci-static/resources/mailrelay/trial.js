'use strict';
'require baseclass';
'require dom';
'require ui';
'require mailrelay.relay as relay';
'require mailrelay.words as words';

/*
 * The test mail: a field, a button, and each step as it happens. Shown on the overview, where it goes out by the saved
 * settings, and on the settings page, where it goes out by those in the form.
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
	next: _('Next provider')
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
			E('strong', { 'style': 'color:' + (step.ok ? '#2a9d3f' : '#d03030'), 'title': step.ok ? _('done') : _('failed') },
				[ step.ok ? '✔' : '✘' ])
		]),
		E('td', { 'class': 'td left', 'style': 'width:10em' }, [ STEPS[step.step] || step.step ]),
		E('td', { 'class': 'td left', 'style': 'overflow-wrap:anywhere' }, [ step.text ].concat(facts(step)).filter(Boolean)
			.reduce(function(parts, text) { return parts.concat(parts.length ? E('br') : [], text); }, [])),
		E('td', { 'class': 'td right', 'style': 'width:5em' }, [ step.seconds != null ? _('%d ms').format(step.seconds * 1000) : '' ])
	]);
}

function verdict(last) {
	const failed = !last || last.result != 'accepted';
	const title = failed ? _('The mail was not sent') : _('The provider has accepted the mail');
	const faults = (last && last.findings || []).filter(function(finding) { return !finding.warning; });
	const texts = (faults.length ? faults.map((fault) => words.findingText(fault)) : [ last ? last.text : _('The test ended without a result; see the log.') ])
		.map(function(text) { return E('p', {}, [ text ]); });

	if (!failed)
		texts.push(E('p', {}, [ _('Look into the mailbox: if it is not there in a few minutes, look among the spam.') ]));
	else if (last && last.advice)
		texts.unshift(E('p', { 'class': 'mailrelay-advice' }, [ E('strong', {}, [ words.adviceText(last) ]) ]));

	return E('div', { 'class': 'alert-message ' + (failed ? 'error' : 'success') }, [ E('h4', {}, [ title ]) ].concat(texts));
}

function wait() {
	return new Promise(function(resolve) { window.setTimeout(resolve, PAUSE); });
}

return baseclass.extend({
	/*
	 * The panel. `settings` returns, or promises, the settings to send by as the text of a file; without it the saved
	 * ones are taken.
	 */
	render: function(settings) {
		const field = E('input', {
			'type': 'email', 'class': 'cbi-input-text', 'id': 'mailrelay-test-address', 'autocomplete': 'email',
			'placeholder': 'you@example.org', 'aria-label': _('Mail address')
		});
		const result = E('div', { 'id': 'mailrelay-test-result', 'aria-live': 'polite' });
		const start = ui.createHandlerFn(this, 'run', field, result, settings);

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
					E('button', { 'class': 'btn cbi-button cbi-button-action', 'id': 'mailrelay-test', 'click': start },
						[ _('Send test mail') ])
				])
			]),
			result
		]);
	},

	run: function(field, result, settings) {
		const table = E('table', { 'class': 'table' });

		dom.content(result, table);

		return Promise.resolve(settings ? settings() : null).then(function(text) {
			return text ? relay.testDraft(field.value.trim(), text) : relay.test(field.value.trim());
		}).then(L.bind(function(answer) {
			if (!answer.ok)
				throw new Error(answer.text);

			return this.follow(table);
		}, this)).then(function(last) {
			dom.append(result, verdict(last));
		}).catch(function(error) {
			dom.content(result, verdict({ text: error.message }));
		});
	},

	/* Shows the steps as they come; the last one, which has the result. */
	follow: function(table) {
		return relay.testStatus().then(L.bind(function(answer) {
			const steps = answer.steps || [];
			const last = steps[steps.length - 1];

			dom.content(table, steps.filter(function(step) { return !step.result; }).map(row).concat(
				answer.running ? E('tr', { 'class': 'tr' }, [ E('td', { 'class': 'td left', 'colspan': 4 }, [
					E('em', { 'class': 'spinning' }, [ _('Waiting for the provider…') ])
				]) ]) : []));

			return answer.running ? wait().then(L.bind(this.follow, this, table)) : (last && last.result ? last : null);
		}, this));
	}
});
