'use strict';
'require view';
'require dom';
'require poll';
'require ui';
'require mailrelay.relay as relay';

/* The mail that waits, is held or has failed, and what can be done with it. */

const SHOWN = 200;

const STATES = {
	queue: _('waiting'),
	hold: _('held'),
	failed: _('failed')
};

function stateOf(message) {
	if (message.damage)
		return _('damaged');
	return message.sending ? _('being sent') : STATES[message.state] || message.state;
}

/* What changes when the queue does: the list itself costs the router an interpreter, the status nothing. */
function stamp(status) {
	return JSON.stringify([ status.queue, status.hold, status.failed, status.delivering, status.oldest, status.next_try, status.counts ]);
}

function recipients(message) {
	return (message.recipients || []).reduce(function(nodes, one) {
		return nodes.concat(nodes.length ? E('br') : [], one.address + (one.state == 'delivered' ? ' ✔' : ''));
	}, []);
}

/* Of `mailrelay show` and postcat: all before the mail's own text. */
function headers(text) {
	const parts = text.replace(/\r/g, '').split('\n\n');

	return parts.slice(0, /^\*\*\*/.test(text) ? 1 : 2).join('\n\n');
}

return view.extend({
	load: function() {
		return Promise.all([ relay.status(), relay.queue(SHOWN) ]);
	},

	render: function(data) {
		this.chosen = new Set();
		this.mayAct = L.hasViewPermission();
		this.body = E('div', { 'id': 'mailrelay-queue' });
		this.fill(data);

		poll.add(L.bind(function() {
			return relay.status().then(L.bind(function(status) {
				return stamp(status) == this.stamp ? this.note(status) : this.refresh();
			}, this));
		}, this), relay.seconds);

		return E([], [
			E('h2', {}, [ _('Mail Relay') + ' – ' + _('Queue') ]),
			E('div', { 'class': 'cbi-map-descr' }, [ _('Mail that waits to be sent, is held back, or could not be delivered.') ]),
			E('div', { 'class': 'cbi-section' }, [ this.body ])
		]);
	},

	refresh: function() {
		return this.load().then(L.bind(this.fill, this));
	},

	note: function(status) {
		this.status = status;
	},

	fill: function(data) {
		const messages = data[1].messages || [];
		const ids = messages.map(function(message) { return message.id; });

		this.status = data[0];
		this.stamp = stamp(data[0]);
		this.chosen.forEach(function(id) {
			if (ids.indexOf(id) < 0)
				this.chosen.delete(id);
		}, this);

		dom.content(this.body, messages.length ? [
			this.mayAct ? this.buttons(ids) : '',
			this.table(messages),
			data[1].total > messages.length ? E('p', {}, [ _('%d more are not shown.').format(data[1].total - messages.length) ]) : ''
		] : E('p', {}, [ E('em', {}, [ this.status.running ? _('The queue is empty.') : _('The relay is not running; the queue cannot be shown, or is empty.') ]) ]));
		this.enable();
	},

	buttons: function(ids) {
		const can = L.bind(function(what) { return this.status.cannot.indexOf(what) < 0; }, this);
		const button = L.bind(function(name, kind, title) {
			return E('button', {
				'class': 'btn cbi-button cbi-button-' + kind, 'data-action': name, 'style': 'margin:0 .3em .3em 0',
				'click': ui.createHandlerFn(this, 'act', name)
			}, [ title ]);
		}, this);

		return E('div', { 'class': 'mailrelay-actions' }, [
			E('label', { 'style': 'margin-right:1em; white-space:nowrap' }, [
				E('input', { 'type': 'checkbox', 'id': 'mailrelay-all', 'change': L.bind(this.chooseAll, this, ids) }), ' ', _('all')
			]),
			can('flush_some') ? button('flush', 'action', _('Try now')) : '',
			can('hold') ? button('hold', 'neutral', _('Hold')) : '',
			can('release') ? button('release', 'neutral', _('Release')) : '',
			can('delete') ? button('remove', 'remove', _('Delete')) : ''
		]);
	},

	table: function(messages) {
		const titles = [ this.mayAct ? '' : null, _('State'), _('Age'), _('From'), _('To'), _('Size'), _('Tries'), _('Next try'), _('Last answer'), '' ];

		return E('table', { 'class': 'table cbi-section-table' }, [
			E('tr', { 'class': 'tr table-titles' }, titles.filter(function(title) { return title != null; })
				.map(function(title) { return E('th', { 'class': 'th' }, [ title ]); }))
		].concat(messages.map(L.bind(this.row, this))));
	},

	row: function(message, at) {
		const cell = function(title, content) {
			return E('td', { 'class': 'td left', 'data-title': title, 'style': 'overflow-wrap:anywhere' }, content);
		};
		const box = E('input', {
			'type': 'checkbox', 'data-id': message.id, 'checked': this.chosen.has(message.id) ? '' : null, 'aria-label': message.id,
			'change': L.bind(function(ev) {
				this.chosen[ev.target.checked ? 'add' : 'delete'](message.id);
				this.enable();
			}, this)
		});

		return E('tr', { 'class': 'tr cbi-rowstyle-' + (at % 2 + 1), 'data-id': message.id }, [
			this.mayAct ? cell(_('Choose'), [ box ]) : '',
			cell(_('State'), [ stateOf(message) ]),
			cell(_('Age'), [ message.age != null ? relay.span(message.age) : '–' ]),
			cell(_('From'), [ message.sender || _('nobody') ]),
			cell(_('To'), recipients(message)),
			cell(_('Size'), [ message.size != null ? relay.size(message.size) : '–' ]),
			cell(_('Tries'), [ message.attempts != null ? String(message.attempts) : '–' ]),
			cell(_('Next try'), [ this.nextTry(message) ]),
			cell(_('Last answer'), [ message.damage || message.last_answer || '–' ]),
			E('td', { 'class': 'td cbi-section-actions' }, [ E('div', {}, [
				this.mayAct && this.status.cannot.indexOf('show') < 0 ? E('button', {
					'class': 'btn cbi-button', 'data-show': message.id, 'click': ui.createHandlerFn(this, 'look', message.id)
				}, [ _('Headers') ]) : '',
				' ',
				E('button', {
					'class': 'btn cbi-button', 'data-log': message.id,
					'click': function() { window.location = L.url('admin/services/mailrelay/log') + '?id=' + message.id; }
				}, [ _('Log') ])
			]) ])
		]);
	},

	nextTry: function(message) {
		if (message.next_try == null)
			return '–';
		return message.next_try <= this.status.now ? _('now') : _('in %s').format(relay.span(message.next_try - this.status.now));
	},

	chooseAll: function(ids, ev) {
		this.chosen = new Set(ev.target.checked ? ids : []);
		this.body.querySelectorAll('input[data-id]').forEach(function(box) { box.checked = ev.target.checked; });
		this.enable();
	},

	enable: function() {
		this.body.querySelectorAll('button[data-action]').forEach(L.bind(function(button) {
			button.disabled = !this.chosen.size;
		}, this));
	},

	act: function(name) {
		const ids = Array.from(this.chosen);

		return (name == 'remove' ? this.confirm(ids) : Promise.resolve(true)).then(L.bind(function(sure) {
			return sure ? this.carryOut(name, ids) : null;
		}, this));
	},

	carryOut: function(name, ids) {
		return relay[name](ids).then(L.bind(function(answer) {
			if (!answer.ok)
				ui.addNotification(null, E('p', { 'style': 'white-space:pre-line' }, [ answer.text ]), 'error');

			this.chosen.clear();
			return this.refresh();
		}, this));
	},

	/* Promises whether its owner is sure. */
	confirm: function(ids) {
		return new Promise(function(resolve) {
			const answer = function(sure) {
				return function() {
					ui.hideModal();
					resolve(sure);
				};
			};

			ui.showModal(_('Delete mail'), [
				E('p', {}, [ _('This deletes %d mails for good. Nobody is told.').format(ids.length) ]),
				E('div', { 'class': 'right' }, [
					E('button', { 'class': 'btn cbi-button', 'click': answer(false) }, [ _('Cancel') ]), ' ',
					E('button', { 'class': 'btn cbi-button cbi-button-negative', 'id': 'mailrelay-delete', 'click': answer(true) }, [ _('Delete') ])
				])
			]);
		});
	},

	look: function(id) {
		return relay.show(id).then(function(answer) {
			ui.showModal(_('Headers of %s').format(id), [
				E('pre', { 'id': 'mailrelay-headers', 'style': 'max-height:60vh; overflow:auto; white-space:pre-wrap; overflow-wrap:anywhere' }, [ headers(answer.text) ]),
				E('div', { 'class': 'right' }, [ E('button', { 'class': 'btn cbi-button', 'click': ui.hideModal }, [ _('Close') ]) ])
			]);
		});
	},

	handleSaveApply: null,
	handleSave: null,
	handleReset: null
});
