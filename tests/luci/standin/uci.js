'use strict';
/*
 * Stands in for LuCI's uci, with its own idea of what is not saved: what was loaded stays as it is, and beside it stands
 * what was added, changed, deleted and moved. As on LuCI up to 24.10, sections() shows changed options and knows nothing of
 * deleted ones, and get() of a whole section writes both into what was loaded.
 */

(function() {
	const call = standin.modules.rpc.declare;
	const loading = {};
	let made = 0;

	/* All by the name of the configuration, then of the section. A deleted section is `true`, else its deleted options. */
	const state = { loaded: {}, added: {}, changed: {}, deleted: {}, moved: {} };

	const remote = {
		get: call({ object: 'uci', method: 'get', params: [ 'config' ], expect: { values: {} }, reject: true }),
		add: call({ object: 'uci', method: 'add', params: [ 'config', 'type', 'name', 'values' ], expect: { section: '' }, reject: true }),
		set: call({ object: 'uci', method: 'set', params: [ 'config', 'section', 'values' ], reject: true }),
		remove: call({ object: 'uci', method: 'delete', params: [ 'config', 'section', 'options' ], reject: true }),
		order: call({ object: 'uci', method: 'order', params: [ 'config', 'sections' ], reject: true })
	};

	const of = (kind, config, name) => (state[kind][config] || {})[name];
	const into = (kind, config, name) => {
		const sections = state[kind][config] = state[kind][config] || {};

		return sections[name] = sections[name] || {};
	};
	const drop = (kind, config, name, option) => {
		const section = of(kind, config, name);

		if (section && section !== true) {
			delete section[option];
			if (!Object.keys(section).length)
				delete state[kind][config][name];
		}
	};
	const isOption = (name) => name.charAt(0) != '.';
	const byIndex = (one, other) => one['.index'] - other['.index'];

	const uci = standin.modules.uci = {
		/* Once: what is loaded is not asked for again before it was saved or unloaded. */
		load: (configs) => Promise.all([].concat(configs).filter((config) => !state.loaded[config]).map((config) => {
			loading[config] = loading[config] || remote.get(config);
			return loading[config].then((values) => { state.loaded[config] = values; });
		})),
		unload: (configs) => [].concat(configs).forEach((config) => {
			[ state.loaded, state.added, state.changed, state.deleted, loading ].forEach((kind) => { delete kind[config]; });
		}),

		sections: (config, type, each) => {
			const added = Object.values(state.added[config] || {}), loaded = Object.values(state.loaded[config] || {});
			const found = !state.loaded[config] ? [] : loaded.filter((section) => of('deleted', config, section['.name']) !== true)
				.map((section) => Object.assign({}, section, of('changed', config, section['.name'])))
				.concat(added.map((section) => Object.assign({}, section)))
				.filter((section) => !type || section['.type'] == type).sort(byIndex);

			found.forEach((section, index) => { section['.index'] = index; });
			if (each)
				found.forEach((section) => each.call(uci, section, section['.name']));
			return found;
		},

		get: (config, name, option) => {
			const added = of('added', config, name), loaded = of('loaded', config, name);
			const changed = of('changed', config, name) || {}, deleted = of('deleted', config, name) || {};

			if (added)
				return option == null ? added : added[option];
			if (deleted === true || !loaded)
				return null;
			if (option == null) {
				Object.assign(loaded, changed);
				Object.keys(deleted).forEach((gone) => { delete loaded[gone]; });
				return loaded;
			}
			return deleted[option] ? null : changed[option] != null ? changed[option] : loaded[option];
		},

		set: (config, name, option, value) => {
			const added = of('added', config, name), loaded = of('loaded', config, name);

			if (option == null || !isOption(option))
				return;
			if (added) {
				if (value != null)
					added[option] = value;
				else
					delete added[option];
			}
			else if (value != null && value !== '') {
				if (!loaded || of('deleted', config, name) === true)
					return;
				drop('deleted', config, name, option);
				into('changed', config, name)[option] = value;
			}
			else {
				drop('changed', config, name, option);
				if (loaded && option in loaded && of('deleted', config, name) !== true)
					into('deleted', config, name)[option] = true;
			}
		},
		unset: (config, name, option) => uci.set(config, name, option, null),

		add: (config, type, name) => {
			const id = name || 'new' + ('%d'.format(Math.random() * 0xffffff)).padStart(8, '0');

			Object.assign(into('added', config, id), {
				'.type': type, '.name': id, '.create': name, '.anonymous': !name, '.index': 1000 + made++
			});
			return id;
		},
		remove: (config, name) => {
			if (of('added', config, name))
				delete state.added[config][name];
			else if (of('loaded', config, name)) {
				delete (state.changed[config] || {})[name];
				state.deleted[config] = Object.assign(state.deleted[config] || {}, { [name]: true });
			}
		},
		/* The first before or after the second; to the end without one. */
		move: (config, name, other, after) => {
			const sections = uci.sections(config), from = sections.findIndex((section) => section['.name'] == name);

			if (from < 0)
				return false;

			const moved = sections.splice(from, 1)[0];
			const to = other == null ? sections.length : sections.findIndex((section) => section['.name'] == other);

			if (to < 0)
				return false;
			sections.splice(other == null ? to : to + !!after, 0, moved);
			sections.forEach((section, index) => { uci.get(config, section['.name'])['.index'] = index; });
			state.moved[config] = true;
			return true;
		},

		save: () => {
			const touched = new Set(Object.keys(state.moved)), named = [], tasks = [];
			const each = (kind, task) => Object.entries(state[kind]).forEach(([ config, sections ]) => {
				touched.add(config);
				Object.entries(sections).forEach(([ name, section ]) => tasks.push(task(config, name, section)));
			});

			each('deleted', (config, name, gone) => remote.remove(config, name, gone === true ? null : Object.keys(gone)));
			each('added', (config, name, section) => {
				const values = Object.fromEntries(Object.entries(section).filter(([ option ]) => isOption(option)));

				return remote.add(config, section['.type'], section['.create'], values).then((id) => named.push([ section, id ]));
			});
			each('changed', (config, name, values) => remote.set(config, name, values));

			return Promise.all(tasks).then(() => {
				named.forEach(([ section, id ]) => { section['.name'] = id; });
				return Promise.all(Object.keys(state.moved).map((config) => remote.order(config,
					Object.values(state.added[config] || {}).concat(Object.values(state.loaded[config] || {})).sort(byIndex)
						.map((section) => section['.name']))));
			}).then(() => {
				state.moved = {};
				uci.unload([ ...touched ]);
				return uci.load([ ...touched ]);
			});
		},
		changes: call({ object: 'uci', method: 'changes', expect: { changes: {} } })
	};
})();
