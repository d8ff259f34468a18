'use strict';
'require baseclass';
'require ui';
'require uci';
'require mailrelay.relay as relay';

/* global relay */

/*
 * What there is to do with the service and all settings at once: start it anew, save them in a file, take them from one.
 * What is taken waits among LuCI's changes, as if it had been typed: applied by Save & Apply, and gone with Revert.
 */

const CONFIG = 'mailrelay';
const TYPES = [ 'mailrelay', 'smarthost', 'client' ];

function button(name, kind, title, click) {
	return E('button', { 'class': 'btn cbi-button ' + kind, 'id': 'mailrelay-' + name, 'click': click }, [ title ]);
}

function right(buttons) {
	return E('div', { 'class': 'right' }, buttons.flatMap((one) => [ one, ' ' ]));
}

function dismiss() {
	return E('button', { 'class': 'btn cbi-button', 'click': ui.hideModal }, [ _('Dismiss') ]);
}

/* ---- the text of a settings file --------------------------------------------------------------------------------- */

/* The words of one that `config`, `option` or `list` begin, a line each; null where a quote does not end. */
function commands(text) {
	const lines = [ [] ];
	let rest = text.replace(/\r\n/g, '\n');

	while (rest) {
		const found = rest.match(/^(?:([ \t]+)|(#[^\n]*)|([\n;])|((?:[^\s'"#;\\]|\\[^]|'[^']*'|"(?:[^"\\]|\\[^])*")+))/);

		if (!found)
			return null;
		if (found[3])
			lines.push([]);
		if (found[4])
			lines[lines.length - 1].push(found[4].replace(/'([^']*)'|"((?:[^"\\]|\\[^])*)"|\\([^])/g,
				(all, single, double, one) => single != null ? single : double != null ? double.replace(/\\([^])/g, '$1') : one));
		rest = rest.slice(found[0].length);
	}

	return lines.filter((words) => words.length);
}

/* Its sections: each an object of type, name ('' for none) and values. An Error says which line is none. */
function sections(text) {
	const found = [];

	(commands(text) || []).forEach(([ command, name, value ]) => {
		const last = found[found.length - 1];

		if (command == 'config' && TYPES.indexOf(name) >= 0)
			found.push({ type: name, name: value || '', values: {} });
		else if (command == 'option' && last && value != null)
			last.values[name] = value;
		else if (command == 'list' && last && value != null)
			last.values[name] = [].concat(last.values[name] || [], value);
		else if (command != 'package')
			throw new Error(_('This is no line of settings of the mail relay: %s').format([ command, name ].filter(Boolean).join(' ').slice(0, 80)));
	});

	if (!found.length)
		throw new Error(_('These are no settings of the mail relay.'));

	return found;
}

/* Them as text again: what the check is asked of is what is taken. */
function textOf(found) {
	const quoted = (text) => '\'' + text.replace(/'/g, '\'\\\'\'') + '\'';

	return found.map((section) => [
		'config ' + section.type + (section.name ? ' ' + quoted(section.name) : ''),
		...Object.keys(section.values).flatMap((name) => [].concat(section.values[name]).map((value) =>
			'\t' + (Array.isArray(section.values[name]) ? 'list' : 'option') + ' ' + name + ' ' + quoted(value)))
	].join('\n')).join('\n\n') + '\n';
}

function withoutPasswords(text) {
	return textOf(sections(text).map((section) => {
		const { password, ...values } = section.values;

		return Object.assign(section, { values });
	}));
}

/* ---- export ------------------------------------------------------------------------------------------------------- */

function exported(text, passwords) {
	return passwords ? '# Settings of the mail relay, with passwords\n\n' + textOf(sections(text))
		: '# Settings of the mail relay, without passwords\n\n' + withoutPasswords(text);
}

function showExport(text) {
	const passwords = E('input', { 'type': 'checkbox', 'id': 'mailrelay-passwords' });
	const area = E('textarea', { 'id': 'mailrelay-exported', 'rows': 14, 'style': 'width:100%', 'readonly': '', 'wrap': 'off' });
	const draw = () => { area.value = exported(text, passwords.checked); };

	passwords.addEventListener('change', draw);
	draw();
	ui.showModal(_('Export settings'), [
		E('p', {}, [ _('The settings as they stand in the form. Without passwords the file can be shown to anybody who helps; whoever takes it in is asked for them.') ]),
		E('p', {}, [ E('label', {}, [ passwords, ' ', _('With passwords: whoever has the file can send mail by your account. Keep it as safe as they are.') ]) ]),
		area,
		right([ dismiss(), button('download', 'cbi-button-positive', _('Download'), () => {
			const address = URL.createObjectURL(new Blob([ area.value ], { type: 'text/plain' }));

			E('a', { 'href': address, 'download': 'mailrelay-settings.txt' }).click();
			URL.revokeObjectURL(address);
		}) ])
	]);
}

/* ---- import ------------------------------------------------------------------------------------------------------- */

/* The password that the form has already for the same login at the same place, or undefined. */
function knownPassword(section) {
	const at = section.type == 'smarthost' ? 'host' : 'address';
	const same = uci.sections(CONFIG, section.type).find((one) => [ at, 'username' ].every((name) =>
		uci.get(CONFIG, one['.name'], name) == section.values[name]));

	return same && uci.get(CONFIG, same['.name'], 'password');
}

/* Puts them into the form's place: what is not among them goes. */
function take(found) {
	const named = found.filter((section) => section.name);

	uci.sections(CONFIG).slice().forEach((old) => {
		const stays = !old['.anonymous'] && named.some((one) => one.name == old['.name'] && one.type == old['.type']);

		if (!stays)
			return uci.remove(CONFIG, old['.name']);
		Object.keys(old).filter((name) => name.charAt(0) != '.').forEach((name) => uci.unset(CONFIG, old['.name'], name));
	});
	found.forEach((section) => {
		const id = section.name && uci.get(CONFIG, section.name) ? section.name : uci.add(CONFIG, section.type, section.name || null);

		Object.keys(section.values).forEach((name) => uci.set(CONFIG, id, name, section.values[name]));
	});
	return uci.save();
}

/* The dialog: a file or a text, the passwords that are not in it, what the check finds, and only then the way on. */
function showImport(redraw) {
	const file = E('input', { 'type': 'file', 'id': 'mailrelay-file', 'accept': 'text/plain,.txt,.conf' });
	const area = E('textarea', { 'id': 'mailrelay-imported', 'rows': 12, 'style': 'width:100%', 'wrap': 'off', 'spellcheck': 'false' });
	const result = E('div', { 'id': 'mailrelay-import-result', 'aria-live': 'polite' });
	let asked = []; /* passwords: each a section and its field */

	const say = (node) => { result.replaceChildren(node); };

	/* Asks for the passwords that neither the text nor the form has; whether there are any. */
	const lacks = (found) => {
		const missing = found.filter((section) => section.values.username && !section.values.password);

		asked = missing.map((section, at) => [ section, E('input', {
			'type': 'password', 'class': 'cbi-input-password', 'data-password': at, 'autocomplete': 'off'
		}) ]);
		if (missing.length)
			say(E('div', { 'class': 'alert-message notice' }, [
				E('p', {}, [ _('The text has no passwords. Enter them here, and check it again:') ]),
				...asked.map(([ section, field ]) => E('p', {}, [ E('label', {}, [
					_('%s at %s').format(section.values.username, section.values.host || section.values.address || ''), ' ', field
				]) ]))
			]));
		return missing.length > 0;
	};

	const read = () => {
		const found = sections(area.value);

		found.filter((section) => section.values.username && !section.values.password).forEach((section) => {
			const typed = asked.find(([ one ]) => one.values.username == section.values.username && one.values.host == section.values.host
				&& one.values.address == section.values.address);
			const password = typed ? typed[1].value : knownPassword(section);

			if (password)
				section.values.password = password;
		});
		return found;
	};

	const checked = () => Promise.resolve().then(read).then((found) => lacks(found) ? null
		: relay.checkDraft(textOf(found)).then((answer) => {
			const findings = answer.findings || [], faults = findings.filter((one) => !one.warning);

			if (!answer.ok)
				return say(relay.box('error', _('This is not taken, and nothing has changed'), faults.length ? faults : [ answer ]));

			say(E('div', {}, [
				findings.length ? relay.box('notice', _('Worth knowing'), findings) : '',
				E('p', {}, [ _('The settings are good. They take the place of all that is in the form, and wait there to be applied.') ]),
				right([ button('take', 'cbi-button-positive', _('Take them'), ui.createHandlerFn(null, () =>
					take(found).then(redraw).then(ui.hideModal))) ])
			]));
		})).catch((error) => say(E('p', { 'class': 'alert-message error' }, [ error.message ])));

	file.addEventListener('change', () => file.files[0] && file.files[0].text().then((text) => { area.value = text; }));
	ui.showModal(_('Import settings'), [
		E('p', {}, [ _('Choose a file that was exported, or paste its text. It is checked first; nothing changes before you take it.') ]),
		E('p', {}, [ file ]), area, result,
		right([ dismiss(), button('check', 'cbi-button-action', _('Check'), ui.createHandlerFn(null, checked)) ])
	]);
}

/* ---- the service -------------------------------------------------------------------------------------------------- */

function showRestart() {
	const result = E('div', { 'aria-live': 'polite' });

	ui.showModal(_('Restart'), [
		E('p', {}, [ _('The relay ends and starts again, by the settings that are applied. For a few seconds its port is closed: a machine without a queue loses what it sends then. A change of settings needs no restart.') ]),
		result,
		right([ dismiss(), button('restart-now', 'cbi-button-negative', _('Restart'), ui.createHandlerFn(null, () => relay.restart().then((answer) => {
			if (!answer.ok)
				return result.replaceChildren(E('p', { 'class': 'alert-message error' }, [ answer.text ]));
			ui.hideModal();
			ui.addNotification(null, E('p', {}, [ _('The relay was started anew.') ]), 'info');
		}))) ])
	]);
}

return baseclass.extend({
	/* The panel. `draft` promises the settings in the form as text, `redraw` draws the form anew. */
	render(draft, redraw) {
		return E('div', { 'class': 'cbi-section', 'id': 'mailrelay-upkeep' }, [
			E('h3', {}, [ _('Service and settings') ]),
			E('div', {}, [
				button('restart', 'cbi-button-action', _('Restart'), showRestart), ' ',
				button('export', 'cbi-button-neutral', _('Export settings'), ui.createHandlerFn(null, () => draft().then(showExport))), ' ',
				button('import', 'cbi-button-neutral', _('Import settings'), () => showImport(redraw))
			])
		]);
	},

	/* For tests: what a text says, and how it is written. */
	sections,
	textOf
});
