'use strict';
'require baseclass';
'require form';
'require tools.widgets as widgets';
'require uci';
'require mailrelay.kinds as kinds';
'require mailrelay.layout as layout';
'require mailrelay.options as options';
'require mailrelay.relay as relay';

/* global kinds, layout, options, relay */

/* The fields of the settings page, made of what the relay's schema says of each option. */

const CHOICES = Object.values(options.sections).flatMap((section) => Object.values(section).flatMap((one) => one.choices || []));

/* The title of another option that the schema's help names, by the type of the section that it is said in. */
function titleOf(type, name) {
	return CHOICES.indexOf(name) < 0 ? layout.titleOf(type, name) || layout.titleOf('mailrelay', name) : null;
}

/* The schema's help as HTML: `code`, titles in place of options, and *stress*. */
function html(type, text) {
	return text.replace(/&/g, '&amp;').replace(/</g, '&lt;')
		.replace(/`([^`]*)`/g, (all, name) => titleOf(type, name) ? '<em>' + titleOf(type, name) + '</em>' : '<code>' + name + '</code>')
		.replace(/\*([^*]+)\*/g, '<em>$1</em>');
}

let asked = null;

/* Those of the networks that the relay refuses, as they face the internet: its own check says which, once for a page. */
function refusedNetworks(names) {
	const lines = names.map((name) => '\tlist network \'' + name + '\'\n').join('');

	return asked = asked || relay.checkDraft('config mailrelay \'main\'\n' + lines).then((answer) => (answer.findings || [])
		.filter((finding) => finding.code == 'exposed-network').map((finding) => finding.values.value));
}

/* Makes a choice of networks of it: those that may be chosen, and what is chosen already. */
function chooseNetworks(o) {
	let refused = [];

	o.multiple = true;
	o.nocreate = true;
	o.filter = (section_id, name) => refused.indexOf(name) < 0;
	o.load = (section_id) => Promise.resolve(widgets.NetworkSelect.prototype.load.call(o, section_id)).then((value) =>
		L.resolveDefault(refusedNetworks(o.networks.map((one) => one.getName())), []).then((names) => {
			const chosen = [].concat(value || []).join(' ').split(' ');

			refused = names.filter((name) => chosen.indexOf(name) < 0);
			return value;
		}));
}

function widgetOf(option) {
	if (option.type == 'network')
		return widgets.NetworkSelect;
	if (option.list)
		return form.DynamicList;
	return { switch: form.Flag, choice: form.ListValue }[option.type] || form.Value;
}

/* One field. */
function addField(section, type, tab, name, title) {
	const option = options.sections[type][name];
	const o = section.taboption(tab, widgetOf(option), name, title, html(type, option.help));
	const stored = (section_id) => uci.get('mailrelay', section_id, name);

	if (option.type == 'network')
		chooseNetworks(o);
	else
		o.validate = (section_id, value) => kinds.check(option, value);

	if (option.type == 'switch') {
		o.default = option.value;
		o.load = (section_id) => {
			const value = stored(section_id);

			return options.yes.indexOf(value) >= 0 ? '1' : options.no.indexOf(value) >= 0 ? '0' : value;
		};
	}
	else if (option.type == 'choice') {
		option.choices.forEach((choice) => o.value(choice));
		o.default = option.value;
	}
	else if (option.list && options.spaceFree.indexOf(option.type) < 0) {
		o.load = (section_id) => {
			const value = stored(section_id);

			return typeof(value) == 'string' ? [ value ] : value;
		};
	}

	if (name == 'enabled' || option.required)
		o.rmempty = false;
	if (option.type == 'secret')
		o.password = true;

	o.placeholder = option.value || (option.computed || '').replace(/`([^`]*)`/g, (all, of) => titleOf('smarthost', of) || of);
	return o;
}

return baseclass.extend({
	/* All fields of a section. `first` adds what comes before them; a grid's rows show `columns`, the rest is behind Edit. */
	add(section, type, first, columns) {
		layout.tabs[type].forEach(([ name, title ]) => section.tab(name, title));

		if (first)
			first(section);

		layout.tabs[type].forEach(([ tab, , entries ]) => entries.forEach(([ name, title ]) => {
			const o = addField(section, type, tab, name, title);

			if (columns && columns.indexOf(name) < 0)
				o.modalonly = true;
		}));
	}
});
