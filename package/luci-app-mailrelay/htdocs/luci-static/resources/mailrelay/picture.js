'use strict';
'require baseclass';
'require mailrelay.relay as relay';

/* global relay */

/*
 * The way of a mail, drawn: machines, router, provider, you, and between them links that are green, yellow or red and
 * lead to what is to be mended. It judges by what the relay tells of itself, and never by less: what nobody has tried
 * is not green.
 */

const GOOD = 'good', WARN = 'warn', BAD = 'bad', UNKNOWN = 'unknown';

/* LuCI's own labels, and a sign for those who see no colours. */
const LABELS = { good: 'success', warn: 'warning', bad: 'error danger', unknown: '' };
const SIGNS = { good: '✔', warn: '!', bad: '✘', unknown: '?' };

/* How a provider failed, by the stage, where it says more than that it cannot be used. */
const TROUBLES = {
	name: _('not reachable'),
	connect: _('not reachable'),
	certificate: _('not trusted'),
	login: _('refuses the login')
};

/* The field that most likely mends a failure, by its stage. */
const FIELDS = {
	connect: 'port', tls: 'tls', starttls: 'tls', certificate: 'verify', login: 'password', mail: 'from'
};

/* Themes have these variables or not. Floats and fixed widths of theirs are not touched. */
const STYLE = `
#mailrelay-status, .mailrelay-short { --mailrelay-good: var(--success-color-medium, #2e9e46);
	--mailrelay-warn: var(--warn-color-medium, #d99a00); --mailrelay-bad: var(--error-color-medium, #d0342c);
	--mailrelay-unknown: var(--text-color-medium, #8a8a8a); --mailrelay-border: var(--border-color-medium, rgba(128, 128, 128, .45)); }
#mailrelay-status > .alert-message.error { background: var(--mailrelay-bad) !important; color: #fff !important; }
#mailrelay-status > .alert-message.warning { background: var(--mailrelay-warn) !important; color: #000 !important; }
#mailrelay-status > .alert-message :is(h4, li, p, strong) { background: none; border: none; color: inherit; text-shadow: none; }
#mailrelay-status > .alert-message a.btn { background: transparent; border: 1px solid; color: inherit; box-shadow: none; text-shadow: none; }
.mailrelay-picture { display: flex; align-items: stretch; margin: .5em 0 1em; }
.mailrelay-node { flex: 1 1 0; min-width: 0; padding: .75em; border: 1px solid var(--mailrelay-border); border-radius: .5em;
	overflow-wrap: anywhere; }
.mailrelay-node > strong { display: block; margin-bottom: .25em; }
.mailrelay-node > div { margin-top: .25em; }
a.mailrelay-link { flex: 0 0 7.5em; display: flex; flex-direction: column; align-items: stretch; justify-content: center;
	gap: .4em; padding: 0 .4em; text-align: center; text-decoration: none; }
a.mailrelay-link:hover .mailrelay-line, a.mailrelay-link:focus .mailrelay-line { opacity: .6; }
.mailrelay-line { position: relative; height: 0; margin-right: .4em; border-top: 4px solid; }
.mailrelay-line::after { content: ''; position: absolute; right: -.5em; top: -2px; transform: translateY(-50%); border-style: solid;
	border-width: .5em 0 .5em .6em; border-color: transparent transparent transparent currentColor; }
.mailrelay-line.good { color: var(--mailrelay-good); }
.mailrelay-line.warn { color: var(--mailrelay-warn); }
.mailrelay-line.bad { color: var(--mailrelay-bad); border-top-style: dashed; }
.mailrelay-line.unknown { color: var(--mailrelay-unknown); border-top-style: dotted; }
.mailrelay-label.label { display: inline-block; margin: 0; white-space: normal; text-transform: none; font-size: .85em; line-height: 1.3;
	padding: .15em .5em; border-radius: .3em; }
.mailrelay-label.good { background: var(--mailrelay-good) !important; color: #fff !important; }
.mailrelay-label.warn { background: var(--mailrelay-warn) !important; color: #000 !important; }
.mailrelay-label.bad { background: var(--mailrelay-bad) !important; color: #fff !important; }
.mailrelay-label.unknown { background: transparent !important; color: inherit !important; border: 1px solid var(--mailrelay-border); }
.mailrelay-short { display: flex; flex-wrap: wrap; align-items: center; gap: .3em .6em; margin: .25em 0; }
.mailrelay-short a { text-decoration: none; }
.mailrelay-days { display: flex; align-items: flex-end; gap: .5em; max-width: 36em; margin: .5em 0 1em; }
.mailrelay-day { flex: 1 1 0; min-width: 0; text-align: center; font-size: .85em; }
.mailrelay-bars { display: flex; align-items: flex-end; justify-content: center; gap: 2px; height: 4.5em;
	border-bottom: 1px solid var(--mailrelay-border); }
.mailrelay-bars > span { width: 40%; max-width: 1.5em; min-height: 0; border-radius: .2em .2em 0 0; }
.mailrelay-bars > .good { background: var(--mailrelay-good); }
.mailrelay-bars > .bad { background: var(--mailrelay-bad); }
@media (max-width: 760px) {
	.mailrelay-picture { flex-direction: column; }
	.mailrelay-node { flex: none; }
	a.mailrelay-link { flex: none; flex-direction: row; align-items: center; justify-content: center; padding: .2em 0; }
	.mailrelay-line { height: 1.6em; margin: 0 0 .5em; border-top: none; border-left: 4px solid; }
	.mailrelay-line.bad { border-left-style: dashed; }
	.mailrelay-line.unknown { border-left-style: dotted; }
	.mailrelay-line::after { right: auto; left: -2px; top: auto; bottom: -.7em; transform: translateX(-50%);
		border-width: .6em .5em 0; border-color: currentColor transparent transparent; }
	.mailrelay-days { gap: .25em; }
}`;

/* A word on a coloured ground. */
function label(state, text) {
	return E('span', { 'class': 'label mailrelay-label %s %s'.format(LABELS[state], state) }, [ SIGNS[state] + ' ' + text ]);
}

/* The settings page, at a field: it opens it. */
function field(section, option) {
	return L.url('admin/services/mailrelay/settings') + '#' + [ 'mailrelay', section, option ].filter(Boolean).map(encodeURIComponent).join('/');
}

/* The field that mends a failure at that provider, null where none is known to. */
function mend(one) {
	return one && one.name && FIELDS[one.stage] ? field(one.name, FIELDS[one.stage]) : null;
}

function page(name) {
	return L.url('admin/services/mailrelay/' + name);
}

function isElsewhere(net) {
	return net != '127.0.0.0/8' && net != '::1/128';
}

/* A state, a word, and where it leads with what is to be seen there. */
function found(state, text, href, more) {
	return { state, text, href, more };
}

/* Whether what the machines send comes in. */
function incoming(status) {
	const deaf = Object.keys(status.not_listening || {}), refused = (status.refusals || []).length;

	if (!status.running)
		return status.enabled === false
			? found(BAD, _('switched off'), field('main', 'enabled'), _('Switch it on in the settings.'))
			: found(BAD, _('closed'), page('log'), _('The log says why.'));
	if ((status.port_taken || []).length)
		return found(BAD, _('port is taken'), field('main', 'port'), _('Another program has it.'));
	if (status.spool_missing)
		return found(BAD, _('all refused'), field('main', 'spool'), _('The storage for waiting mail is not there.'));
	if (status.provider === false)
		return found(BAD, _('all refused'), field('smarthost', 'host'), _('There is no provider.'));
	if (deaf.length)
		return found(WARN, _('open in part'), field('main', 'network'), _('cannot listen on %s').format(deaf.join(', ')));
	if (status.allow && !status.allow.some(isElsewhere))
		return found(WARN, _('for the router alone'), field('main', 'network'), _('No network of machines is chosen.'));
	if (refused)
		return found(WARN, _('some refused'), field('main', 'network'), _('The overview says which and why.'));
	return found(GOOD, _('open'), field('main', 'network'), _('The machines\' networks'));
}

/* How one provider is, from what the relay says of it. */
function ofProvider(one, status) {
	const at = field(one.name || 'smarthost', FIELDS[one.stage] || 'host');
	const wait = one.next_try > status.now ? _('next try in %s').format(relay.span(one.next_try - status.now)) : '';
	const more = [ one.text, wait ].filter(Boolean).join(', ');

	switch (one.state) {
	case 'good': return found(GOOD, _('reachable'), at, more);
	case 'waiting': return found(WARN, _('lets mail wait'), at, more);
	case 'bad': return found(BAD, TROUBLES[one.stage] || _('cannot be used'), at, more);
	}
	return found(UNKNOWN, _('not tried yet'), at, more);
}

/* Whether mail leaves: by the best provider, and yellow if that is not the first one or something waits. */
function outgoing(status) {
	const all = (status.providers || []).map((one) => ofProvider(one, status)), first = all[0];
	const good = all.find((one) => one.state == GOOD), success = status.last_success, failure = status.last_failure;

	if (!status.running)
		return found(UNKNOWN, _('nothing is sent'), page('log'));
	if (status.provider === false)
		return found(BAD, _('no provider'), field('smarthost', 'host'), _('Add yours.'));
	if (good && first.state == BAD)
		return found(WARN, _('by a spare'), first.href, first.text);
	if (good && (status.deferred && failure && (!success || failure.time >= success.time)))
		return found(WARN, _('mail waits'), first.href, failure.answer);
	if (first && !good)
		return all.find((one) => one.state == WARN) || all.find((one) => one.state == BAD) || first;
	if (good)
		return good;
	if (failure) /* Postfix's, which knows no states of providers */
		return found((status.troubles || []).length ? BAD : WARN, TROUBLES[failure.stage] || _('mail waits'), page('settings'), failure.answer);
	return status.deferred ? found(WARN, _('mail waits'), page('queue')) : found(UNKNOWN, _('not known'), page('log'));
}

/* Whether it arrives. */
function arriving(status) {
	const success = status.last_success, last = success ? _('last mail %s').format(relay.ago(success.time, status.now)) : '';

	if (status.failed)
		return found(BAD, _('%d failed').format(status.failed), page('queue'), last);
	if (status.deferred)
		return found(WARN, _('%d deferred').format(status.deferred), page('queue'), last);
	if (success)
		return found(GOOD, _('delivered'), page('queue'), last);
	return found(UNKNOWN, _('no mail yet'), page('queue'));
}

function waiting(status) {
	const texts = [ _('%d waiting').format(status.queue) ];

	if (status.oldest != null)
		texts[0] += ' ' + _('(the oldest for %s)').format(relay.span(Math.max(0, status.now - status.oldest)));
	if (status.deferred)
		texts.push(_('%d deferred').format(status.deferred));
	if (status.hold)
		texts.push(_('%d held').format(status.hold));
	if (status.failed)
		texts.push(_('%d failed').format(status.failed));
	return texts.join(', ');
}

/* The short name of a date's weekday, in the page's language. */
function weekday(day) {
	return new Date(day + 'T12:00').toLocaleDateString(document.documentElement.lang || [], { weekday: 'short' });
}

function node(name, title, lines) {
	return E('div', { 'class': 'mailrelay-node', 'data-node': name, 'role': 'listitem' },
		[ E('strong', {}, [ title ]) ].concat(lines.filter(Boolean).map((line) => E('div', {}, [].concat(line)))));
}

function link(name, between, way) {
	const words = [ between, way.text, way.more ].filter(Boolean).join(': ');

	return E('a', { 'class': 'mailrelay-link', 'data-link': name, 'data-state': way.state, 'href': way.href, 'title': words, 'aria-label': words }, [
		label(way.state, way.text), E('span', { 'class': 'mailrelay-line ' + way.state, 'aria-hidden': 'true' })
	]);
}

return baseclass.extend({
	label, field, mend, waiting,

	style: () => E('style', {}, [ STYLE ]),

	/* Whether it runs, as a state. */
	state: (status) => status.running ? found(GOOD, _('running'), page('log'))
		: found(BAD, status.enabled === false ? _('switched off') : _('not running'), status.enabled === false ? field('main', 'enabled') : page('log')),

	draw: function(status) {
		const state = this.state(status), networks = (status.allow || []).filter(isElsewhere);
		const providers = (status.providers || []).map((one) => [ one.smarthost, ' ', label(ofProvider(one, status).state, ofProvider(one, status).text) ]);
		const names = (status.smarthosts || []).map((name) => [ name ]);

		return E('div', { 'class': 'mailrelay-picture', 'id': 'mailrelay-picture', 'role': 'list', 'aria-label': _('The way of a mail') }, [
			node('machines', _('Machines'), networks.length ? networks : [ status.running ? _('only the router itself') : '' ]),
			link('in', _('From the machines to the router'), incoming(status)),
			node('router', _('This router'), [ [ label(state.state, state.text) ], waiting(status) ]),
			link('out', _('From the router to the provider'), outgoing(status)),
			node('provider', _('Provider'), status.provider === false ? [ _('none') ] : status.running ? (providers.length ? providers : names) : []),
			link('home', _('From the provider to you'), arriving(status)),
			node('you', _('You'), [ status.last_success ? _('last mail %s').format(relay.ago(status.last_success.time, status.now)) : _('no mail yet') ])
		]);
	},

	/* The same on one line, for LuCI's status page. */
	short: function(status) {
		const state = this.state(status);
		const part = (title, way) => E('a', { 'href': way.href, 'title': way.more || '', 'data-state': way.state }, [ title, ' ', label(way.state, way.text) ]);
		const arrow = () => E('span', { 'aria-hidden': 'true' }, [ '→' ]);

		return E('div', { 'class': 'mailrelay-short' }, [
			part(_('Machines'), incoming(status)), arrow(), part(_('Relay'), state), arrow(),
			part(_('Provider'), outgoing(status)), arrow(), part(_('You'), arriving(status))
		]);
	},

	/* A bar a day, of what was sent and what has failed. */
	days: function(days) {
		const most = Math.max(1, ...days.map((day) => Math.max(day.delivered, day.failed)));
		const bar = (state, count) => E('span', { 'class': state, 'style': 'height:%d%%'.format(count ? Math.max(4, 100 * count / most) : 0) });

		return E('div', { 'class': 'mailrelay-days', 'role': 'list', 'aria-label': _('Mail of the last days') }, days.map((day) => {
			const words = _('%s: %d taken, %d sent, %d failed').format(day.day, day.accepted, day.delivered, day.failed);

			return E('div', { 'class': 'mailrelay-day', 'data-day': day.day, 'role': 'listitem', 'title': words, 'aria-label': words }, [
				E('span', {}, [ String(day.delivered) ]),
				E('div', { 'class': 'mailrelay-bars', 'aria-hidden': 'true' }, [ bar(GOOD, day.delivered), bar(BAD, day.failed) ]),
				E('span', {}, [ weekday(day.day) ])
			]);
		}));
	}
});
