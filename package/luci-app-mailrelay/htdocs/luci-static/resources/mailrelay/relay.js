'use strict';
'require baseclass';
'require fs';
'require rpc';
'require uci';
'require mailrelay.layout as layout';
'require mailrelay.words as words';

/* global layout, words */

/*
 * What the views share: the calls of rpcd's object, texts for times and sizes, and what is said of settings. No rule
 * about settings stands here: the relay's own check says what is wrong with them.
 */

const STATUS_SECONDS = 5;
const SILENCE = 60000; /* ms after which a test that says nothing may have ended */
const RUN_DIR = '/var/run/mailrelay/';

const services = rpc.declare({ object: 'service', method: 'list', params: [ 'name' ], expect: { '': {} } });

/* The text of a file, null where there is none: rpcd reads it, and starts nothing for that. */
function read(path) {
	return L.resolveDefault(fs.read(path), null);
}

/* The facts in a file of the run directory, null where there is none. */
function facts(name) {
	return read(RUN_DIR + name).then((text) => {
		try {
			return JSON.parse(text);
		}
		catch (error) {
			return null;
		}
	});
}

/* Whether procd has it running. */
function isRunning(list) {
	const instances = (list.mailrelay || {}).instances || {};

	return Object.keys(instances).some((name) => instances[name].running);
}

/* The router's time, in seconds since 1970: that of the status and what has passed since. */
function now(status, uptime) {
	if (status.uptime != null && uptime)
		return status.updated + Math.max(0, parseFloat(uptime) - status.uptime);
	return Date.now() / 1000;
}

function call(method, params, expect) {
	return rpc.declare({ object: 'mailrelay', method: method, params: params || [], expect: expect || {}, reject: true });
}

return baseclass.extend({
	seconds: STATUS_SECONDS,

	/*
	 * What the relay and its service tell of themselves, as one object: status.json, and running, enabled, engine, package,
	 * cannot, now, service. What is asked every few seconds starts no process on the router; only where one of the
	 * files is missing, as the relay does not run, its own object is asked, which counts the mail that waits.
	 */
	status: function() {
		return Promise.all([ facts('status.json'), facts('service.json'), services('mailrelay'), read('/proc/uptime') ]).then((found) => {
			const status = found[0] || {}, service = found[1];

			if (!service || !found[0])
				return this.askStatus();

			const { engine, package: version, enabled, cannot } = service;

			return Object.assign({ queue: 0, hold: 0, failed: 0 }, status, {
				engine, package: version, enabled, cannot: cannot || [], service,
				running: isRunning(found[2]), now: now(status, found[3])
			});
		});
	},

	askStatus: call('status'),
	check: call('check'),
	checkDraft: call('check_draft', [ 'settings' ]),
	queue: call('queue', [ 'limit', 'state' ]),
	show: call('show', [ 'id' ]),
	flush: call('flush', [ 'ids' ]),
	hold: call('hold', [ 'ids' ]),
	release: call('release', [ 'ids' ]),
	remove: call('delete', [ 'ids' ]),
	test: call('test', [ 'address' ]),
	testDraft: call('test_draft', [ 'address', 'settings' ]),
	play: call('play', [ 'address' ]),

	/*
	 * The steps of the test that was begun last, as the file has them, until the one with a result; only when nothing
	 * has come for long the relay's own object is asked whether it still runs.
	 */
	testStatus: function() {
		return read(RUN_DIR + 'test.jsonl').then((text) => {
			const steps = (text || '').split('\n').filter((line) => /^\{.*\}$/.test(line)).map((line) => JSON.parse(line));

			if (steps.length != this.told)
				Object.assign(this, { told: steps.length, changed: Date.now() });
			if (Date.now() - this.changed > SILENCE)
				return this.askTest();
			return { running: !steps.some((step) => step.result), steps };
		});
	},

	askTest: call('test_status'),
	restart: call('restart'),
	log: call('log', [ 'id', 'limit' ]),

	/* The style sheet of tables, another one after an upgrade. */
	style: function() {
		const version = L.env.resource_version ? '?v=' + L.env.resource_version : '';

		return E('link', { 'rel': 'stylesheet', 'href': L.resource('mailrelay/style.css') + version });
	},

	/* A number of seconds, in its largest unit. */
	span: function(seconds) {
		if (seconds < 60)
			return _('%d s').format(seconds);
		if (seconds < 3600)
			return _('%d min').format(seconds / 60);
		if (seconds < 172800)
			return _('%d h').format(seconds / 3600);
		return _('%d days').format(seconds / 86400);
	},

	ago: function(then, now) {
		return _('%s ago').format(this.span(Math.max(0, now - then)));
	},

	size: function(bytes) {
		if (bytes < 1024)
			return _('%d B').format(bytes);
		if (bytes < 1048576)
			return _('%d KB').format(bytes / 1024);
		return _('%d MB').format(bytes / 1048576);
	},

	/*
	 * The settings as they stand in the form, saved or not, as the text of a settings file. Each value is asked for by itself:
	 * uci.sections() still has what was deleted and is not saved.
	 */
	draft: function() {
		const quoted = (text) => "'" + String(text).replace(/'/g, "'\\''") + "'";
		const lines = [];

		uci.sections('mailrelay').forEach((section) => {
			lines.push('config ' + section['.type'] + (section['.anonymous'] ? '' : ' ' + quoted(section['.name'])));

			Object.keys(section).filter((name) => name.charAt(0) != '.').forEach((name) => {
				const value = uci.get('mailrelay', section['.name'], name);

				if (Array.isArray(value))
					value.forEach((item) => lines.push('\tlist ' + name + ' ' + quoted(item)));
				else if (value != null && value !== '')
					lines.push('\toption ' + name + ' ' + quoted(value));
			});
		});

		return lines.join('\n') + '\n';
	},

	/* A box of findings, in the words of `names(section, option)` where there are any. */
	box: function(kind, title, findings, names) {
		return E('div', { 'class': 'alert-message ' + kind }, [
			E('h4', {}, [ title ]),
			E('ul', { 'style': 'margin:0; padding-left:1.5em' }, findings.map((finding) => {
				const place = names ? names(finding.section, finding.option) : finding.option && layout.title(finding.section, finding.option);

				return E('li', {}, place ? [ E('strong', {}, [ place ]), ': ', words.finding(finding) ] : [ words.finding(finding) ]);
			}))
		]);
	}
});
