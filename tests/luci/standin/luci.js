'use strict';
/*
 * Stands in for LuCI's client: what the views use of its documented API (L, E, dom, rpc, uci, ui, poll, view, baseclass
 * and the loading of modules), as thin as it can be, and its login. Calls go to /ubus as LuCI's do. Forms are in form.js.
 * It proves nothing about LuCI itself: there the same tests run with --host.
 */

const standin = { modules: {}, loading: {} };

String.prototype.format = function() {
	let at = 0;
	const values = arguments;

	return this.replace(/%([%sd])/g, (all, kind) => kind == '%' ? '%' : kind == 'd' ? Math.floor(values[at++]) : String(values[at++]));
};

const _ = (text) => (standin.catalog || {})[text] || text;
const N_ = (number, one, many) => (standin.catalog || {})['%s\u0002%d'.format(one, number != 1)] || (number == 1 ? one : many);

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
			const made = new Function('L', 'E', '_', 'N_', ...names, source)(L, E, _, N_, ...values);

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
	env: { sessionid: sessionStorage.getItem('session') || '0'.repeat(32), ubuspath: '/ubus/' },
	bind: (fn, self, ...given) => fn.bind(self, ...given),
	url: (path) => '/cgi-bin/luci/' + path,
	require: standin.require,
	resolveDefault: (promise, value) => Promise.resolve(promise).catch(() => value),
	hasViewPermission: () => standin.mayWrite || null
};

/* ---- calls ------------------------------------------------------------------------------------------------------- */

standin.call = function(object, method, values) {
	const asked = { jsonrpc: '2.0', id: 1, method: 'call', params: [ L.env.sessionid, object, method, values ] };

	return fetch(L.env.ubuspath, { method: 'POST', body: JSON.stringify(asked) }).then((answer) => answer.json()).then((answer) => {
		const failed = answer.error ? 'error %s: %s'.format(answer.error.code, answer.error.message)
			: answer.result[0] ? 'ubus code %s'.format(answer.result[0]) : '';

		if (failed)
			throw new Error('RPC call to %s/%s failed with %s'.format(object, method, failed));
		return answer.result[1];
	});
};

standin.modules.rpc = {
	declare: (what) => (...given) => standin.call(what.object, what.method,
		Object.fromEntries((what.params || []).map((name, at) => [ name, given[at] ])))
};

standin.modules.fs = {
	read: (path) => standin.call('file', 'read', { path }).then((answer) => answer.data)
};

standin.modules.poll = {
	add: (fn, seconds) => {
		let busy = false;

		setInterval(() => {
			if (!busy) {
				busy = true;
				Promise.resolve(fn()).catch(() => {}).finally(() => { busy = false; });
			}
		}, seconds * standin.pace);
		return true;
	}
};
standin.pace = 200; /* ms a second: five times LuCI's */

/* ---- settings ---------------------------------------------------------------------------------------------------- */

const options = (section) => Object.fromEntries(Object.entries(section).filter(([ name ]) => name.charAt(0) != '.'));

const uci = standin.modules.uci = {
	all: {},
	loaded: {}, /* as rpcd has it */
	made: 0,

	load: (config) => standin.call('uci', 'get', { config }).then((answer) => {
		uci.loaded[config] = answer.values;
		uci.all[config] = structuredClone(Object.values(answer.values)).sort((one, other) => one['.index'] - other['.index']);
	}),
	save: () => Promise.all(Object.keys(uci.all).map((config) => {
		const before = uci.loaded[config], tasks = [];
		const change = (method, values) => tasks.push(standin.call('uci', method, Object.assign({ config }, values)));

		uci.all[config].forEach((section) => {
			const name = section['.name'], old = before[name], values = options(section);

			if (!old)
				return change('add', { type: section['.type'], name: section['.anonymous'] ? undefined : name, values });

			const set = Object.entries(values).filter(([ option, value ]) => String(value) != String(old[option]));
			const gone = Object.keys(options(old)).filter((option) => !(option in values));

			if (set.length)
				change('set', { section: name, values: Object.fromEntries(set) });
			if (gone.length)
				change('delete', { section: name, options: gone });
		});
		Object.keys(before).filter((name) => !uci.get(config, name)).forEach((section) => change('delete', { section }));

		return Promise.all(tasks).then(() => uci.load(config));
	})),
	apply: () => standin.call('uci', 'apply', { rollback: true, timeout: 10 }).then(() => standin.call('uci', 'confirm', {})),
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
		const node = E('div', { 'class': 'alert-message ' + (kind || '') }, [].concat(children));

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

/* By the fields of LuCI's own form. */
standin.login = function() {
	const [ username, password ] = [ 'text', 'password' ].map((type) => E('input', { type }));

	username.name = 'luci_username';
	password.name = 'luci_password';

	return E([], [ username, password, E('button', { 'class': 'cbi-button-positive', 'click': () =>
		standin.call('session', 'login', { username: username.value, password: password.value }).then((answer) => {
			sessionStorage.setItem('session', answer.ubus_rpc_session);
			location.reload();
		}) }, [ 'Log in' ]) ]);
};

standin.page = function() {
	const path = location.pathname.replace(/^\/cgi-bin\/luci\/admin\/(services\/)?/, '');
	const language = new URLSearchParams(location.search).get('language');
	const may = { scope: 'access-group', object: 'luci-app-mailrelay', function: 'write' };

	return Promise.all([
		language ? fetch('/luci-static/standin/%s.json'.format(language)).then((answer) => answer.json()) : {},
		standin.call('session', 'access', may)
	]).then((answers) => {
		standin.catalog = answers[0];
		standin.mayWrite = answers[1].access;
		return standin.require(path == 'status/overview' ? 'view.status.include.60_mailrelay' : 'view.' + path.replace(/\//g, '.'));
	}).then((view) => Promise.resolve(view.load()).then((data) => view.render(data)).then((node) => {
		const buttons = [];

		for (const [ name, kind, title ] of [
			[ 'handleSaveApply', 'apply', 'Save & Apply' ], [ 'handleSave', 'save', 'Save' ], [ 'handleReset', 'reset', 'Reset' ]
		])
			if (view[name])
				buttons.push(E('button', { 'class': 'cbi-button cbi-button-' + kind, 'click': ui.createHandlerFn(view, name) }, [ title ]));

		return E([], [ node, E('div', { 'class': 'cbi-page-actions' }, buttons) ]);
	}));
};

standin.start = function() {
	const made = /[^0]/.test(L.env.sessionid) ? standin.page() : standin.login();

	Promise.resolve(made).catch((error) => E('pre', { 'class': 'failed' }, [ String(error.stack || error) ]))
		.then((node) => standin.modules.dom.content(document.getElementById('view'), node));
};
