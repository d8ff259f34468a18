'use strict';
'require view';
'require dom';
'require poll';
'require mailrelay.relay as relay';

/* global relay */

/* The relay's lines of the system's log, the newest first: all of them or those of one mail. */

const LINES = 300;
const PAUSE = 60; /* seconds after which the log is read anyway: some lines change nothing in the status */
const SHARE = 10; /* reading it costs the router a few processes: it may be at it a tenth of the time */

/* As logread prints a line: time, facility, level, who wrote it, what. */
const LINE = /^(.*?) \w+\.(\w+) ([^\s[:]+)(?:\[\d+\])?: ?(.*)$/;
const TIME = /^\w{3} (\w{3} +\d+ [\d:]{8}) \d{4}$/; /* without day of the week and year */
const OURS = /^mailrelay(?:\/|$)/; /* Postfix's are mailrelay/smtp and the like */

/* LuCI's class of label by level. */
const LABELS = { emerg: 'danger', alert: 'danger', crit: 'danger', err: 'danger', warn: 'warning', warning: 'warning', notice: 'notice' };

/* The relay's own lines, newest first; that somebody has logged in to this page is none. */
function parsed(text) {
	return (text || '').split('\n').map((line) => line.match(LINE)).filter((found) => found && OURS.test(found[3])).reverse()
		.map(([ , time, level, , message ]) => ({ time: time.replace(TIME, '$1'), level, message }));
}

function row(line) {
	return E('tr', { 'class': 'tr', 'data-level': line.level }, [
		E('td', { 'class': 'td left', 'data-column': 'time' }, [ line.time ]),
		E('td', { 'class': 'td left', 'data-column': 'level' }, [ E('span', { 'class': 'label ' + (LABELS[line.level] || '') }, [ line.level ]) ]),
		E('td', { 'class': 'td left', 'data-column': 'message' }, [ line.message ])
	]);
}

return view.extend({
	load() {
		this.id = new URLSearchParams(window.location.search).get('id') || '';
		return Promise.all([ relay.status(), relay.log(this.id, LINES) ]);
	},

	render([ status, answer ]) {
		this.words = '';
		this.table = E('table', { 'class': 'table mailrelay-log', 'id': 'mailrelay-log' });
		this.aside = E('p', { 'class': 'mailrelay-aside' });
		this.stamp = this.stampOf(status);
		this.take(answer, Date.now());

		poll.add(() => relay.status().then((now) => {
			const changed = this.stampOf(now) != this.stamp && Date.now() > this.rested;

			return changed || Date.now() > this.stale ? this.fetch(now) : null;
		}), relay.seconds);

		return E([], [
			relay.style(),
			E('h2', {}, [ _('Mail Relay') + ' – ' + _('Log') ]),
			E('div', { 'class': 'cbi-section' }, [
				E('div', { 'class': 'mailrelay-tools' }, [
					this.field('mailrelay-log-id', _('Queue id'), this.id, _('all mails'), 'change', (text) => {
						this.id = text;
						return this.fetch(null);
					}),
					this.field('mailrelay-log-search', _('Search'), '', '', 'input', (text) => {
						this.words = text.toLowerCase();
						this.draw();
					})
				]),
				E('div', { 'class': 'cbi-section-descr' }, [ _('With a queue id it shows the lines of one mail only. A machine is told the id when its mail is taken.') ]),
				this.aside, E('div', { 'class': 'mailrelay-scroll' }, [ this.table ])
			])
		]);
	},

	field(id, title, value, placeholder, event, changed) {
		return E('label', {}, [ title, ' ', E('input', {
			'type': 'text', 'class': 'cbi-input-text', id, value, placeholder, [event]: (ev) => changed(ev.target.value.trim())
		}) ]);
	},

	/* What changes when the relay has done something. */
	stampOf(status) {
		return JSON.stringify([ status.running, status.updated, status.queue, status.hold, status.failed, status.counts ]);
	},

	fetch(status) {
		const begun = Date.now(), id = this.id;

		if (status)
			this.stamp = this.stampOf(status);
		return relay.log(id, LINES).then((answer) => id == this.id ? this.take(answer, begun) : null);
	},

	take(answer, begun) {
		this.rested = Date.now() + SHARE * (Date.now() - begun);
		this.stale = Date.now() + PAUSE * 1000;
		this.lines = answer.ok === false ? [] : parsed(answer.text);
		this.refused = answer.ok === false ? answer.text : '';
		this.draw();
	},

	draw() {
		const found = this.lines.filter((line) => (line.level + ' ' + line.message).toLowerCase().includes(this.words));

		dom.content(this.table, found.map(row));
		this.aside.textContent = this.refused || (found.length ? _('The newest first, as of %s.').format(new Date().toLocaleTimeString()) : _('There are no lines.'));
	},

	handleSaveApply: null,
	handleSave: null,
	handleReset: null
});
