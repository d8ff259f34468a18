'use strict';
/*
 * Stands in for LuCI's forms: Map, NamedSection, GridSection and the fields that the settings page uses, with LuCI's own
 * ids and order of events (parse every field that is shown, ask the callback, save, draw anew). No layout, no sorting by
 * hand.
 */

(function() {
	const Base = standin.Base, uci = standin.modules.uci, ui = standin.modules.ui;

	const isEqual = (one, other) => JSON.stringify(one) == JSON.stringify(other);
	const html = (text) => String(text).replace(/[&<>"']/g, (found) => '&#%d;'.format(found.charCodeAt(0)));

	/* ---- fields -------------------------------------------------------------------------------------------------- */

	const Value = Base.extend({
		__init__: function(map, section, option, title, description) {
			Object.assign(this, { map, section, option, title, description, deps: [], choices: [], rmempty: true, widgets: {}, stored: {} });
		},
		depends: function(name, value) { this.deps.push({ [name]: value }); },
		value: function(key, title) { this.choices.push([ key, title || key ]); },
		id: function(sid) { return 'cbid.%s.%s.%s'.format(this.map.config, sid, this.option); },
		load: function(sid) { return uci.get(this.map.config, sid, this.option); },
		write: function(sid, value) { uci.set(this.map.config, sid, this.option, value); },
		remove: function(sid) { uci.unset(this.map.config, sid, this.option); },
		cfgvalue: function(sid) { return this.stored[sid]; },
		formvalue: function(sid) { return this.widgets[sid].getValue(); },
		/* As HTML. */
		textvalue: function(sid) {
			const value = this.cfgvalue(sid) == null ? this.default : this.cfgvalue(sid);

			return value == null ? null : html(value);
		},
		getUIElement: function(sid) { return this.widgets[sid]; },
		isShown: function(sid) {
			return !this.deps.length || this.deps.some((dep) => Object.entries(dep).every(([ name, value ]) => {
				const other = this.section.children.find((one) => one.option == name);

				return other.widgets[sid] && other.widgets[sid].getValue() == value;
			}));
		},
		/* An input and how to read and set it. */
		widget: function(sid, value) {
			const node = E('input', {
				'type': this.password ? 'password' : 'text', 'id': 'widget.' + this.id(sid), 'placeholder': this.placeholder
			});
			const made = { node, getValue: () => node.value, setValue: (text) => { node.value = text == null ? '' : text; } };

			made.setValue(value);
			return made;
		},
		render: function(sid) {
			const stored = this.cfgvalue(sid), widget = this.widgets[sid] = this.widget(sid, stored == null ? this.default : stored);
			const wrap = E('div', { 'class': 'cbi-value', 'id': 'cbi-%s-%s-%s'.format(this.map.config, sid, this.option) }, [
				E('label', { 'class': 'cbi-value-title' }, [ this.title ]),
				E('div', { 'class': 'cbi-value-field', 'id': this.id(sid) }, [
					widget.node, E('div', { 'class': 'cbi-value-description' }, this.description || '')
				])
			]);

			widget.wrap = wrap;
			widget.node.addEventListener('change', (event) => {
				if (this.onchange)
					this.onchange(event, sid, widget.getValue());
				this.fault(sid);
				this.map.checkDepends();
			});
			return wrap;
		},
		/* What is wrong with the value, '' for nothing; the field is marked. */
		fault: function(sid) {
			const widget = this.widgets[sid], value = widget.getValue();
			let text = '';

			if (!this.rmempty && !this.optional && !String(value))
				text = 'Expecting: non-empty value';
			for (const one of this.validate ? [].concat(value) : [])
				if (!text && this.validate(sid, one) !== true)
					text = this.validate(sid, one);

			widget.node.classList.toggle('cbi-input-invalid', !!text);
			widget.node.setAttribute('data-tooltip', text);
			return text;
		},
		parse: function(sid) {
			if (!this.widgets[sid])
				return;
			if (!this.isShown(sid))
				return this.remove(sid);

			const text = this.fault(sid), value = this.widgets[sid].getValue();

			if (text)
				throw new Error('Option "%s" contains an invalid input value. %s'.format(this.title, text));
			if (String(value) == '')
				this.remove(sid);
			else if (!isEqual(this.cfgvalue(sid), value))
				this.write(sid, value);
		}
	});

	const Flag = Value.extend({
		widget: function(sid, value) {
			const node = E('input', { 'type': 'checkbox', 'data-widget-id': 'widget.' + this.id(sid) });

			node.checked = value == '1';
			return { node, isChecked: () => node.checked, getValue: () => node.checked ? '1' : '0', setValue: (text) => { node.checked = text == '1'; } };
		},
		textvalue: function(sid) { return (this.cfgvalue(sid) == null ? this.default : this.cfgvalue(sid)) == '1' ? 'Yes' : 'No'; },
		parse: function(sid) {
			if (this.isShown(sid) && !(this.rmempty && this.formvalue(sid) == this.default))
				this.write(sid, this.formvalue(sid));
			else
				this.remove(sid);
		}
	});

	const ListValue = Value.extend({
		widget: function(sid, value) {
			const node = E('select', { 'id': 'widget.' + this.id(sid), 'multiple': this.multiple ? '' : null },
				this.choices.map(([ key, title ]) => E('option', { 'value': key }, [ title ])));
			const wanted = [].concat(value == null ? [] : value);

			[ ...node.options ].forEach((one) => { one.selected = wanted.includes(one.value); });
			return {
				node,
				getValue: () => this.multiple ? [ ...node.selectedOptions ].map((one) => one.value) : node.value,
				setValue: (text) => { node.value = text; }
			};
		}
	});

	/* A text area with an entry a line, where LuCI has a list of fields. */
	const DynamicList = Value.extend({
		widget: function(sid, value) {
			const node = E('textarea', { 'id': 'widget.' + this.id(sid) });

			node.value = (typeof value == 'string' ? value.split(/\s+/) : value || []).join('\n');
			return { node, getValue: () => node.value.split('\n').filter(Boolean), setValue: (items) => { node.value = items.join('\n'); } };
		}
	});

	const DummyValue = Value.extend({
		widget: function(sid, value) {
			return { node: E('span', {}, [ value ]), getValue: () => value, setValue: () => {} };
		},
		write: function() {},
		remove: function() {}
	});

	const NetworkSelect = ListValue.extend({
		load: function(sid) {
			return Promise.resolve().then(() => {
				this.networks = [ 'lan', 'guest', 'wan' ].map((name) => ({ getName: () => name }));
				return Value.prototype.load.call(this, sid);
			});
		},
		filter: () => true,
		widget: function(sid, value) {
			this.choices = [];
			this.networks.map((one) => one.getName()).filter((name) => this.filter(sid, name)).forEach((name) => this.value(name));
			return ListValue.prototype.widget.call(this, sid, value);
		}
	});

	/* ---- sections ------------------------------------------------------------------------------------------------ */

	const Section = Base.extend({
		init: function(map, type, title, description) {
			Object.assign(this, { map, sectiontype: type, title, description, children: [], tabs: [] });
		},
		tab: function(name, title) { this.tabs.push({ name, title }); },
		taboption: function(tab, kind, option, title, description) {
			const made = new kind(this.map, this, option, title, description);

			made.tab = tab;
			this.children.push(made);
			return made;
		},
		sections: function() { return uci.sections(this.map.config, this.sectiontype).map((section) => section['.name']); },
		load: function() {
			return Promise.all(this.sections().flatMap((sid) => this.children.map((child) =>
				Promise.resolve(child.load(sid)).then((value) => { child.stored[sid] = value; }))));
		},
		fields: function(sid) {
			const panes = this.tabs.map((tab, at) => E('div', { 'data-tab': tab.name, 'class': at ? 'hidden' : '' },
				this.children.filter((child) => child.tab == tab.name).map((child) => child.render(sid))));
			const menu = E('ul', { 'class': 'cbi-tabmenu' }, this.tabs.map((tab, at) => E('li', { 'data-tab': tab.name }, [
				E('a', { 'href': '#', 'click': (event) => {
					event.preventDefault();
					panes.forEach((pane, other) => pane.classList.toggle('hidden', other != at));
				} }, [ tab.title ])
			])));

			return E('div', { 'class': 'cbi-section-node' }, [ menu, E('div', {}, panes) ]);
		}
	});

	const NamedSection = Section.extend({
		__init__: function(map, name, ...given) {
			this.init(map, ...given);
			this.section = name;
		},
		sections: function() { return [ this.section ]; },
		render: function() { return E('div', { 'class': 'cbi-section' }, [ this.fields(this.section) ]); },
		parse: function() { this.children.forEach((child) => child.parse(this.section)); }
	});

	const GridSection = Section.extend({
		__init__: function(...given) { this.init(...given); },
		parse: function() {},
		addModalOptions: function() {},
		render: function() {
			const config = this.map.config, columns = this.children.filter((child) => !child.modalonly);
			const sids = this.sections();

			return E('div', { 'class': 'cbi-section', 'id': 'cbi-%s-%s'.format(config, this.sectiontype) }, [
				E('h3', {}, [ this.title ]),
				E('table', { 'class': 'table' }, sids.map((sid) => E('tr', { 'data-sid': sid }, columns.map((column) =>
					E('td', { 'data-name': column.option }, column.textvalue(sid) || E('em', {}, [ 'none' ]))).concat(E('td', {}, [
					E('button', { 'class': 'cbi-button-edit', 'click': ui.createHandlerFn(this, 'renderMoreOptionsModal', sid) }, [ 'Edit' ]),
					E('button', { 'class': 'cbi-button-remove', 'click': ui.createHandlerFn(this, 'handleRemove', sid) }, [ 'Delete' ])
				]))))),
				sids.length ? '' : this.renderSectionPlaceholder(),
				E('button', { 'class': 'cbi-button-add', 'click': ui.createHandlerFn(this, 'handleAdd') }, [ this.addbtntitle ])
			]);
		},
		handleAdd: function() {
			this.added = uci.add(this.map.config, this.sectiontype);
			return this.renderMoreOptionsModal(this.added);
		},
		handleRemove: function(sid) {
			uci.remove(this.map.config, sid);
			return this.map.save(null, true);
		},
		handleModalSave: function(map) {
			return map.save(null, true).then(() => this.map.load()).then(() => this.map.reset())
				.then(() => this.handleModalCancel(map, null, true)).catch(() => {});
		},
		handleModalCancel: function(map, event, saved) {
			if (this.added && !saved)
				uci.remove(this.map.config, this.added);
			delete this.added;
			ui.hideModal();
		},
		/* A dialog with a form of its own over one section. */
		renderMoreOptionsModal: function(sid, event) {
			const parent = this.map, map = new standin.modules.form.Map(parent.config);
			const section = map.section(NamedSection, sid, this.sectiontype);

			map.parent = parent;
			map.section = sid;
			section.tabs = this.tabs;
			this.children.filter((child) => child.modalonly !== false).forEach((child) => {
				const copy = section.taboption(child.tab, child.constructor, child.option, child.title, child.description);

				Object.keys(child).filter((key) => ![ 'map', 'section', 'widgets', 'stored' ].includes(key)).forEach((key) => { copy[key] = child[key]; });
			});

			return Promise.resolve(this.addModalOptions(section, sid, event)).then(() => map.render()).then((node) => ui.showModal(this.modaltitle, [
				node, E('div', { 'class': 'right' }, [
					E('button', { 'class': 'btn', 'click': ui.createHandlerFn(this, 'handleModalCancel', map) }, [ 'Dismiss' ]),
					E('button', { 'class': 'cbi-button cbi-button-positive', 'click': ui.createHandlerFn(this, 'handleModalSave', map) }, [ 'Save' ])
				])
			], 'cbi-modal'));
		}
	});

	/* ---- the form ------------------------------------------------------------------------------------------------ */

	class Form {
		constructor(config, title, description) { Object.assign(this, { config, title, description, children: [] }); }

		section(kind, ...given) {
			const made = new kind(this, ...given);

			this.children.push(made);
			return made;
		}

		load() { return uci.load(this.config).then(() => Promise.all(this.children.map((child) => child.load()))); }

		render() {
			if (!this.parent)
				standin.maps.push(this);
			return this.load().then(() => this.reset());
		}

		/* Draws it with what was loaded. */
		reset() {
			this.root = this.root || E('div', { 'class': 'cbi-map', 'id': 'cbi-' + this.config });
			standin.modules.dom.content(this.root, [
				this.title ? E('h2', {}, this.title) : '', this.description ? E('div', { 'class': 'cbi-map-descr' }, this.description) : ''
			].concat(this.children.map((child) => child.render())));
			this.checkDepends();
			return Promise.resolve(this.root);
		}

		parse() { return Promise.resolve().then(() => this.children.forEach((child) => child.parse())); }

		save(cb, silent) {
			this.checkDepends();
			return this.parse().then(cb).then(() => uci.save()).then(() => this.load()).catch((error) => {
				if (!silent)
					ui.showModal('Save error', [ E('p', {}, [ error.message ]) ]);
				throw error;
			}).then(() => this.reset());
		}

		checkDepends() {
			this.children.forEach((section) => section.children.forEach((child) => Object.entries(child.widgets).forEach(([ sid, widget ]) =>
				widget.wrap && widget.wrap.classList.toggle('hidden', !child.isShown(sid)))));
		}

		lookupOption(name, sid) {
			const found = this.children.flatMap((section) => section.children).find((child) => child.option == name && child.widgets[sid]);

			return found ? [ found, sid ] : null;
		}
	}

	standin.modules.form = { Map: Form, NamedSection, GridSection, Value, Flag, ListValue, DynamicList, DummyValue };
	standin.modules['tools.widgets'] = { NetworkSelect };
})();
