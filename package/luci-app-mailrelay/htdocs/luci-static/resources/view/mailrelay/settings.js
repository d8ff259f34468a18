'use strict';
'require view';
'require form';
'require ui';
'require uci';
'require mailrelay.fields as fields';
'require mailrelay.kinds as kinds';
'require mailrelay.layout as layout';
'require mailrelay.providers as providers';
'require mailrelay.relay as relay';
'require mailrelay.trial as trial';
'require mailrelay.upkeep as upkeep';
'require mailrelay.words as words';

/* global fields, kinds, layout, providers, relay, trial, upkeep, words */

/*
 * The settings. Nothing is saved that the relay's own check finds a fault in; it says why. A link to
 * #mailrelay/SECTION/OPTION, with the section as the relay calls it, opens that field.
 */

const CONFIG = 'mailrelay';

/* A section as `mailrelay check` calls it. */
function checkName(section) {
	if (!section['.anonymous'])
		return section['.name'];

	return '%s[%d]'.format(section['.type'], uci.sections(CONFIG, section['.type'])
		.findIndex((other) => other['.name'] == section['.name']));
}

function sectionOf(name) {
	return uci.sections(CONFIG).find((section) => checkName(section) == name);
}

/* Where a finding is, as the page calls it. */
function place(name, option) {
	const section = sectionOf(name);

	if (!section)
		return option || name;

	const own = section['.type'] == 'mailrelay' ? '' : (section.host || section.address || name);

	return [ own, option ? layout.titleOf(section['.type'], option) || option : '' ].filter(Boolean).join(', ');
}

/* What the relay's check finds, in one section where that is named: [ faults, warnings ]. */
function check(own) {
	return relay.checkDraft(relay.draft()).then((answer) => {
		const findings = (answer.findings || []).filter((finding) => !own || finding.section == own);

		return [ findings.filter((finding) => !finding.warning), findings.filter((finding) => finding.warning) ];
	});
}

/* An error that needs no telling any more. */
function told(findings) {
	return Object.assign(new Error(words.findingText(findings[0], place)), { shown: true });
}

function dialog(title, children) {
	ui.showModal(title, children.concat(E('div', { 'class': 'right' }, [
		E('button', { 'class': 'btn cbi-button', 'click': ui.hideModal }, [ _('Dismiss') ])
	])));
}

/* Shows a box on top of an open dialog, in place of the one before. */
function showIn(map, name, box) {
	map.root.querySelectorAll('.mailrelay-faults, .mailrelay-warnings').forEach((old) => old.remove());
	box.classList.add(name);
	map.root.insertBefore(box, map.root.firstChild);
	box.scrollIntoView({ block: 'nearest' });
}

/*
 * The first provider makes the relay ready: it is switched on, and mail comes from the account, as most providers demand.
 */
function begin(section_id) {
	const login = uci.get(CONFIG, section_id, 'username') || '';
	const isAddress = login && kinds.check({ type: 'address' }, login) === true;

	uci.set(CONFIG, 'main', 'enabled', '1');

	if (!uci.get(CONFIG, 'main', 'sender') && isAddress)
		uci.set(CONFIG, 'main', 'sender', login);

	ui.addNotification(null, E('p', {}, [ isAddress
		? _('The first provider: the relay is switched on, and mail is sent as %s.').format(uci.get(CONFIG, 'main', 'sender'))
		: _('The first provider: the relay is switched on.') ]), 'info');
}

/* Has a dialog's Save ask the check first: faults keep it open, warnings until it is pressed again. */
function guard(section) {
	section.addModalOptions = (modal, section_id) => {
		const map = modal.map;
		const isFirst = !uci.get(CONFIG, section_id, 'host') && section.sectiontype == 'smarthost'
			&& uci.sections(CONFIG, 'smarthost').length == 1;
		let known = '';

		map.save = function(cb, silent) {
			return form.Map.prototype.save.call(this, () => check(checkName(uci.get(CONFIG, section_id))).then(([ faults, warnings ]) => {
				const found = warnings.map((finding) => [ finding.code, finding.option ].join(' ')).join();

				if (faults.length) {
					showIn(map, 'mailrelay-faults', relay.box('error', _('This is not saved'), faults));
					throw told(faults);
				}

				if (warnings.length && found != known) {
					const box = relay.box('notice', _('Before this is saved'), warnings);

					box.appendChild(E('div', { 'class': 'right' }, [ E('button', {
						'class': 'btn cbi-button mailrelay-anyhow',
						'click': () => map.root.closest('.modal').querySelector('.cbi-button-positive').click()
					}, [ _('Save anyhow') ]) ]));
					known = found;
					showIn(map, 'mailrelay-warnings', box);
					throw told(warnings);
				}

				if (isFirst)
					begin(section_id);
			}), silent);
		};
	};
}

/* The list of known providers on top of a provider's fields, and what each wants for a login. */
function addProviders(section) {
	const o = section.taboption('general', form.ListValue, '_provider', _('Provider'));

	o.modalonly = true;
	o.value('', _('another one'));
	providers.list.forEach((provider) => o.value(provider.name));
	o.load = (section_id) => (providers.of(uci.get(CONFIG, section_id, 'host')) || { name: '' }).name;
	o.write = o.remove = () => {};
	o.onchange = function(ev, section_id, name) {
		const provider = providers.list.find((one) => one.name == name);

		[ 'host', 'port', 'tls', 'rate' ].forEach((option) => {
			const found = this.map.lookupOption(option, section_id);

			if (provider && found)
				found[0].getUIElement(section_id).setValue(provider[option] || '');
		});
		this.map.checkDepends();
	};

	providers.list.forEach((provider, at) => {
		const hint = section.taboption('general', form.DummyValue, '_login' + at, _('About its login'));

		hint.modalonly = true;
		hint.depends('_provider', provider.name);
		hint.load = () => provider.login;
	});
}

/* Brings a field of the page, or of the open dialog, to the person: its tab, and the cursor. */
function focusOn(within, section_id, option) {
	const field = within.querySelector('[id="cbi-%s-%s-%s"]'.format(CONFIG, section_id, option));
	const pane = field && field.closest('[data-tab]');
	const menu = pane && pane.parentNode.previousElementSibling; /* as ui.tabs puts it */
	const tab = menu && menu.querySelector('[data-tab="%s"] a'.format(pane.getAttribute('data-tab')));
	const input = field && field.querySelector('input:not([type="hidden"]), select, textarea, .cbi-dropdown');

	if (tab)
		tab.click();
	if (field)
		field.scrollIntoView({ block: 'center' });
	if (input)
		input.focus();
}

return view.extend({
	load() {
		if (!L.hasViewPermission())
			return null;

		return Promise.all([ relay.status(), uci.load(CONFIG) ]).then(([ status ]) => {
			if (!uci.get(CONFIG, 'main'))
				uci.add(CONFIG, 'mailrelay', 'main');
			return status;
		});
	},

	/* A list of sections with dialogs behind it. */
	grid(type, title, description, add, dialogTitle, none, columns, first) {
		const s = this.map.section(form.GridSection, type, title, description);

		s.addremove = s.anonymous = s.nodescriptions = true;
		s.addbtntitle = add;
		s.modaltitle = dialogTitle;
		s.renderSectionPlaceholder = () => E('em', {}, [ none ]);
		guard(s);
		fields.add(s, type, first, columns);
		return s;
	},

	render(status) {
		if (!status) {
			this.handleSave = this.handleSaveApply = this.handleReset = null;
			return E([], [
				E('h2', {}, [ _('Mail Relay') + ' – ' + _('Settings') ]),
				E('p', { 'class': 'alert-message notice' }, [ _('The settings hold a password: only a user who may change them may see them.') ])
			]);
		}

		this.map = new form.Map(CONFIG, _('Mail Relay') + ' – ' + _('Settings'),
			status.engine == 'postfix' ? _('Carried out by Postfix, which cannot do all of this: when you save, the page names what it leaves out.') : null);
		fields.add(this.map.section(form.NamedSection, 'main', 'mailrelay'), 'mailrelay');

		this.grids = {
			smarthost: this.grid('smarthost', _('Providers'), _('The servers that mail goes out through. The first one is used, the others when it fails.'),
				_('Add a provider'), _('Provider'), _('There is no provider yet: add yours.'), [ 'enabled', 'host', 'username' ], addProviders),
			client: this.grid('client', _('Machines'), _('Only for machines that need something special, such as one that has to give a password of its own, or that sends too much. Who may send at all is set above.'),
				_('Add a machine'), _('Machine'), _('None.'), [ 'address', 'accept_any_login', 'username' ])
		};
		this.grids.smarthost.sortable = true;

		return this.map.render().then((node) => {
			window.addEventListener('hashchange', () => this.follow());
			window.setTimeout(() => this.follow());

			return E([], [
				node,
				status.cannot.indexOf('test') < 0 ? trial.render(() => this.draft(), false, (host, sha256) => this.trust(host, sha256)) : '',
				upkeep.render(() => this.draft(), () => this.redraw())
			]);
		});
	},

	/* Opens the field that the page's address names. */
	follow() {
		const [ config, name, option ] = location.hash.slice(1).split('/').map((part) => part.replace(/%5B/gi, '[').replace(/%5D/gi, ']'));

		if (config != CONFIG || !/^\w+$/.test(option) || !/^\w+(?:\[\d+\])?$/.test(name))
			return null;
		if (name == 'main')
			return focusOn(this.map.root, name, option);

		const section = sectionOf(name);
		const grid = this.grids[section ? section['.type'] : name.replace(/\[.*/, '')];
		const opened = section ? grid.renderMoreOptionsModal(section['.name']) : grid && grid.handleAdd();

		return Promise.resolve(opened).then(() => {
			const sections = uci.sections(CONFIG);

			focusOn(document.getElementById('modal_overlay'), (section || sections[sections.length - 1])['.name'], option);
		});
	},

	/* The settings in the form, to try them. */
	draft() {
		return this.map.parse().then(() => relay.draft());
	},

	redraw() {
		return this.map.load().then(() => this.map.reset());
	},

	/* Takes the certificate that a provider has shown, "host:port", for the one to trust. */
	trust(host, sha256) {
		const section = uci.sections(CONFIG, 'smarthost').find((one) => host == one.host || host.indexOf(one.host + ':') == 0);

		if (!section)
			return null;

		uci.set(CONFIG, section['.name'], 'fingerprint', sha256);
		return uci.save().then(() => this.redraw());
	},

	handleSave() {
		let warnings = [];

		return this.map.save(() => check().then(([ faults, found ]) => {
			warnings = found;

			if (faults.length) {
				const box = relay.box('error', _('This is not saved'), faults, place);

				box.classList.add('mailrelay-faults');
				dialog(_('Settings'), [ box ]);
				throw told(faults);
			}
		}), true).then(() => {
			if (warnings.length)
				ui.addNotification(null, relay.box('notice', _('Saved. Worth knowing:'), warnings, place), 'info');
		}).catch((error) => {
			if (!error.shown)
				dialog(_('Settings'), [
					E('p', {}, [ _('This is not saved yet:') ]), E('p', { 'style': 'white-space:pre-line' }, [ error.message ])
				]);

			return Promise.reject(error);
		});
	}
});
