'use strict';
'require view';
'require dom';
'require poll';
'require ui';
'require mailrelay.relay as relay';
'require mailrelay.mails as mails';

/* global relay, mails */

/* The mail that waits, is held or has failed, and what can be done with it. */

const LISTED = 500; /* mails that are listed at most: an answer of the bus has room for a megabyte */
const PORTION = 100; /* mails that a call acts on: it has to be done within seconds */
const SHARE = 10; /* the list costs the router an interpreter: it may be at it a tenth of the time */

const FILTERS = [ [ '', _('All') ], [ 'queue', _('Waiting') ], [ 'hold', _('Held') ], [ 'failed', _('Failed') ] ];

/* Name, title, LuCI's kind of button, what the engine must be able to do, and in which states of a mail it means something. */
const ACTIONS = [
	{ name: 'flush', title: _('Try now'), kind: 'action', needs: 'flush_some', states: [ 'queue' ] },
	{ name: 'hold', title: _('Hold'), kind: 'neutral', needs: 'hold', states: [ 'queue', 'failed' ] },
	{ name: 'release', title: _('Release'), kind: 'neutral', needs: 'release', states: [ 'hold', 'failed' ], hint: _('Puts held and failed mail back into the queue, to be tried at once.') },
	{ name: 'remove', title: _('Delete'), kind: 'remove', needs: 'delete', states: [ 'queue', 'hold', 'failed' ] }
];

/* What changes when the queue does. */
function stamp(status) {
	return JSON.stringify([ status.running, status.queue, status.hold, status.failed, status.delivering, status.oldest, status.next_try, status.counts ]);
}

/* Of `mailrelay show` and of postcat: the mail's header, and what is known of it besides. */
function headers(text) {
	const lines = text.replace(/\r/g, ''), contents = lines.search(/^\*\*\* MESSAGE CONTENTS/m);

	if (contents < 0)
		return lines.split('\n\n').slice(0, 2).join('\n\n');
	return lines.slice(lines.indexOf('\n', contents) + 1).split('\n\n')[0];
}

return view.extend({
	load() {
		return Promise.all([ relay.status(), relay.queue(LISTED, '') ]);
	},

	render([ status, answer ]) {
		this.status = status;
		this.filter = '';
		this.everything = false; /* also what is not listed is chosen */
		this.mayAct = L.hasViewPermission();
		this.tabs = E('ul', { 'class': 'cbi-tabmenu' }, FILTERS.map(([ name, title ]) => this.tab(name, title)));
		this.said = E('p', { 'id': 'mailrelay-said' });
		this.progress = E('span', { 'id': 'mailrelay-progress', 'aria-live': 'polite' });
		this.tools = this.mayAct ? this.actions() : E('div');
		this.list = mails.render(this.mayAct, (mail) => this.buttons(mail), () => this.show());
		this.take(answer, Date.now());

		poll.add(() => relay.status().then((now) => {
			this.status = now;
			return stamp(now) != this.stamp && Date.now() > this.rested ? this.fetch() : this.draw();
		}), relay.seconds);

		return E([], [
			relay.style(),
			E('h2', {}, [ _('Mail Relay') + ' – ' + _('Queue') ]),
			E('div', { 'class': 'cbi-map-descr' }, [ _('Mail that waits to be sent, is held back, or could not be delivered.') ]),
			E('div', { 'class': 'cbi-section', 'id': 'mailrelay-queue' }, [
				this.tabs,
				E('div', { 'class': 'mailrelay-tools' }, [ this.tools, this.searching() ]),
				this.said, this.list
			])
		]);
	},

	/* ---- what is known ------------------------------------------------------------------------------------------- */

	/* For a person: the list as it is now. */
	refresh() {
		return relay.status().then((status) => {
			this.status = status;
			return this.fetch();
		});
	},

	fetch() {
		const begun = Date.now(), filter = this.filter;

		this.stamp = stamp(this.status);
		return relay.queue(LISTED, filter).then((answer) => filter == this.filter ? this.take(answer, begun) : null);
	},

	take(answer, begun) {
		this.stamp = this.stamp || stamp(this.status);
		this.taken = { total: answer.total || 0, now: this.status.now, at: new Date() };
		this.rested = Date.now() + SHARE * (Date.now() - begun);
		mails.set(answer.messages || []);
		this.draw();
	},

	draw() {
		mails.draw(this.status.now, this.status.now - this.taken.now);
	},

	/* ---- the page around the table ------------------------------------------------------------------------------- */

	tab(name, title) {
		return E('li', { 'data-filter': name, 'class': 'cbi-tab-disabled' }, [
			E('a', { 'href': '#', 'click': (ev) => {
				ev.preventDefault();
				this.filter = name;
				mails.page = 0;
				mails.choose(false);
				return this.refresh();
			} }, [ title, ' ', E('span', { 'class': 'mailrelay-count' }) ])
		]);
	},

	searching() {
		return E('input', {
			'type': 'text', 'class': 'cbi-input-text', 'id': 'mailrelay-search', 'placeholder': _('Search'), 'aria-label': _('Search'),
			'input': (ev) => {
				this.everything = false;
				mails.search(ev.target.value);
			}
		});
	},

	actions() {
		return E('div', { 'class': 'mailrelay-actions' }, [
			E('label', {}, [
				E('input', { 'type': 'checkbox', 'id': 'mailrelay-all', 'change': (ev) => mails.choose(ev.target.checked) }), ' ', _('all')
			])
		].concat(ACTIONS.filter((action) => this.can(action.needs)).map((action) => E('button', {
			'class': 'btn cbi-button cbi-button-' + action.kind, 'data-action': action.name, 'title': action.hint || null,
			'click': ui.createHandlerFn(this, 'act', action)
		}, [ action.title ])), this.progress));
	},

	buttons(mail) {
		const log = L.url('admin/services/mailrelay/log') + '?id=' + mail.id;

		return [
			this.mayAct && this.can('show') ? E('button', {
				'class': 'btn cbi-button', 'data-show': mail.id, 'click': ui.createHandlerFn(this, 'look', mail.id)
			}, [ _('Headers') ]) : '',
			E('button', { 'class': 'btn cbi-button', 'data-log': mail.id, 'click': () => { window.location = log; } }, [ _('Log') ])
		];
	},

	can(what) {
		return !(this.status.cannot || []).includes(what);
	},

	/* Of mails by filter: as they are listed, since the status is some seconds behind; else as the status has it. */
	counts() {
		const { queue, hold, failed } = this.status, all = { '': queue + hold + failed, queue, hold, failed };

		if (!this.filter && this.taken.total == mails.mails.length)
			Object.keys(all).forEach((name) => { all[name] = mails.mails.filter((mail) => !name || mail.state == name).length; });
		all[this.filter] = this.taken.total;
		return all;
	},

	/* Everything but the table, after each change. */
	show() {
		const chosen = mails.chosen.size, listed = mails.mails.length, counts = this.counts();

		this.everything = this.everything && chosen == listed;
		this.tabs.querySelectorAll('li').forEach((tab) => {
			const name = tab.getAttribute('data-filter');

			tab.className = name == this.filter ? 'cbi-tab' : 'cbi-tab-disabled';
			tab.querySelector('.mailrelay-count').textContent = '(' + (counts[name] || 0).toLocaleString() + ')';
		});
		this.tools.style.visibility = listed ? '' : 'hidden';
		this.enable();
		dom.content(this.said, this.saying(listed, chosen));
	},

	saying(listed, chosen) {
		const total = this.taken.total, parts = [];

		if (!listed)
			return [ E('em', {}, [ !this.status.running ? _('The relay is not running; the queue cannot be shown, or is empty.')
				: this.filter ? _('There is none.') : _('The queue is empty.') ]) ];
		if (total > listed)
			parts.push(_('The first %s of %s are listed.').format(listed.toLocaleString(), total.toLocaleString()));
		if (mails.words)
			parts.push(_('The search finds %s.').format(this.mail(mails.matching().length)));
		if (this.everything)
			parts.push(_('All %s are chosen.').format(total.toLocaleString()));
		else if (chosen)
			parts.push(N_(chosen, '%s mail is chosen.', '%s mails are chosen.').format(chosen.toLocaleString()));
		if (!this.everything && total > listed && chosen == listed)
			parts.push(E('button', { 'class': 'btn cbi-button', 'id': 'mailrelay-everything', 'click': () => {
				this.everything = true;
				this.show();
			} }, [ _('Choose all %s').format(total.toLocaleString()) ]));

		parts.push(E('span', { 'class': 'mailrelay-aside' }, [ _('As of %s').format(this.taken.at.toLocaleTimeString()) ]));
		return parts.flatMap((part) => [ part, ' ' ]);
	},

	mail(count) {
		return N_(count, '%s mail', '%s mails').format(count.toLocaleString());
	},

	/* A button is for those of the chosen mails that it means something for; one at a time is at work. */
	enable() {
		const box = this.tools.querySelector('#mailrelay-all');

		if (box)
			box.checked = mails.chosen.size > 0 && mails.chosen.size == mails.matching().length;
		ACTIONS.forEach((action) => {
			const button = this.tools.querySelector('[data-action="' + action.name + '"]');

			if (button && !button.classList.contains('spinning'))
				button.disabled = this.acting || !this.fitting(action).length;
		});
	},

	/* ---- what is done -------------------------------------------------------------------------------------------- */

	fitting(action) {
		return mails.mails.filter((mail) => mails.chosen.has(mail.id) && action.states.includes(mail.state) && (!mail.damage || action.name == 'remove'))
			.map((mail) => mail.id);
	},

	act(action) {
		const ids = this.fitting(action), count = this.everything ? this.taken.total : ids.length;

		return (action.name == 'remove' ? this.confirm(count) : Promise.resolve(true)).then((sure) => {
			if (!sure)
				return null;
			this.acting = true;
			this.enable();
			return this.carryOut(action, ids).finally(() => {
				this.acting = false;
				this.progress.textContent = '';
				mails.choose(false);
				return this.refresh();
			});
		}).finally(() => window.setTimeout(() => this.enable())); /* when LuCI has made the button one to press again */
	},

	carryOut(action, ids) {
		const told = [];
		const done = this.everything ? this.onEverything(action, told) : this.inPortions(action, ids, 0, told);

		return done.then(() => {
			if (told.length)
				ui.addNotification(null, E('p', { 'style': 'white-space:pre-line' }, [ told.join('\n').split('\n').slice(0, 10).join('\n') ]), 'error');
		});
	},

	/* Whatever there is when we look, state by state; what an action leaves where it was is not tried twice. */
	onEverything(action, told) {
		if (action.name == 'flush')
			return relay.flush([]).then((answer) => answer.ok || told.push(answer.text));

		const tried = new Set();
		const next = (states) => !states.length ? Promise.resolve() : relay.queue(LISTED, states[0]).then((answer) => {
			const ids = (answer.messages || []).map((mail) => mail.id).filter((id) => !tried.has(id));

			if (!ids.length)
				return next(states.slice(1));

			const before = tried.size;

			ids.forEach((id) => tried.add(id));
			return this.inPortions(action, ids, before, told).then(() => next(states));
		});

		return next(this.filter ? [ this.filter ] : action.states);
	},

	/* `before` were done already. */
	inPortions(action, ids, before, told) {
		const total = this.everything ? this.taken.total : ids.length;

		return ids.reduce((last, id, at) => at % PORTION ? last : last.then(() => {
			if (total > PORTION)
				this.progress.textContent = _('%s of %s').format((before + at).toLocaleString(), total.toLocaleString());
			return relay[action.name](ids.slice(at, at + PORTION)).then((answer) => answer.ok || told.push(answer.text));
		}), Promise.resolve());
	},

	/* Promises whether its owner is sure. */
	confirm(count) {
		return new Promise((resolve) => {
			const answer = (sure) => () => {
				ui.hideModal();
				resolve(sure);
			};

			ui.showModal(_('Delete mail'), [
				E('p', {}, [ N_(count, 'This deletes %s mail for good. Nobody is told.', 'This deletes %s mails for good. Nobody is told.').format(count.toLocaleString()) ]),
				E('div', { 'class': 'right' }, [
					E('button', { 'class': 'btn cbi-button', 'click': answer(false) }, [ _('Cancel') ]), ' ',
					E('button', { 'class': 'btn cbi-button cbi-button-negative', 'id': 'mailrelay-delete', 'click': answer(true) }, [ _('Delete') ])
				])
			]);
		});
	},

	look(id) {
		return relay.show(id).then((answer) => {
			ui.showModal(_('Headers of %s').format(id), [
				E('pre', { 'id': 'mailrelay-headers', 'style': 'max-height:60vh; overflow:auto; white-space:pre-wrap; overflow-wrap:anywhere' },
					[ answer.ok ? headers(answer.text) : answer.text ]),
				E('div', { 'class': 'right' }, [ E('button', { 'class': 'btn cbi-button', 'click': ui.hideModal }, [ _('Close') ]) ])
			]);
		});
	},

	handleSaveApply: null,
	handleSave: null,
	handleReset: null
});
