'use strict';
'require baseclass';
'require dom';
'require mailrelay.relay as relay';

/* global relay */

/*
 * The table of mails: columns, order, search and pages, and which are chosen. It is drawn anew with each look at the
 * queue and changes only the cells that say something else than before: a button that is at work, what is chosen, the
 * page and the place on it all stay.
 */

const PAGE = 50;
const NAMED = 3; /* recipients of a mail that are named */

const STATES = {
	queue: _('waiting'),
	hold: _('held'),
	failed: _('failed')
};

/* LuCI's class of label for a state; a mail that has not been tried yet has none. */
const LABELS = { sending: 'success', hold: 'notice', failed: 'danger', damaged: 'danger', tried: 'warning' };

function stateOf(mail) {
	return mail.damage ? 'damaged' : mail.sending ? 'sending' : mail.state;
}

function stateText(mail) {
	if (mail.damage)
		return _('damaged');
	return mail.sending ? _('being sent') : STATES[mail.state] || mail.state;
}

function state(mail) {
	const kind = stateOf(mail) == 'queue' && mail.attempts ? 'tried' : stateOf(mail);

	return [ E('span', { 'class': 'label ' + (LABELS[kind] || '') }, [ stateText(mail) ]) ];
}

function line(text, more) {
	return E('div', Object.assign({ 'title': text }, more), [ text ]);
}

function recipients(mail) {
	const all = mail.recipients || [], rest = all.length - NAMED;
	const marks = { delivered: ' ✔', failed: ' ✘' };
	const lines = all.slice(0, NAMED).map((one) => line(one.address + (marks[one.state] || '')));

	return rest > 0 ? lines.concat(line(_('and %s more').format(rest))) : lines;
}

function subject(mail) {
	const answer = mail.damage || mail.last_answer;

	return [
		line(mail.subject || '–', { 'class': 'mailrelay-subject' }),
		answer ? line(answer, { 'class': 'mailrelay-answer' }) : ''
	];
}

/* Seconds until the next try as it looks now; none for what is not tried. */
function wait(mail, now) {
	return mail.next_try == null ? Infinity : Math.max(0, mail.next_try - now);
}

function nextTry(mail, now) {
	const seconds = wait(mail, now);
	const text = seconds == Infinity ? '–' : seconds ? _('in %s').format(relay.span(seconds)) : _('now');

	return [ line(text), mail.attempts ? line(N_(mail.attempts, '%s try', '%s tries').format(mail.attempts)) : '' ];
}

/* Name, title, what a mail is ordered by, and what is shown of it; `now` and `passed` as of draw(). */
const COLUMNS = [
	{ name: 'state', title: _('State'), key: stateText, show: state },
	{ name: 'age', title: _('Age'), key: (mail) => mail.age, show: (mail, now, passed) => [ mail.age != null ? relay.span(mail.age + passed) : '–' ] },
	{ name: 'from', title: _('From'), key: (mail) => mail.sender, show: (mail) => [ line(mail.sender || _('nobody')) ] },
	{ name: 'to', title: _('To'), key: (mail) => ((mail.recipients || [])[0] || {}).address, show: recipients },
	{ name: 'subject', title: _('Subject'), key: (mail) => mail.subject, show: subject },
	{ name: 'size', title: _('Size'), key: (mail) => mail.size, show: (mail) => [ mail.size != null ? relay.size(mail.size) : '–' ] },
	{ name: 'next', title: _('Next try'), key: (mail, now) => wait(mail, now), show: nextTry }
];

function compare(one, other) {
	if (typeof one == 'number' && typeof other == 'number')
		return one < other ? -1 : one > other;
	return String(one == null ? '' : one).localeCompare(String(other == null ? '' : other));
}

function says(mail, words) {
	return [ mail.id, mail.sender, mail.subject, mail.client, mail.last_answer, mail.damage, stateText(mail) ]
		.concat((mail.recipients || []).map((one) => one.address)).join('\n').toLowerCase().includes(words);
}

return baseclass.extend({
	/* `buttons(mail)` makes those of a row, `changed()` is called when others are chosen. */
	render(mayChoose, buttons, changed) {
		Object.assign(this, { mayChoose, buttons, changed, mails: [], chosen: new Set(), words: '', page: 0, order: null, rows: new Map() });
		this.titles = E('tr', { 'class': 'tr table-titles' }, [ mayChoose ? E('th', { 'class': 'th', 'data-column': 'pick' }) : '' ]
			.concat(COLUMNS.map((column) => this.title(column)), E('th', { 'class': 'th', 'data-column': 'buttons' })));
		this.table = E('table', { 'class': 'table mailrelay-mails' }, [ this.titles ]);
		this.pager = E('div', { 'class': 'mailrelay-pager' });
		return E('div', {}, [ this.table, this.pager ]);
	},

	/* The mails as they are now: of those that were chosen, what is still there is. */
	set(mails) {
		const ids = new Set(mails.map((mail) => mail.id));

		this.mails = mails;
		this.chosen.forEach((id) => ids.has(id) || this.chosen.delete(id));
	},

	/* `now` is the router's time, `passed` the seconds since set(). */
	draw(now, passed) {
		const found = this.matching(now), pages = Math.max(1, Math.ceil(found.length / PAGE));

		this.now = now;
		this.passed = passed;
		this.page = Math.min(this.page, pages - 1);
		this.place(found.slice(this.page * PAGE, (this.page + 1) * PAGE));
		this.table.style.display = found.length ? '' : 'none';
		dom.content(this.pager, pages > 1 ? this.turning(found.length, pages) : []);
		this.changed();
	},

	again() {
		this.draw(this.now, this.passed);
	},

	/* Those that the search finds, in the order that was asked for, else in the relay's. */
	matching(now) {
		const found = this.words ? this.mails.filter((mail) => says(mail, this.words)) : this.mails.slice();

		return this.order ? found.sort((one, other) => this.order.sign * compare(this.order.key(one, now), this.order.key(other, now))) : found;
	},

	search(words) {
		this.words = words.trim().toLowerCase();
		this.page = 0;
		this.again();
	},

	/* All that the search finds, on all pages, or none. */
	choose(all) {
		this.chosen = new Set(all ? this.matching(this.now).map((mail) => mail.id) : []);
		this.again();
	},

	title(column) {
		const sort = () => {
			const down = title.getAttribute('data-sort-direction') == 'asc';

			this.titles.querySelectorAll('[data-sort-direction]').forEach((one) => one.removeAttribute('data-sort-direction'));
			title.setAttribute('data-sort-direction', down ? 'desc' : 'asc');
			this.order = { key: column.key, sign: down ? -1 : 1 };
			this.again();
		};
		const title = E('th', {
			'class': 'th', 'data-column': column.name, 'data-sortable-row': 'true', 'tabindex': '0', 'role': 'button',
			'click': sort, 'keydown': (ev) => {
				if (ev.key != 'Enter' && ev.key != ' ')
					return;
				ev.preventDefault(); /* a space scrolls the page */
				sort();
			}
		}, [ column.title ]);

		return title;
	},

	place(mails) {
		const rows = mails.map((mail, at) => this.row(mail, at));

		this.rows = new Map(rows.map((row) => [ row.getAttribute('data-id'), row ]));
		Array.from(this.table.children).slice(1).forEach((row) => this.rows.get(row.getAttribute('data-id')) == row || row.remove());
		rows.forEach((row, at) => row == this.table.children[at + 1] || this.table.insertBefore(row, this.table.children[at + 1] || null));
	},

	row(mail, at) {
		const row = this.rows.get(mail.id) || this.frame(mail);
		const box = row.querySelector('input[data-id]');

		if (box)
			box.checked = this.chosen.has(mail.id);
		row.classList.toggle('cbi-rowstyle-1', at % 2 == 0);
		row.classList.toggle('cbi-rowstyle-2', at % 2 == 1);

		COLUMNS.forEach((column) => {
			const old = row.querySelector(':scope > [data-column="' + column.name + '"]');
			const cell = E('td', { 'class': 'td left', 'data-column': column.name, 'data-title': column.title }, column.show(mail, this.now, this.passed));

			if (!cell.isEqualNode(old))
				row.replaceChild(cell, old);
		});

		return row;
	},

	/* A row with what never changes in it: the box to choose it and its buttons. */
	frame(mail) {
		const box = E('input', {
			'type': 'checkbox', 'data-id': mail.id, 'aria-label': mail.id,
			'change': (ev) => {
				this.chosen[ev.target.checked ? 'add' : 'delete'](mail.id);
				this.changed();
			}
		});

		return E('tr', { 'class': 'tr', 'data-id': mail.id }, [
			this.mayChoose ? E('td', { 'class': 'td', 'data-column': 'pick' }, [ box ]) : '',
			COLUMNS.map((column) => E('td', { 'data-column': column.name })),
			E('td', { 'class': 'td right', 'data-column': 'buttons' }, this.buttons(mail))
		].flat());
	},

	turning(count, pages) {
		const turn = (text, by) => E('button', {
			'class': 'btn cbi-button cbi-button-neutral', 'data-turn': by, 'disabled': this.page + by < 0 || this.page + by >= pages ? '' : null,
			'click': () => {
				this.page += by;
				this.again();
				this.table.scrollIntoView();
			}
		}, [ text ]);
		const first = this.page * PAGE + 1;

		return [
			turn('«', -1), ' ',
			_('%s to %s of %s').format(first.toLocaleString(), Math.min(first + PAGE - 1, count).toLocaleString(), count.toLocaleString()), ' ',
			turn('»', 1)
		];
	}
});
