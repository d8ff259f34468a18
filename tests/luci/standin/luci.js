'use strict';
/*
 * Stands in for LuCI's client: what the views use of its documented API (L, E, dom, rpc, uci, ui, poll, view, baseclass
 * and the loading of modules), as thin as it can be, and its login. Calls go to /ubus as LuCI's do. Settings are in
 * uci.js, forms in form.js.
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

const dom = standin.modules.dom = {
	/* As LuCI's: an array's texts are texts, a bare text is HTML. */
	append: (node, children) => {
		if (Array.isArray(children))
			children.filter((child) => child != null).forEach((child) =>
				node.appendChild(child instanceof Node ? child : document.createTextNode(child)));
		else if (typeof children == 'function')
			return dom.append(node, children(node));
		else if (children instanceof Node)
			node.appendChild(children);
		else if (children != null)
			node.innerHTML = String(children);
		return node.lastChild;
	},
	content: (node, children) => {
		node.replaceChildren();
		return dom.append(node, children);
	},
	parent: (node, selector) => node.closest(selector),
	attr: (node, name, value) => Object.entries(typeof name == 'string' ? { [name]: value } : name).forEach(([ key, one ]) => {
		if (typeof one == 'function')
			node.addEventListener(key, one);
		else if (one != null)
			node.setAttribute(key, typeof one == 'object' ? JSON.stringify(one) : one);
	})
};

function E(tag, attributes, children) {
	const bare = !(attributes instanceof Object) || Array.isArray(attributes) || attributes instanceof Node;
	const node = Array.isArray(tag) ? document.createDocumentFragment() : document.createElement(tag);

	if (Array.isArray(tag))
		tag.forEach((one) => node.appendChild(one instanceof Node ? one : E(one)));
	if (!bare)
		dom.attr(node, attributes);
	dom.append(node, bare ? attributes : children);
	return node;
}

const L = {
	env: { sessionid: sessionStorage.getItem('session') || '0'.repeat(32), ubuspath: '/ubus/' },
	bind: (fn, self, ...given) => fn.bind(self, ...given),
	url: (path) => '/cgi-bin/luci/' + path,
	resource: (path) => '/luci-static/resources/' + path,
	require: standin.require,
	resolveDefault: (promise, value) => Promise.resolve(promise).catch(() => value),
	toArray: (value) => value == null ? [] : Array.isArray(value) ? value : typeof value == 'object' ? [ value ] : String(value).trim().split(/\s+/),
	hasViewPermission: () => standin.mayWrite || null
};

/* ---- calls ------------------------------------------------------------------------------------------------------- */

/* Answers [ STATUS, REPLY ]; what the session may not call is an error. */
standin.call = function(object, method, values) {
	const asked = { jsonrpc: '2.0', id: 1, method: 'call', params: [ L.env.sessionid, object, method, values ] };

	return fetch(L.env.ubuspath, { method: 'POST', body: JSON.stringify(asked) }).then((answer) => answer.json()).then((answer) => {
		if (answer.error)
			throw new Error('RPC call to %s/%s failed with error %d: %s'.format(object, method, answer.error.code, answer.error.message));
		return answer.result;
	});
};

/* A reply of another type than the expected one is as if that one had come; without `reject` a status is a reply. */
standin.modules.rpc = {
	declare: (what) => (...given) => standin.call(what.object, what.method,
		Object.fromEntries((what.params || []).map((name, at) => [ name, given[at] ]))).then((result) => {
		if (what.reject && result[0])
			throw new Error('RPC call to %s/%s failed with ubus code %d'.format(what.object, what.method, result[0]));

		const reply = result.length > 1 ? result[1] : result[0], [ key ] = Object.keys(what.expect || {});
		const found = key && reply != null ? reply[key] : reply, kind = Object.prototype.toString;

		if (key == null)
			return reply;
		return found != null && kind.call(found) == kind.call(what.expect[key]) ? found : what.expect[key];
	})
};

const STATUS = [ '', 'InvalidCommandError', 'InvalidArgumentError', 'MethodNotFoundError', 'NotFoundError', 'NoDataError', 'PermissionError' ];

standin.modules.fs = {
	read: (path) => standin.call('file', 'read', { path }).then(([ status, reply ]) => {
		if (status)
			throw Object.assign(new Error('ubus code %d'.format(status)), { name: STATUS[status] || 'Error' });
		return reply.data;
	})
};

/* At once and then again and again; nobody catches what fails. */
const poll = standin.modules.poll = {
	queue: [],
	ticks: 0,
	add: (fn, seconds) => {
		poll.queue.push({ fn, seconds: seconds || 5, ready: true });
		poll.start();
		return true;
	},
	remove: (fn) => {
		const before = poll.queue.length;

		poll.queue = poll.queue.filter((one) => one.fn !== fn);
		return poll.queue.length != before;
	},
	start: () => {
		if (poll.timer)
			return false;
		poll.ticks = 0;
		poll.timer = setInterval(poll.step, standin.pace);
		poll.step();
		return true;
	},
	stop: () => {
		clearInterval(poll.timer);
		delete poll.timer;
		return true;
	},
	active: () => poll.timer != null,
	step: () => {
		poll.queue.filter((one) => one.ready && poll.ticks % one.seconds == 0).forEach((one) => {
			one.ready = false;
			Promise.resolve(one.fn()).finally(() => { one.ready = true; });
		});
		poll.ticks++;
	}
};
standin.pace = 200; /* ms a second: five times LuCI's */

/* ---- dialogs and buttons ----------------------------------------------------------------------------------------- */

const ui = standin.modules.ui = {
	/* A title is HTML. What a dialog shows stays there unseen when it is closed. */
	showModal: (title, children, ...classes) => {
		const dialog = document.querySelector('#modal_overlay > .modal');

		dialog.className = [ 'modal' ].concat(classes).join(' ');
		dom.content(dialog, E('h4', {}, title));
		dom.append(dialog, children);
		document.body.classList.add('modal-overlay-active');
		return dialog;
	},
	hideModal: () => document.body.classList.remove('modal-overlay-active'),
	addNotification: (title, children, ...classes) => {
		const text = E('div', {}, title != null ? E('h4', {}, title) : null);
		const node = E('div', { 'class': [ 'alert-message' ].concat(classes).join(' ') }, [
			text, E('button', { 'class': 'btn', 'click': (event) => event.target.closest('.alert-message').remove() }, [ 'Dismiss' ])
		]);

		dom.append(text, children);
		document.getElementById('maincontent').prepend(node);
		return node;
	},
	/* LuCI's catches nothing. Here a refusal, as of a form with a wrong value, is no complaint on the console. */
	createHandlerFn: (self, fn, ...given) => (event) => {
		const button = event.currentTarget, handler = typeof fn == 'string' ? self[fn] : fn;

		button.disabled = true;
		button.classList.add('spinning');
		Promise.resolve(handler.call(self, ...given, event)).finally(() => {
			button.disabled = false;
			button.classList.remove('spinning');
		}).catch((error) => {
			if (error.name != 'Error')
				throw error;
		});
	},
	changes: {
		apply: (checked) => {
			ui.showModal('', [ E('p', {}, [ 'Applying' ]) ], 'alert-message', 'notice');
			return standin.call('uci', 'apply', { rollback: checked, timeout: 10 })
				.then(([ status ]) => status ? ui.hideModal() : standin.call('uci', 'confirm', {}).then(() => {
					location.href = location.href.split('#')[0];
				}));
		}
	}
};

/* ---- views ------------------------------------------------------------------------------------------------------- */

const View = Base.extend({
	load: () => {},
	handleSave: function() { return Promise.all(standin.maps.map((map) => map.save())); },
	handleSaveApply: function(event) { return this.handleSave(event).then(() => { ui.changes.apply(true); }); },
	handleReset: function() { return Promise.all(standin.maps.map((map) => map.reset())); }
});
standin.maps = []; /* the forms of the page */

standin.modules.view = { extend: (members) => class extends View.extend(members) {} };

/* By the fields of LuCI's own form. */
standin.login = function() {
	const [ username, password ] = [ 'text', 'password' ].map((type) => E('input', { type }));

	username.name = 'luci_username';
	password.name = 'luci_password';

	return E([], [ username, password, E('button', { 'class': 'cbi-button-positive', 'click': () =>
		standin.call('session', 'login', { username: username.value, password: password.value }).then(([ , answer ]) => {
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
		standin.mayWrite = answers[1][1].access;
		return standin.require(path == 'status/overview' ? 'view.status.include.60_mailrelay' : 'view.' + path.replace(/\//g, '.'));
	}).then((view) => path == 'status/overview' ? standin.part(view) : Promise.resolve(view.load()).then((data) => view.render(data)).then((node) => {
		const buttons = [];

		for (const [ name, kind, title ] of [
			[ 'handleSaveApply', 'apply', 'Save & Apply' ], [ 'handleSave', 'save', 'Save' ], [ 'handleReset', 'reset', 'Reset' ]
		])
			if (view[name])
				buttons.push(E('button', { 'class': 'cbi-button cbi-button-' + kind, 'click': ui.createHandlerFn(view, name) }, [ title ]));

		return E([], [ node, E('div', { 'class': 'cbi-page-actions' }, buttons) ]);
	}));
};

/* A part of the status page, drawn anew at each poll. */
standin.part = function(part) {
	const place = E('div', { 'class': 'cbi-section' });
	const draw = () => Promise.resolve(part.load()).then((data) => part.render(data)).then((node) =>
		dom.content(place, node ? [ E('h3', {}, [ part.title ]), node ] : []));

	return draw().then(() => {
		poll.add(draw, 5);
		return place;
	});
};

standin.start = function() {
	const made = /[^0]/.test(L.env.sessionid) ? standin.page() : standin.login();

	Promise.resolve(made).catch((error) => E('pre', { 'class': 'failed' }, [ String(error.stack || error) ]))
		.then((node) => standin.modules.dom.content(document.getElementById('view'), node));
};
