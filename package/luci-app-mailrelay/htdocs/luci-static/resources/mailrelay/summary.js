'use strict';
'require baseclass';
'require mailrelay.relay as relay';
'require mailrelay.words as words';

/* The status in words, for the overview and, in short, for LuCI's status page. */

/* By the stage at which the provider failed, where it says more than that. */
const TROUBLE = {
	name: _('not reachable'),
	connect: _('not reachable'),
	certificate: _('its certificate is not trusted'),
	login: _('refuses the login')
};

function badge(good, text) {
	return E('strong', { 'class': 'mailrelay-state', 'style': 'color:' + (good ? '#2a9d3f' : '#d03030') }, [ text ]);
}

function state(status) {
	if (status.running)
		return badge(true, _('running'));
	return badge(false, status.enabled ? _('not running') : _('switched off in the settings'));
}

/* A box with a way on. */
function link(kind, text, page, title) {
	return E('div', { 'class': 'alert-message ' + kind }, [
		text, ' ', E('a', { 'href': L.url('admin/services/mailrelay/' + page) }, [ title ])
	]);
}

/* What is known of the provider from the last mail that went or did not go. */
function provider(status) {
	const good = status.last_success, bad = status.last_failure;

	if (!status.running || status.provider == null) /* Postfix does not say */
		return _('unknown');
	if (!status.provider)
		return badge(false, _('none'));
	if (bad && (!good || bad.time > good.time) && status.next_try > status.now)
		return [ badge(false, TROUBLE[bad.stage] || _('cannot be used')), ' ', _('(next try in %s)').format(relay.span(status.next_try - status.now)) ];
	if (good)
		return [ badge(true, _('reachable')), ' ', _('(last mail %s)').format(relay.ago(good.time, status.now)) ];
	return _('no mail sent yet');
}

function queue(status) {
	const texts = [ _('%d waiting').format(status.queue) ];

	if (status.oldest != null)
		texts[0] += ' ' + _('(the oldest for %s)').format(relay.span(Math.max(0, status.now - status.oldest)));
	if (status.hold)
		texts.push(_('%d held').format(status.hold));
	if (status.failed)
		texts.push(_('%d failed').format(status.failed));

	return texts.join(', ');
}

function today(counts) {
	return _('%d taken, %d sent, %d failed').format(counts.accepted, counts.delivered, counts.failed);
}

/* Of the counts: whether they are the whole day's. */
function todayTitle(status) {
	return status.started < status.today.since ? _('Today') : _('Today, since the start %s').format(relay.ago(status.started, status.now));
}

/* Of the networks that may send: whether it is more than the router itself. */
function isElsewhere(net) {
	return net != '127.0.0.0/8' && net != '::1/128';
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

/* What was answered, with what to do. */
function troubleBox(trouble, now) {
	return E('div', { 'class': 'alert-message error', 'data-cause': trouble.cause }, [
		E('h4', {}, [ _('%s (for %s)').format(troubleTitle(trouble), relay.span(Math.max(0, now - trouble.since))) ]),
		trouble.advice ? E('p', {}, [ E('strong', {}, [ words.adviceText(trouble) ]) ]) : '',
		E('p', { 'style': 'overflow-wrap:anywhere' }, [ [ trouble.smarthost, trouble.answer ].filter(Boolean).join(': ') ])
	]);
}

function refusal(one, now) {
	const text = _('%s, %d times, last %s: %s').format(one.client, one.count, relay.ago(one.last, now), one.reply);

	return { text: one.advice ? text + ' – ' + words.adviceText(one) : text };
}

return baseclass.extend({
	/* The last failure, unless mail went out since then or a trouble tells of it. */
	openFailure: function(status) {
		const failure = status.running && status.last_failure, success = status.last_success;

		if (!failure || (success && success.time >= failure.time))
			return null;
		return (status.troubles || []).some(function(trouble) { return trouble.answer == failure.answer; }) ? null : failure;
	},

	/* Titles and contents; the most telling first. */
	rows: function(status) {
		const rows = [ [ _('Status'), state(status) ], [ _('Provider'), provider(status) ], [ _('Queue'), queue(status) ] ];

		if (status.running && status.today)
			rows.push([ todayTitle(status), today(status.today) ]);
		if ((status.smarthosts || []).length)
			rows.push([ _('Sends through'), status.smarthosts.join(', ') ]);
		if ((status.listening || []).length)
			rows.push([ _('Listens on'), status.listening.join(', ') ]);
		if (status.allow)
			rows.push([ _('Takes mail from'), status.allow.filter(isElsewhere).concat(_('the router itself')).join(', ') ]);

		rows.push([ _('Engine'), (status.engine == 'postfix' ? _('Postfix') : _('Python')) + ', ' + status.package ]);
		return rows;
	},

	table: function(rows) {
		return E('table', { 'class': 'table' }, rows.map(function(row) {
			return E('tr', { 'class': 'tr' }, [
				E('td', { 'class': 'td left', 'width': '33%' }, [ row[0] ]),
				E('td', { 'class': 'td left', 'style': 'overflow-wrap:anywhere' }, [].concat(row[1]))
			]);
		}));
	},

	/* What its owner should know now: why it does not run, what failed last, what it warns of. */
	alerts: function(status, faults) {
		const boxes = [];
		const failure = this.openFailure(status);

		if (faults.length)
			boxes.push(relay.box('error', _('The settings have faults, so nothing runs'), faults));
		else if (!status.running && status.enabled)
			boxes.push(link('error', _('The relay should run and does not.'), 'log', _('Read the log')));
		else if (!status.running || status.provider === false)
			boxes.push(link('notice', status.running ? _('There is no provider yet: all mail is refused for now.')
				: _('The relay is switched off.'), 'settings', _('Set it up')));
		if (status.spool_missing)
			boxes.push(E('div', { 'class': 'alert-message error' }, [ _('The storage for waiting mail is not there (%s): all mail is refused for now.').format(status.spool) ]));
		if (status.running)
			boxes.push.apply(boxes, (status.troubles || []).map(function(trouble) { return troubleBox(trouble, status.now); }));
		if (failure)
			boxes.push(E('div', { 'class': 'alert-message warning', 'id': 'mailrelay-failure' }, [
				E('h4', {}, [ _('Last failure, %s').format(relay.ago(failure.time, status.now)) ]),
				failure.advice ? E('p', {}, [ E('strong', {}, [ words.adviceText(failure) ]) ]) : '',
				E('p', { 'style': 'overflow-wrap:anywhere' }, [ [ failure.smarthost, failure.answer ].filter(Boolean).join(': ') ])
			]));

		if (status.running && (status.refusals || []).length)
			boxes.push(relay.box('warning', _('Machines that were refused'), status.refusals.map(function(one) { return refusal(one, status.now); })));

		const warnings = status.warnings || [];
		const deaf = Object.keys(status.not_listening || {}).map(function(place) {
			return { text: _('cannot listen on %s: %s').format(place, status.not_listening[place]) };
		});

		if (warnings.length + deaf.length)
			boxes.push(relay.box('notice', _('Worth knowing'), deaf.concat(warnings)));

		return E([], boxes);
	}
});
