'use strict';
'require baseclass';
'require mailrelay.picture as picture';
'require mailrelay.relay as relay';
'require mailrelay.summary as summary';

/* global picture, relay, summary */

/* The mail relay in short, on LuCI's status page. */
return baseclass.extend({
	title: _('Mail Relay'),

	load: () => L.resolveDefault(relay.status(), null),

	render: function(status) {
		if (!status || !status.engine)
			return null;

		const first = summary.first(status);

		return E([], [
			picture.style(),
			picture.short(status),
			E('p', {}, [ picture.waiting(status) ]),
			first ? E('p', { 'style': 'overflow-wrap:anywhere' }, [ E('strong', {}, [ first ]) ]) : ''
		]);
	}
});
