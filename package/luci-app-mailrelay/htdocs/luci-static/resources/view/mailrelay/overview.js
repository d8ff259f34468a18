'use strict';
'require view';
'require dom';
'require poll';
'require mailrelay.picture as picture';
'require mailrelay.relay as relay';
'require mailrelay.trial as trial';
'require mailrelay.summary as summary';

/* global picture, relay, trial, summary */

/* The way of a mail as a picture, what is wrong on it and what mends that, what was sent, and a mail to try it. */
return view.extend({
	load: () => relay.status(),

	render: function(status) {
		const panel = E('div', { 'id': 'mailrelay-status' });

		this.fill(panel, status);
		poll.add(() => relay.status().then((now) => this.fill(panel, now)), relay.seconds);

		return E([], [
			picture.style(),
			E('h2', {}, [ _('Mail Relay') ]),
			E('div', { 'class': 'cbi-map-descr' }, [
				_('Takes plain mail from the machines on your networks and sends it through your provider, with TLS and a login.')
			]),
			panel,
			L.hasViewPermission() ? this.trial(status) : ''
		]);
	},

	trial: function(status) {
		if (!status.cannot.includes('test'))
			return trial.render(null, !status.cannot.includes('play'));

		return E('div', { 'class': 'cbi-section' }, [
			E('h3', {}, [ _('Test mail') ]),
			E('p', {}, [ _('The Postfix engine cannot send a test mail. Send one from a machine, and read the log.') ])
		]);
	},

	fill: function(panel, status) {
		dom.content(panel, [
			summary.alerts(status),
			E('div', { 'class': 'cbi-section' }, [ picture.draw(status) ]),
			summary.figures(status),
			E('div', { 'class': 'cbi-section' }, [ summary.table(summary.rows(status)) ])
		]);
	},

	handleSaveApply: null,
	handleSave: null,
	handleReset: null
});
