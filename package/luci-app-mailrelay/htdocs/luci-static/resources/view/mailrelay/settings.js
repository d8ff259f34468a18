'use strict';
'require view';
'require form';
'require ui';
'require uci';
'require tools.widgets as widgets';
'require mailrelay.kinds as kinds';
'require mailrelay.layout as layout';
'require mailrelay.options as options';
'require mailrelay.providers as providers';
'require mailrelay.relay as relay';
'require mailrelay.trial as trial';
'require mailrelay.words as words';

/*
 * The settings: their fields and titles stand in layout.js, everything else about an option in options.js. Nothing is
 * saved that the relay's own check finds a fault in; it says why.
 */

const CONFIG = 'mailrelay';

/* What a grid's rows show; the rest is behind Edit. */
const COLUMNS = { smarthost: [ 'enabled', 'host', 'username' ], client: [ 'address', 'accept_any_login', 'username' ] };

/* A section as `mailrelay check` calls it. */
function checkName(section) {
	if (!section['.anonymous'])
		return section['.name'];

	return '%s[%d]'.format(section['.type'], uci.sections(CONFIG, section['.type'])
		.findIndex(function(other) { return other['.name'] == section['.name']; }));
}

/* Where a finding is, as the page calls it. */
function place(name, option) {
	const section = uci.sections(CONFIG).find(function(section) { return checkName(section) == name; });

	if (!section)
		return option || name;

	const own = section['.type'] == 'mailrelay' ? '' : (section.host || section.address || name);

	return [ own, option ? layout.titleOf(section['.type'], option) || option : '' ].filter(Boolean).join(', ');
}

/* The schema's help as HTML: `code` and *stress*. */
function html(text) {
	return text.replace(/&/g, '&amp;').replace(/</g, '&lt;')
		.replace(/`([^`]*)`/g, '<code>$1</code>').replace(/\*([^*]+)\*/g, '<em>$1</em>');
}

function widgetOf(option) {
	if (option.type == 'network')
		return widgets.NetworkSelect;
	if (option.list)
		return form.DynamicList;
	return { switch: form.Flag, choice: form.ListValue }[option.type] || form.Value;
}

/* One field, by what the schema says of its option. */
function addField(section, type, tab, name, title) {
	const option = options.sections[type][name];
	const o = section.taboption(tab, widgetOf(option), name, title, html(option.help));

	if (option.type == 'network') {
		o.multiple = true;
		o.nocreate = true;
	}
	else {
		o.validate = function(section_id, value) { return kinds.check(option, value); };
	}

	if (option.type == 'switch') {
		o.default = option.value;
		o.load = function(section_id) {
			const value = uci.get(CONFIG, section_id, name);
			return options.yes.indexOf(value) >= 0 ? '1' : options.no.indexOf(value) >= 0 ? '0' : value;
		};
	}
	else if (option.type == 'choice') {
		option.choices.forEach(function(choice) { o.value(choice); });
		o.default = option.value;
	}
	else if (option.list && options.spaceFree.indexOf(option.type) < 0) {
		o.load = function(section_id) {
			const value = uci.get(CONFIG, section_id, name);
			return typeof(value) == 'string' ? [ value ] : value;
		};
	}

	if (name == 'enabled')
		o.rmempty = false;
	if (option.type == 'secret')
		o.password = true;
	if (option.required)
		o.rmempty = false;

	o.placeholder = option.value || (option.computed || '').replace(/`/g, '');
	return o;
}

/* All fields of a section; `first` adds what comes before them. */
function addFields(section, type, first) {
	layout.tabs[type].forEach(function(tab) { section.tab(tab[0], tab[1]); });

	if (first)
		first(section);

	layout.tabs[type].forEach(function(tab) {
		tab[2].forEach(function(entry) {
			const o = addField(section, type, tab[0], entry[0], entry[1]);

			if (COLUMNS[type] && COLUMNS[type].indexOf(entry[0]) < 0)
				o.modalonly = true;
		});
	});
}

/* The list of known providers on top of a provider's fields, and what each wants for a login. */
function addProviders(section) {
	const o = section.taboption('general', form.ListValue, '_provider', _('Provider'));

	o.modalonly = true;
	o.value('', _('another one'));
	providers.list.forEach(function(provider) { o.value(provider.name); });
	o.load = function(section_id) { return (providers.of(uci.get(CONFIG, section_id, 'host')) || { name: '' }).name; };
	o.write = o.remove = function() {};
	o.onchange = function(ev, section_id, name) {
		const provider = providers.list.find(function(one) { return one.name == name; });

		[ 'host', 'port', 'tls', 'rate' ].forEach(L.bind(function(option) {
			const found = this.map.lookupOption(option, section_id);

			if (provider && found)
				found[0].getUIElement(section_id).setValue(provider[option] || '');
		}, this));
		this.map.checkDepends();
	};

	providers.list.forEach(function(provider, at) {
		const hint = section.taboption('general', form.DummyValue, '_login' + at, _('About its login'));

		hint.modalonly = true;
		hint.depends('_provider', provider.name);
		hint.load = function() { return provider.login; };
	});
}

/* Asks the relay's check; promises its warnings. What has faults is not saved, and said. */
function refuseFaults(map) {
	return relay.checkDraft(relay.draft()).then(function(answer) {
		const own = map.parent ? checkName(uci.get(CONFIG, map.section)) : null;
		const findings = (answer.findings || []).filter(function(finding) { return !own || finding.section == own; });
		const faults = findings.filter(function(finding) { return !finding.warning; });

		if (answer.ok || !faults.length)
			return findings.filter(function(finding) { return finding.warning; });

		const box = relay.box('error', _('This is not saved'), faults, place);

		box.classList.add('mailrelay-faults');

		if (own) {
			map.root.querySelectorAll('.mailrelay-faults').forEach(function(old) { old.remove(); });
			map.root.insertBefore(box, map.root.firstChild);
			box.scrollIntoView({ block: 'nearest' });
		}
		else {
			ui.showModal(_('Settings'), [
				box,
				E('div', { 'class': 'right' }, [ E('button', { 'class': 'btn cbi-button', 'click': ui.hideModal }, [ _('Dismiss') ]) ])
			]);
		}

		return Promise.reject(Object.assign(new Error(words.findingText(faults[0], place)), { shown: true }));
	});
}

/* Has a dialog's Save ask the check first. */
function guard(section) {
	section.addModalOptions = function(modal) {
		const map = modal.map;

		map.save = function(cb, silent) {
			return form.Map.prototype.save.call(this, function() { return refuseFaults(map); }, silent);
		};
	};
}

return view.extend({
	load: function() {
		if (!L.hasViewPermission())
			return null;

		return Promise.all([ relay.status(), uci.load(CONFIG) ]).then(function(data) {
			if (!uci.get(CONFIG, 'main'))
				uci.add(CONFIG, 'mailrelay', 'main');
			return data[0];
		});
	},

	render: function(status) {
		if (!status) {
			this.handleSave = this.handleSaveApply = this.handleReset = null;
			return E([], [
				E('h2', {}, [ _('Mail Relay') + ' – ' + _('Settings') ]),
				E('p', { 'class': 'alert-message notice' }, [ _('The settings hold a password: only a user who may change them may see them.') ])
			]);
		}

		const m = this.map = new form.Map(CONFIG, _('Mail Relay') + ' – ' + _('Settings'),
			status.engine == 'postfix' ? _('Carried out by Postfix, which cannot do all of this: when you save, the page names what it leaves out.') : null);

		let s = m.section(form.NamedSection, 'main', 'mailrelay');
		addFields(s, 'mailrelay');

		s = m.section(form.GridSection, 'smarthost', _('Providers'), _('The servers that mail goes out through. The first one is used, the others when it fails.'));
		s.addremove = s.anonymous = s.sortable = s.nodescriptions = true;
		s.addbtntitle = _('Add a provider');
		s.modaltitle = _('Provider');
		s.renderSectionPlaceholder = function() { return E('em', {}, [ _('There is no provider yet: add yours.') ]); };
		guard(s);
		addFields(s, 'smarthost', addProviders);

		s = m.section(form.GridSection, 'client', _('Machines'), _('Only for machines that need something special, such as one that has to give a password of its own, or that sends too much. Who may send at all is set above.'));
		s.addremove = s.anonymous = s.nodescriptions = true;
		s.addbtntitle = _('Add a machine');
		s.modaltitle = _('Machine');
		s.renderSectionPlaceholder = function() { return E('em', {}, [ _('None.') ]); };
		guard(s);
		addFields(s, 'client');

		return m.render().then(L.bind(function(node) {
			return E([], [ node, status.cannot.indexOf('test') < 0 ? trial.render(L.bind(this.draft, this)) : '' ]);
		}, this));
	},

	/* The settings in the form, to try them. */
	draft: function() {
		return this.map.parse().then(function() { return relay.draft(); });
	},

	handleSave: function() {
		const map = this.map;
		let warnings = [];

		return map.save(function() {
			return refuseFaults(map).then(function(found) { warnings = found; });
		}, true).then(function() {
			if (warnings.length)
				ui.addNotification(null, relay.box('notice', _('Saved. Worth knowing:'), warnings, place), 'info');
		}).catch(function(error) {
			if (!error.shown)
				ui.showModal(_('Settings'), [
					E('p', {}, [ _('This is not saved yet:') ]),
					E('p', { 'style': 'white-space:pre-line' }, [ error.message ]),
					E('div', { 'class': 'right' }, [ E('button', { 'class': 'btn cbi-button', 'click': ui.hideModal }, [ _('Dismiss') ]) ])
				]);

			return Promise.reject(error);
		});
	}
});
