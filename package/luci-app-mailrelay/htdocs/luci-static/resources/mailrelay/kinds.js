'use strict';
'require baseclass';
'require mailrelay.options as options';

/* global options */

/*
 * Whether a value is of its type. What an expression can say of one comes from the relay's schema (options.js); here is
 * what it cannot: addresses, hosts, aliases. Tests hold both to the relay's verdict on the same values.
 * check() returns true or a text for the field. What options mean to each other is for the relay's check alone.
 */

const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]/u;
const OTHER_SPACE = /(?! )\p{Zs}/u;
const QUOTED_LOCAL_PART = /^"(?:[^"\\]|\\.)*"$/;

function fits(pattern, value) {
	return new RegExp('^(?:' + pattern + ')$').test(value);
}

function isText(value) {
	return !HIDDEN.test(value) && !OTHER_SPACE.test(value);
}

/* An IPv4 address as four numbers, or null. */
function ipv4(value) {
	const parts = value.split('.');

	return parts.length == 4 && parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && +part < 256) ? parts.map(Number) : null;
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

	const words = halves.map((half) => half === '' ? [] : half.split(':'));
	const count = words[0].length + (words[1] || []).length;

	if (halves.length == 1 ? count != 8 : count > 7)
		return null;

	const fill = Array(8 - count).fill('0');
	const all = words[0].concat(fill, words[1] || []);

	return all.every((word) => /^[0-9A-Fa-f]{1,4}$/.test(word))
		? all.map((word) => parseInt(word, 16)) : null;
}

function isMapped(words) {
	return words && words.slice(0, 5).every((word) => word == 0) && words[5] == 0xffff;
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

	return value.length <= 253 && fits(options.name, value) && !/^[0-9]+$/.test(labels[labels.length - 1]);
}

function isLocalhost(value) {
	const labels = value.toLowerCase().split('.');

	return [ 'localhost', 'localhost4', 'localhost6' ].indexOf(labels[0]) >= 0 || labels.slice(1).join('.') == 'localhost';
}

function isHost(value) {
	const bare = value.charAt(0) == '[' && value.charAt(value.length - 1) == ']' ? value.slice(1, -1) : value;

	return isAddress(bare) || isName(value);
}

function isDomain(value) {
	if (value.charAt(0) == '[' && value.charAt(value.length - 1) == ']')
		return isAddress(value.slice(1, -1).replace(/^IPv6:/, ''));
	return !isAddress(value) && isName(value.replace(/[^\x00-\x7f]/gu, 'x'));
}

function isMail(value) {
	const at = value.lastIndexOf('@');
	const local = value.substr(0, at);

	return at > 0 && value.trim() == value && !/^mailto:/i.test(value)
		&& !/<[^<>\s]+@[^<>\s]+>/.test(value)
		&& !(value.split('@').length > 2 && /@[^@]*[,;\s][^@]*@/.test(value))
		&& (fits(options.localPart, local) || QUOTED_LOCAL_PART.test(local))
		&& new TextEncoder().encode(local).length <= 64
		&& isDomain(value.substr(at + 1));
}

function isAlias(value) {
	const found = value.match(/^\s*([^=:]*?)\s*[=:]\s*(.*?)\s*$/);

	if (!found || !found[1] || !found[2] || found[1] == '*')
		return false;

	return [ found[1] ].concat(found[2].split(',')).every((name, i) => {
		const word = i ? name.trim() : name;

		if (!i && word.charAt(0) == '@')
			return isDomain(word.substr(1));
		return word.indexOf('@') >= 0 ? isMail(word) : fits(options.localPart, word);
	});
}

/* What os.path.normpath makes of a full path. */
function normal(path) {
	const parts = [];

	path.split('/').forEach((part) => {
		if (part == '..')
			parts.pop();
		else if (part != '' && part != '.')
			parts.push(part);
	});

	return '/' + parts.join('/');
}

/* A number with one of its type's units behind it, in the smallest unit. */
function amount(type, value) {
	const digits = value.match(/^[0-9]*/)[0];

	return +digits.substr(0, 15) * type.units[value.substr(digits.length)];
}

function isWithin(option, type, value) {
	return !type.units || option.high == null ||
		(amount(type, value) >= option.low && amount(type, value) <= option.high);
}

/* What the expressions cannot say. */
const MORE = {
	choice: (value, option) => option.choices.indexOf(value) >= 0,
	hostname: (value) => isName(value) && !isAddress(value.replace(/^[[\]]+|[[\]]+$/g, '')) && !isLocalhost(value),
	host: isHost,
	address: isMail,
	sender: (value) => value.charAt(0) == '@' ? isDomain(value.substr(1)) : isMail(value),
	recipient: (value) => value.replace(/^@+/, '').indexOf('@') >= 0 ? isMail(value) : isDomain(value.replace(/^@/, '')),
	alias: isAlias,
	net: isNet,
	network: (value) => !isAddress(value.split('/')[0])
};

function isOfType(option, value) {
	const type = options.types[option.type];

	return isText(value) && fits(type.pattern, value) && !(type.never && fits(type.never, normal(value)))
		&& isWithin(option, type, value) && (!MORE[option.type] || MORE[option.type](value, option));
}

return baseclass.extend({
	/* Of an option, as options.js has it. Nothing at all is for the form to refuse, where the option is required. */
	check(option, value) {
		const text = options.types[option.type].text;

		if (value == null || value === '' || isOfType(option, String(value)))
			return true;
		if (option.highText)
			return _('Expected: %s (%s to %s)').format(text, option.lowText, option.highText);
		return _('Expected: %s').format(text);
	}
});
