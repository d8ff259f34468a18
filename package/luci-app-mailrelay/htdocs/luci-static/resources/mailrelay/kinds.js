'use strict';
'require baseclass';
'require mailrelay.options as options';

/*
 * Whether a value is of its kind, as the relay's option_types.py says: tests hold both to the same verdict on the same values.
 * check() returns true or a text for the field. What options mean to each other is for the relay's check alone.
 */

const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]/u;
const OTHER_SPACE = /(?! )\p{Zs}/u;
const LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const LOCAL_PART = /^[^\s()<>[\]:;@\\,"]+$/;
const QUOTED_LOCAL_PART = /^"(?:[^"\\]|\\.)*"$/;
const INTERFACE = /^[A-Za-z0-9_.:@-]{1,64}$/;

function isText(value) {
	return !HIDDEN.test(value) && !OTHER_SPACE.test(value);
}

/* An IPv4 address as four numbers, or null. */
function ipv4(value) {
	const parts = value.split('.');

	return parts.length == 4 && parts.every(function(part) {
		return /^(0|[1-9][0-9]{0,2})$/.test(part) && +part < 256;
	}) ? parts.map(Number) : null;
}

/* An IPv6 address as eight numbers, or null. */
function ipv6(value) {
	let text = value;
	const tail = text.lastIndexOf(':') + 1;
	const four = text.indexOf('.') < 0 ? null : ipv4(text.substr(tail));

	if (text.indexOf('.') >= 0) {
		if (!four)
			return null;

		text = text.substr(0, tail) + (four[0] * 256 + four[1]).toString(16) + ':' + (four[2] * 256 + four[3]).toString(16);
	}

	const halves = text.split('::');

	if (text.indexOf(':') < 0 || halves.length > 2)
		return null;

	const words = halves.map(function(half) { return half === '' ? [] : half.split(':'); });
	const count = words[0].length + (words[1] || []).length;

	if (halves.length == 1 ? count != 8 : count > 7)
		return null;

	const fill = Array(8 - count).fill('0');
	const all = words[0].concat(fill, words[1] || []);

	return all.every(function(word) { return /^[0-9A-Fa-f]{1,4}$/.test(word); })
		? all.map(function(word) { return parseInt(word, 16); }) : null;
}

function isMapped(words) {
	return words && words.slice(0, 5).every(function(word) { return word == 0; }) && words[5] == 0xffff;
}

function isAddress(value) {
	return !!(value.indexOf(':') < 0 ? ipv4(value) : ipv6(value.split('%')[0]));
}

function isNet(value) {
	const at = value.indexOf('/');
	const address = at < 0 ? value : value.substr(0, at);
	const length = at < 0 ? null : value.substr(at + 1);
	const words = ipv6(address);

	if (!ipv4(address) && !words)
		return false;
	if (length == null)
		return true;
	if (!/^[0-9]+$/.test(length))
		return false;
	if (!words)
		return +length <= 32;
	return +length <= 128 && (!isMapped(words) || +length >= 96);
}

function isName(value) {
	const labels = value.split('.');

	return value.length <= 253 && labels.every(function(label) { return LABEL.test(label); })
		&& !/^[0-9]+$/.test(labels[labels.length - 1]);
}

function isLocalhost(value) {
	const labels = value.toLowerCase().split('.');

	return [ 'localhost', 'localhost4', 'localhost6' ].indexOf(labels[0]) >= 0 || labels.slice(1).join('.') == 'localhost';
}

function isHost(value) {
	const bare = value.charAt(0) == '[' && value.charAt(value.length - 1) == ']' ? value.slice(1, -1) : value;

	return isText(value) && (isAddress(bare) || isName(value));
}

function isDomain(value) {
	if (value.charAt(0) == '[' && value.charAt(value.length - 1) == ']')
		return isAddress(value.slice(1, -1).replace(/^IPv6:/, ''));
	return !isAddress(value) && isName(value.replace(/[^\x00-\x7f]/gu, 'x'));
}

function isMail(value) {
	const at = value.lastIndexOf('@');
	const local = value.substr(0, at);

	return at > 0 && isText(value) && value.trim() == value && !/^mailto:/i.test(value)
		&& !/<[^<>\s]+@[^<>\s]+>/.test(value)
		&& !(value.split('@').length > 2 && /@[^@]*[,;\s][^@]*@/.test(value))
		&& (LOCAL_PART.test(local) || QUOTED_LOCAL_PART.test(local))
		&& new TextEncoder().encode(local).length <= 64
		&& isDomain(value.substr(at + 1));
}

function isAlias(value) {
	const found = value.match(/^\s*([^=:]*?)\s*[=:]\s*(.*?)\s*$/);

	if (!isText(value) || !found || !found[1] || !found[2] || found[1] == '*')
		return false;

	return [ found[1] ].concat(found[2].split(',')).every(function(name, i) {
		const word = i ? name.trim() : name;

		return word.indexOf('@') >= 0 ? isMail(word) : LOCAL_PART.test(word);
	});
}

/* What os.path.normpath makes of a full path. */
function normal(path) {
	const parts = [];

	path.split('/').forEach(function(part) {
		if (part == '..')
			parts.pop();
		else if (part != '' && part != '.')
			parts.push(part);
	});

	return '/' + parts.join('/');
}

function isPath(value) {
	return isText(value) && value.charAt(0) == '/';
}

function within(number, option) {
	return number >= (option.low || 0) && (option.high == null || number <= option.high);
}

/* A number with one of the units behind it, in the smallest unit; null if it is none. */
function measure(value, units) {
	const found = value.match(/^([0-9]+)([A-Za-z]?)$/);

	return found && units[found[2]] ? +found[1].substr(0, 15) * units[found[2]] : null;
}

function isRate(value) {
	const seen = {};

	return value.split(/\s+/).filter(Boolean).every(function(piece) {
		const found = piece.match(/^[1-9][0-9]{0,8}\/(minute|day)$/);

		return found && !seen[found[1]] && (seen[found[1]] = true);
	});
}

/* By kind: the test, and what the field asks for. */
const KINDS = {
	text: [ isText, _('text on one line, without invisible characters') ],
	secret: [ isText, _('text on one line, without invisible characters') ],
	switch: [ function(value) { return options.yes.concat(options.no).indexOf(value) >= 0; }, _('1 or 0') ],
	choice: [ function(value, option) { return option.choices.indexOf(value) >= 0; }, _('one of the choices') ],
	integer: [ function(value, option) { return /^[0-9]+$/.test(value) && within(+value.substr(0, 18), option); }, _('a whole number') ],
	port: [ function(value) { return /^[0-9]+$/.test(value) && +value.substr(0, 9) >= 1 && +value.substr(0, 9) <= 65535; }, _('a port, 1 to 65535') ],
	size: [ function(value, option) {
		const bytes = measure(value.replace(/[kmg]$/, function(unit) { return unit.toUpperCase(); }), options.sizes);
		return bytes != null && within(bytes, option);
	}, _('a number of bytes, or one with K, M or G behind it, like 25M') ],
	duration: [ function(value, option) {
		const seconds = measure(value, options.durations);
		return seconds != null && within(seconds, option);
	}, _('a number with s, m, h, d or w behind it, like 5d') ],
	hostname: [ function(value) {
		return isText(value) && isName(value) && !isAddress(value.replace(/^[[\]]+|[[\]]+$/g, '')) && !isLocalhost(value);
	}, _('a name like router.example.org, not localhost') ],
	host: [ isHost, _('a server\'s name, like smtp.example.org, or an address') ],
	address: [ isMail, _('a mail address, like name@example.org') ],
	sender: [ function(value) {
		return value.charAt(0) == '@' ? isText(value) && isDomain(value.substr(1)) : isMail(value);
	}, _('a mail address, or a domain like @example.org') ],
	recipient: [ function(value) {
		if (value.replace(/^@+/, '').indexOf('@') >= 0)
			return isMail(value);
		return value.charAt(0) != '*' && isText(value) && isDomain(value.replace(/^@/, ''));
	}, _('a mail address or a domain') ],
	alias: [ isAlias, _('a name, = and an address, like root=owner@example.org') ],
	net: [ isNet, _('an address or a network, like 192.168.1.0/24') ],
	network: [ function(value) { return !isAddress(value.split('/')[0]) && INTERFACE.test(value); }, _('the name of a network, like lan') ],
	path: [ isPath, _('a full path, from / on') ],
	spool: [ function(value) {
		return isPath(value) && options.noSpool.indexOf(normal(value)) < 0 && !/^\/(proc|sys|dev)\//.test(normal(value));
	}, _('the full path of a folder of its own') ],
	program: [ isPath, _('the full path of a program') ],
	rate: [ isRate, _('a number and /minute or /day, like 30/minute 500/day') ],
	fingerprint: [ function(value) {
		return /^[0-9a-f]{64}$/.test(value.replace(/^\s*sha-?256(?: fingerprint)?\s*[=:]/i, '').replace(/[\s:]/g, '').toLowerCase());
	}, _('64 hex digits') ]
};

return baseclass.extend({
	/* Of an option, as options.js has it. Nothing at all is for the form to refuse, where the option is required. */
	check: function(option, value) {
		const kind = KINDS[option.kind];

		if (value == null || value === '' || kind[0](String(value), option))
			return true;
		if (option.high != null && (option.kind == 'integer' || option.kind == 'size' || option.kind == 'duration'))
			return _('Expected: %s (%s to %s)').format(kind[1], option.lowText, option.highText);
		return _('Expected: %s').format(kind[1]);
	}
});
