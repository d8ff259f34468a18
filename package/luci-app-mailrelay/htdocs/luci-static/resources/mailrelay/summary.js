'use strict';
'require baseclass';
'require mailrelay.picture as picture';
'require mailrelay.relay as relay';
'require mailrelay.words as words';

/* global picture, relay, words */

/* What the owner should know now, in words: above the picture on the overview, and in short on LuCI's status page. */

/* A box of a kind of LuCI's; the last part is a way on. */
function box(kind, title, parts, href, way) {
	return E('div', { 'class': 'alert-message ' + kind }, [
		E('h4', {}, [ title ]),
		...parts.filter(Boolean).map((part) => E('p', { 'style': 'overflow-wrap:anywhere' }, [ part ])),
		href ? E('p', {}, [ E('a', { 'class': 'btn cbi-button', 'href': href }, [ way ]) ]) : ''
	]);
}

function span(since, status) {
	return relay.span(Math.max(0, status.now - since));
}

/* Settings that the relay does not take: since when, what is wrong, and what runs meanwhile. */
function refusedSettings(status) {
	const service = status.service || {}, findings = service.findings || [], first = findings[0];

	if (service.settings != 'refused' && service.settings != 'missing')
		return null;

	const title = service.settings == 'missing' ? _('The settings are missing (for %s)') : _('The settings have faults (for %s)');
	const made = relay.box('error', title.format(span(service.since, status)), findings);

	made.id = 'mailrelay-refused';
	made.append(E('p', {}, [ service.running_old ? _('The relay goes on with the ones before.') : _('Nothing runs until they are mended.') ]));
	if (first && first.section)
		made.append(E('p', {}, [ E('a', { 'class': 'btn cbi-button', 'href': picture.field(first.section, first.option) }, [ _('Mend it') ]) ]));
	return made;
}

/* Why no mail comes in, the first reason of all. */
function closed(status) {
	if (!status.running && status.enabled === false)
		return box('warning', _('The relay is switched off.'), [ _('Tick "Enabled" in the settings, then "Save & Apply".') ],
			picture.field('main', 'enabled'), _('Switch it on'));
	if (!status.running)
		return box('error', _('The relay should run and does not.'), [], L.url('admin/services/mailrelay/log'), _('Read the log'));
	if (status.provider === false)
		return box('notice', _('There is no provider yet: all mail is refused for now.'), [], picture.field('smarthost', 'host'), _('Add yours'));
	return null;
}

/* The ports that another program has. */
function taken(status) {
	return (status.port_taken || []).map((one) => box('error',
		one.by ? _('%s is taken by %s: no machine can send there.').format(one.endpoint, one.by) : _('%s is taken by another program: no machine can send there.').format(one.endpoint),
		[ E('strong', {}, [ words.adviceText(one) || _('Stop that program, or enter another port here and in the machines.') ]) ],
		picture.field('main', 'port'), _('Ports')));
}

function missingSpool(status) {
	return status.spool_missing ? box('error', _('The storage for waiting mail is not there (%s): all mail is refused for now.').format(status.spool), [],
		picture.field('main', 'spool'), _('Folder')) : null;
}

/* Of what there is now that waiting does not end. */
function troubleTitle(trouble) {
	switch (trouble.cause) {
	case 'stuck': return _('Mail is stuck');
	case 'damaged': return _('A mail is damaged');
	case 'disk': return _('The storage for waiting mail refuses');
	}
	return trouble.sender ? _('Mail from %s waits').format(trouble.sender) : _('Mail waits for a setting to be mended');
}

/* What to do, and what was answered. */
function said(failure) {
	const advice = words.adviceText(failure);

	return [ advice ? E('strong', {}, [ advice ]) : null, [ failure.smarthost, failure.answer ].filter(Boolean).join(': ') ];
}

function troubleBox(trouble, status) {
	const at = picture.mend((status.providers || []).find((one) => one.state == 'bad' && one.text == trouble.answer));
	const made = box('error', _('%s (for %s)').format(troubleTitle(trouble), span(trouble.since, status)), said(trouble), at, _('Mend it'));

	made.setAttribute('data-cause', trouble.cause);
	return made;
}

/* The last failure, unless a trouble tells of it. The relay forgets it when its cause is mended. */
function openFailure(status) {
	const failure = status.running && status.last_failure;

	return failure && !(status.troubles || []).some((trouble) => trouble.answer == failure.answer) ? failure : null;
}

function failureBox(status) {
	const failure = openFailure(status);

	if (!failure)
		return null;

	const title = failure.deferred ? _('Mail waits; it last failed %s') : _('Last failure, %s');
	const made = box('warning', title.format(relay.ago(failure.time, status.now)), said(failure));

	made.id = 'mailrelay-failure';
	return made;
}

function refusal(one, now) {
	const text = N_(one.count, '%s, %d time, %s: %s', '%s, %d times, last %s: %s').format(one.client, one.count, relay.ago(one.last, now), one.reply);
	const advice = words.adviceText(one);

	return { text: advice ? text + ' – ' + advice : text };
}

/* What is told by a box of its own, besides what is no warning but keeps mail from coming in. */
const TOLD = [ 'off', 'no-smarthost' ];

function notices(status) {
	const taken = (status.port_taken || []).map((one) => one.endpoint), deaf = status.not_listening || {};
	const found = Object.keys(deaf).filter((place) => !taken.includes(place))
		.map((place) => ({ text: _('cannot listen on %s: %s').format(place, deaf[place]) }))
		.concat((status.warnings || []).filter((warning) => warning.warning !== false && !TOLD.includes(warning.code)));

	return found.length ? relay.box('notice', _('Worth knowing'), found) : null;
}

function today(status) {
	const counts = status.today;
	const title = status.started < counts.since ? _('Today') : _('Today, since the start %s').format(relay.ago(status.started, status.now));

	return [ title, _('%d taken, %d sent, %d failed').format(counts.accepted, counts.delivered, counts.failed) ];
}

return baseclass.extend({
	/* Titles and contents of what the picture does not say. */
	rows: function(status) {
		const rows = [];

		if ((status.smarthosts || []).length)
			rows.push([ _('Sends through'), status.smarthosts.join(', ') ]);
		if ((status.listening || []).length)
			rows.push([ _('Listens on'), status.listening.join(', ') ]);
		rows.push([ _('Engine'), (status.engine == 'postfix' ? _('Postfix') : _('Python')) + ', ' + status.package ]);
		return rows;
	},

	table: function(rows) {
		return E('table', { 'class': 'table' }, rows.map((row) => E('tr', { 'class': 'tr' }, [
			E('td', { 'class': 'td left', 'width': '33%' }, [ row[0] ]),
			E('td', { 'class': 'td left', 'style': 'overflow-wrap:anywhere' }, [].concat(row[1]))
		])));
	},

	/* Today's counts, and the days before as bars where there are any. */
	figures: function(status) {
		if (!status.running || !status.today)
			return '';

		const days = status.days || [], [ title, counts ] = today(status);

		return E('div', { 'class': 'cbi-section' }, [
			E('h3', {}, [ title ]), E('p', { 'id': 'mailrelay-today' }, [ counts ]), days.length > 1 ? picture.days(days) : ''
		]);
	},

	/* Boxes, the most telling first. */
	alerts: function(status) {
		const refused = refusedSettings(status);
		const boxes = [ refused, refused && !status.running ? null : closed(status), ...taken(status), missingSpool(status) ];

		if (status.running)
			boxes.push(...(status.troubles || []).map((trouble) => troubleBox(trouble, status)), failureBox(status));
		if (status.running && (status.refusals || []).length)
			boxes.push(relay.box('warning', _('Machines that were refused'), status.refusals.map((one) => refusal(one, status.now))));
		boxes.push(notices(status));

		return E([], boxes.filter(Boolean));
	},

	/* The one thing to know, as a line; '' where all is well. */
	first: function(status) {
		const service = status.service || {}, trouble = status.running && (status.troubles || [])[0], failure = openFailure(status);

		if (service.settings == 'refused' || service.settings == 'missing')
			return service.running_old ? _('The settings have faults; the relay goes on with the ones before.') : _('The settings have faults, so nothing runs.');
		return [ trouble, failure ].filter(Boolean).map((one) => words.adviceText(one) || one.answer)[0] || '';
	}
});
