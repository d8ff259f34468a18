'use strict';
'require view';
'require poll';
'require mailrelay.relay as relay';

/* The relay's lines of the system's log, all of them or those of one mail. */
return view.extend({
	load: function() {
		this.id = new URLSearchParams(window.location.search).get('id') || '';
		return relay.log(this.id, 300);
	},

	render: function(answer) {
		const text = E('pre', { 'id': 'mailrelay-log', 'style': 'max-height:65vh; overflow:auto; white-space:pre-wrap; overflow-wrap:anywhere' });
		const field = E('input', {
			'type': 'text', 'class': 'cbi-input-text', 'id': 'mailrelay-log-id', 'value': this.id, 'placeholder': _('all'),
			'change': L.bind(function(ev) {
				this.id = ev.target.value.trim();
				return this.refresh(text);
			}, this)
		});

		this.fill(text, answer);
		poll.add(L.bind(this.refresh, this, text), relay.seconds);

		return E([], [
			E('h2', {}, [ _('Mail Relay') + ' – ' + _('Log') ]),
			E('div', { 'class': 'cbi-section' }, [
				E('div', { 'class': 'cbi-value' }, [
					E('label', { 'class': 'cbi-value-title', 'for': 'mailrelay-log-id' }, [ _('Queue id') ]),
					E('div', { 'class': 'cbi-value-field' }, [
						field,
						E('div', { 'class': 'cbi-value-description' }, [ _('Shows the lines of one mail only. A machine is told the id when its mail is taken.') ])
					])
				]),
				text
			])
		]);
	},

	refresh: function(text) {
		return relay.log(this.id, 300).then(L.bind(this.fill, this, text));
	},

	fill: function(text, answer) {
		const atEnd = text.scrollTop + text.clientHeight >= text.scrollHeight - 20;

		text.textContent = answer.text || _('There are no lines.');

		if (atEnd)
			window.requestAnimationFrame(function() { text.scrollTop = text.scrollHeight; });
	},

	handleSaveApply: null,
	handleSave: null,
	handleReset: null
});
