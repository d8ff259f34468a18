'use strict';
'require baseclass';
'require ui';
'require mailrelay.relay as relay';

/* global relay */

/* What is done with many mails at once: in portions, so that no call takes long, however much mail there is. */

const LISTED = 500; /* mails that are listed at most: an answer of the bus has room for a megabyte */
const PORTION = 100; /* mails that a call acts on: it has to be done within seconds */

return baseclass.extend({
	listed: LISTED,

	/*
	 * By relay[name], on these mails; `progress(done)` is called before each portion, `before` were done already.
	 * Promises what was said of those that could not be done.
	 */
	on(name, ids, progress, before = 0) {
		const told = [];

		return ids.reduce((last, id, at) => at % PORTION ? last : last.then(() => {
			progress(before + at);
			return relay[name](ids.slice(at, at + PORTION)).then((answer) => answer.ok || told.push(answer.text));
		}), Promise.resolve()).then(() => told);
	},

	/* The same on whatever there is when we look, state by state; what is left where it was is not tried twice. */
	onAll(name, states, progress) {
		if (name == 'flush') /* without ids it is for all */
			return relay.flush([]).then((answer) => answer.ok ? [] : [ answer.text ]);

		const tried = new Set(), told = [];
		const next = (left) => !left.length ? told : relay.queue(LISTED, left[0]).then((answer) => {
			const before = tried.size, ids = (answer.messages || []).map((mail) => mail.id).filter((id) => !tried.has(id));

			ids.forEach((id) => tried.add(id));
			return ids.length ? this.on(name, ids, progress, before).then((texts) => {
				told.push(...texts);
				return next(left);
			}) : next(left.slice(1));
		});

		return Promise.resolve(next(states));
	},

	/* Promises whether its owner is sure. */
	confirm(count) {
		return new Promise((resolve) => {
			const answer = (sure) => () => {
				ui.hideModal();
				resolve(sure);
			};
			const asked = N_(count, 'This deletes %s mail for good. Nobody is told.', 'This deletes %s mails for good. Nobody is told.');

			ui.showModal(_('Delete mail'), [
				E('p', {}, [ asked.format(count.toLocaleString()) ]),
				E('div', { 'class': 'right' }, [
					E('button', { 'class': 'btn cbi-button', 'click': answer(false) }, [ _('Cancel') ]), ' ',
					E('button', { 'class': 'btn cbi-button cbi-button-negative', 'id': 'mailrelay-delete', 'click': answer(true) }, [ _('Delete') ])
				])
			]);
		});
	}
});
