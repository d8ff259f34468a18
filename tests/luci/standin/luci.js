'use strict';
/*
 * Stands in for LuCI's client: what the views use of its documented API (L, E, dom, rpc, uci, ui, poll, view, baseclass
 * and the loading of modules), as thin as it can be. Calls go to server.py, which runs the real rpcd script. Forms are
 * in form.js. It proves nothing about LuCI itself: that is tried by hand.
 */

const standin = { modules: {}, loading: {}, session: new URLSearchParams(location.search).get('session') || '' };

String.prototype.format = function() {
	let at = 0;
	const values = arguments;

	return this.replace(/%([%sd])/g, (all, kind) => kind == '%' ? '%' : kind == 'd' ? Math.floor(values[at++]) : String(values[at++]));
};

const _ = (text) => (standin.catalog || {})[text] || text;

/* ---- classes and modules ---------------------------------------------------------------------------------------- */

class Base {
	constructor() { if (this.__init__) this.__init__.apply(this, arguments); }

	static extend(members) {
		const Parent = this, made = class extends Parent {};

		Object.assign(made.prototype, members);
		return made;
	}
}

standin.Base = Base;
standin.modules.baseclass = { extend: (members) => Base.extend(members) };

standin.require = function(name) {
	if (standin.modules[name])
		return Promise.resolve(standin.modules[name]);

	return standin.loading[name] = standin.loading[name] || fetch('/luci-static/resources/' + name.replace(/\./g, '/') + '.js').then((answer) => {
		if (!answer.ok)
			throw new Error('there is no module ' + name);
		return answer.text();
	}).then((source) => {
		const wants = [], names = [];

		for (const found of source.matchAll(/^'require ([\w.]+)(?: as (\w+))?';$/gm)) {
			wants.push(found[1]);
			names.push(found[2] || found[1].split('.').pop());
		}

		return Promise.all(wants.map(standin.require)).then((values) => {
			const made = new Function('L', 'E', '_', ...names, source)(L, E, _, ...values);

			return standin.modules[name] = typeof made == 'function' ? new made() : made;
		});
	});
};

/* ---- the document ------------------------------------------------------------------------------------------------ */

function append(node, children) {
	if (Array.isArray(children))
		children.forEach((child) => child instanceof Node ? node.appendChild(child) : child != null && node.appendChild(document.createTextNode(child)));
	else if (children instanceof Node)
		node.appendChild(children);
	else if (children != null)
		node.innerHTML = String(children);
	return node;
}

function E(tag, attributes, children) {
	if (Array.isArray(tag))
		return append(document.createDocumentFragment(), attributes instanceof Array ? attributes : tag);
	if (attributes instanceof Node || Array.isArray(attributes) || typeof attributes == 'string') {
		children = attributes;
		attributes = {};
	}

	const node = document.createElement(tag);

	for (const [ name, value ] of Object.entries(attributes || {}))
		if (typeof value == 'function')
			node.addEventListener(name, value);
		else if (value != null)
			node.setAttribute(name, value);
	return append(node, children);
}

standin.modules.dom = {
	append: append,
	content: (node, children) => { node.replaceChildren(); return append(node, children); }
};

const L = {
	bind: (fn, self, ...given) => fn.bind(self, ...given),
	url: (path) => '/page/' + path,
	resolveDefault: (promise, value) => Promise.resolve(promise).catch(() => value),
	hasViewPermission: () => standin.session == 'root' || null
};

/* ---- calls ------------------------------------------------------------------------------------------------------- */

standin.call = function(object, method, values) {
	return fetch('/ubus', { method: 'POST', body: JSON.stringify({ session: standin.session, object, method, values }) })
		.then((answer) => answer.json())
		.then((answer) => {
			if (answer.error)
				throw new Error('RPC call to %s/%s failed with error %s'.format(object, method, answer.error));
			return answer.result;
		});
};

standin.modules.rpc = {
	declare: (what) => (...given) => standin.call(what.object, what.method,
		Object.fromEntries((what.params || []).map((name, at) => [ name, given[at] ]).filter((pair) => pair[1] !== undefined)))
};

standin.modules.poll = {
	add: (fn, seconds) => { setInterval(() => Promise.resolve(fn()).catch(() => {}), seconds * standin.pace); return true; }
};
standin.pace = 200; /* ms a second: five times LuCI's */

/* ---- settings ---------------------------------------------------------------------------------------------------- */

const uci = standin.modules.uci = {
	all: {},
	made: 0,

	load: (config) => standin.call('uci', 'get', { config }).then((sections) => {
		uci.all[config] = sections;
		sections.forEach((section, at) => { section['.name'] = section['.name'] || 'cfg%s'.format(at); });
	}),
	save: () => Promise.all(Object.keys(uci.all).map((config) => standin.call('uci', 'set', { config, sections: uci.all[config] })
		.then(() => uci.load(config)))),
	apply: () => standin.call('uci', 'apply', {}),
	sections: (config, type) => uci.all[config].filter((section) => !type || section['.type'] == type),
	get: (config, name, option) => {
		const section = uci.all[config].find((one) => one['.name'] == name);

		return section && option ? section[option] : section;
	},
	set: (config, name, option, value) => { uci.get(config, name)[option] = value; },
	unset: (config, name, option) => { delete uci.get(config, name)[option]; },
	add: (config, type, name) => {
		const section = { '.type': type, '.anonymous': !name, '.name': name || 'new%s'.format(++uci.made) };

		uci.all[config].push(section);
		return section['.name'];
	},
	remove: (config, name) => { uci.all[config] = uci.all[config].filter((section) => section['.name'] != name); }
};

/* ---- dialogs and buttons ----------------------------------------------------------------------------------------- */

const overlay = () => document.getElementById('modal_overlay');

const ui = standin.modules.ui = {
	showModal: (title, children, ...classes) => {
		const node = E('div', { 'class': [ 'modal' ].concat(classes).join(' ') }, [ E('h4', {}, [ title ]) ].concat(children));

		overlay().replaceChildren(node);
		document.body.classList.add('modal-overlay-active');
		return node;
	},
	hideModal: () => {
		document.body.classList.remove('modal-overlay-active');
		overlay().replaceChildren();
	},
	addNotification: (title, children, kind) => {
		const node = E('div', { 'class': 'alert-message notification ' + (kind || '') }, [].concat(children));

		document.getElementById('maincontent').prepend(node);
		return node;
	},
	createHandlerFn: (self, fn, ...given) => (event) => {
		const button = event.currentTarget, handler = typeof fn == 'string' ? self[fn] : fn;

		button.disabled = true;
		button.classList.add('spinning');
		return Promise.resolve(handler.call(self, ...given, event)).catch((error) => { standin.failed = String(error); }).finally(() => {
			button.disabled = false;
			button.classList.remove('spinning');
		});
	}
};

/* ---- views ------------------------------------------------------------------------------------------------------- */

const View = Base.extend({
	handleSave: function() { return Promise.resolve(); },
	handleSaveApply: function(event) { return this.handleSave(event).then(() => uci.apply()).then(() => location.reload()); },
	handleReset: function() { location.reload(); }
});

standin.modules.view = { extend: (members) => class extends View.extend(members) {} };

standin.start = function() {
	const path = location.pathname.replace(/^\/page\/admin\/services\//, '');

	standin.call('standin', 'catalog', { language: new URLSearchParams(location.search).get('language') }).then((catalog) => {
		standin.catalog = catalog;
		return standin.require(path == 'status' ? 'view.status.include.60_mailrelay' : 'view.' + path.replace(/\//g, '.'));
	}).then((view) => Promise.resolve(view.load()).then((data) => view.render(data)).then((node) => {
		const place = document.getElementById('view'), buttons = [];

		standin.modules.dom.content(place, node);

		for (const [ name, title ] of [ [ 'handleSaveApply', 'Save & Apply' ], [ 'handleSave', 'Save' ], [ 'handleReset', 'Reset' ] ])
			if (view[name])
				buttons.push(E('button', { 'class': 'cbi-button', 'data-page-action': name, 'click': ui.createHandlerFn(view, name) }, [ title ]));

		place.appendChild(E('div', { 'class': 'cbi-page-actions' }, buttons));
		document.body.dataset.ready = '1';
	})).catch((error) => {
		document.getElementById('view').textContent = String(error.stack || error);
		document.body.dataset.ready = 'failed';
	});
};
