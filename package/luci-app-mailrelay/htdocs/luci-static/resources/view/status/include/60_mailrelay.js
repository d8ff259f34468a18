'use strict';
'require baseclass';
'require mailrelay.relay as relay';
'require mailrelay.summary as summary';
'require mailrelay.words as words';

/* The mail relay in short, on LuCI's status page. */
return baseclass.extend({
	title: _('Mail Relay'),

	load: function() {
		return L.resolveDefault(relay.status(), null);
	},

	render: function(status) {
		if (!status || !status.engine)
			return null;

		const failure = summary.openFailure(status);
		const troubles = status.running && status.troubles || [];
		const rows = summary.rows(status).slice(0, 3).concat(troubles.map(function(trouble) {
			return [ _('Trouble'), words.adviceText(trouble) || trouble.answer ];
		}));

		if (failure)
			rows.push([ _('Last failure'), words.adviceText(failure) || failure.answer ]);

		return summary.table(rows);
	}
});
