'use strict';
'require view';
'require dom';
'require poll';
'require mailrelay.relay as relay';
'require mailrelay.trial as trial';
'require mailrelay.summary as summary';

/* Running or not and why not, for whom, the provider, the queue, and the last failure with what to change. */
return view.extend({
	load: function() {
		return relay.status().then(L.bind(this.explain, this));
	},

	/* A relay that should run and does not: what keeps it is what the check says, which is asked once. */
	explain: function(status) {
		if (status.running || !status.enabled) {
			this.faults = null;
			return status;
		}
		if (this.faults)
			return status;

		return relay.check().then(L.bind(function(answer) {
			this.faults = answer.ok ? [] : (answer.findings || []).filter(function(finding) { return !finding.warning; });
			return status;
		}, this));
	},

	render: function(status) {
		const panel = E('div', { 'id': 'mailrelay-status' });

		this.fill(panel, status);
		poll.add(L.bind(function() {
			return relay.status().then(L.bind(this.explain, this)).then(L.bind(this.fill, this, panel));
		}, this), relay.seconds);

		return E([], [
			E('h2', {}, [ _('Mail Relay') ]),
			E('div', { 'class': 'cbi-map-descr' }, [
				_('Takes plain mail from the machines on your networks and sends it through your provider, with TLS and a login.')
			]),
			panel,
			L.hasViewPermission() ? this.trial(status) : ''
		]);
	},

	trial: function(status) {
		if (status.cannot.indexOf('test') < 0)
			return trial.render();

		return E('div', { 'class': 'cbi-section' }, [
			E('h3', {}, [ _('Test mail') ]),
			E('p', {}, [ _('The Postfix engine cannot send a test mail. Send one from a machine, and read the log.') ])
		]);
	},

	fill: function(panel, status) {
		dom.content(panel, [
			summary.alerts(status, this.faults || []),
			E('div', { 'class': 'cbi-section' }, [ summary.table(summary.rows(status)) ])
		]);
	},

	handleSaveApply: null,
	handleSave: null,
	handleReset: null
});
