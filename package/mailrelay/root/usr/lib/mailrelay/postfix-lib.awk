# What the Postfix engine's awk programs share: reading the options table and `uci export`, addresses, quoting.
# No I/O but the table and standard input. Called with LC_ALL=C, so that a character is a byte.

# ---- the table of options: known["section", "option"] and its columns ---------------------------------------------

function read_options(path,    line, f, n, key) {
	while ((getline line < path) > 0) {
		if (line ~ /^#/)
			continue
		n = split(line, f, "\t")
		if (n < 9)
			continue
		for (n in f)
			if (f[n] == "-")
				f[n] = ""
		key = f[1] SUBSEP f[2]
		known[key] = 1
		kind[key] = f[3]
		many[key] = f[4] == "list"
		preset[key] = f[5]
		low[key] = f[6]
		high[key] = f[7]
		choices[key] = f[8]
		required[key] = f[9] == "required"
		types[f[1]] = 1
		names[f[1]] = names[f[1]] (names[f[1]] == "" ? "" : ", ") f[2]
	}
	close(path)
}

# ---- `uci export`: sections 1..sections with type[], name[], title[]; count[s, option] values item[s, option, n] ---

function read_export(    text, line) {
	sections = 0
	while ((getline line) > 0) {
		text = text == "" ? line : text "\n" line
		if (!complete(text))
			continue
		take_line(text)
		text = ""
	}
}

# The words of an export line in WORDS[1..]; 0 while a quote is still open. Inside quotes nothing is special.
function complete(text,    i, c, n, quoted, word, begun) {
	split("", WORDS)
	n = 0
	word = ""
	for (i = 1; i <= length(text); i++) {
		c = substr(text, i, 1)
		if (c == "'") {
			quoted = !quoted
			begun = 1
		} else if (!quoted && c == "\\") {
			word = word substr(text, ++i, 1)
			begun = 1
		} else if (!quoted && (c == " " || c == "\t" || c == "\n")) {
			if (begun)
				WORDS[++n] = word
			word = ""
			begun = 0
		} else {
			word = word c
			begun = 1
		}
	}
	if (begun)
		WORDS[++n] = word
	return !quoted
}

function take_line(text,    s) {
	s = sections
	if (WORDS[1] == "config") {
		s = ++sections
		type[s] = WORDS[2]
		name[s] = WORDS[3]
		if (name[s] ~ /^cfg[0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f][0-9a-f]$/)
			name[s] = ""  # export -n names the anonymous ones
		of_type[type[s]]++
		title[s] = name[s] == "" ? type[s] "[" (of_type[type[s]] - 1) "]" : name[s]
	} else if (s && (WORDS[1] == "option" || WORDS[1] == "list")) {
		if (!((s, WORDS[2]) in count))
			written[s, ++written[s]] = WORDS[2]
		is_list[s, WORDS[2]] = WORDS[1] == "list"
		item[s, WORDS[2], ++count[s, WORDS[2]]] = WORDS[3]
	}
}

function has(s, option) {
	return (s, option) in count
}

# The value of an `option`, or its default.
function get(s, option) {
	return has(s, option) ? item[s, option, 1] : preset[type[s], option]
}

# A list, or what an owner wrote as one option with spaces, in LIST[1..n]; n is returned.
function get_list(s, option,    n, i, j, m, pieces, key) {
	key = type[s] SUBSEP option
	split("", LIST)
	if (!has(s, option))
		return split(preset[key], LIST, " ")
	n = 0
	for (i = 1; i <= count[s, option]; i++) {
		if (kind[key] == "port" || kind[key] == "net" || kind[key] == "network") {
			m = split(item[s, option, i], pieces, " ")
			for (j = 1; j <= m; j++)
				LIST[++n] = pieces[j]
		} else if (item[s, option, i] != "")
			LIST[++n] = item[s, option, i]
	}
	return n
}

function find_main(    s) {
	for (s = 1; s <= sections; s++)
		if (type[s] == "mailrelay" && name[s] == "main")
			return s
	type[++sections] = "mailrelay"
	title[sections] = name[sections] = "main"
	return sections
}

# ---- values --------------------------------------------------------------------------------------------------------

function is_on(value) {
	return value ~ /^(1|yes|on|true|enabled)$/
}

# Bytes or seconds of "25M" or "5d"; -1 where it is neither.
function bytes(value,    unit) {
	if (value !~ /^[0-9]+[KMGkmg]?$/)
		return -1
	unit = toupper(substr(value, length(value)))
	return (value + 0) * (unit == "K" ? 1024 : unit == "M" ? 1048576 : unit == "G" ? 1073741824 : 1)
}

function seconds(value,    unit) {
	if (value !~ /^[0-9]+[smhdw]?$/)
		return -1
	unit = substr(value, length(value))
	return (value + 0) * (unit == "m" ? 60 : unit == "h" ? 3600 : unit == "d" ? 86400 : unit == "w" ? 604800 : 1)
}

function default_port(tls) {
	return tls == "tls" ? 465 : tls == "none" ? 25 : 587
}

function bare_host(value) {
	return value ~ /^\[.*\]$/ ? substr(value, 2, length(value) - 2) : value
}

# "name=target,target": ALIAS_NAME and ALIAS_TARGET[1..n], trimmed.
function split_alias(value,    n, i) {
	ALIAS_NAME = value
	sub(/[=:].*/, "", ALIAS_NAME)
	value = substr(value, length(ALIAS_NAME) + 2)
	ALIAS_NAME = trimmed(ALIAS_NAME)
	split("", ALIAS_TARGET)
	n = split(value, ALIAS_TARGET, ",")
	for (i = 1; i <= n; i++)
		ALIAS_TARGET[i] = trimmed(ALIAS_TARGET[i])
	return n
}

function trimmed(value) {
	gsub(/^[ \t]+|[ \t]+$/, "", value)
	return value
}

# 64 lower-case digits, or "".
function fingerprint(value) {
	value = tolower(value)
	sub(/^ *sha-?256( fingerprint)? *[=:]/, "", value)
	gsub(/[ \t:]/, "", value)
	return value ~ /^[0-9a-f]+$/ && length(value) == 64 ? value : ""
}

function is_localhost(value) {
	value = tolower(value)
	return value ~ /^localhost[46]?(\.|$)/ || value ~ /^[^.]*\.localhost$/
}

# ---- networks: hexadecimal digits, so that no awk has to count in 128 bits -------------------------------------------

function hex(digits,    i, value) {
	value = 0
	digits = tolower(digits)
	for (i = 1; i <= length(digits); i++)
		value = value * 16 + index("0123456789abcdef", substr(digits, i, 1)) - 1
	return value
}

# 8 or 32 hex digits of an address; "" if it is none. IPv4 mapped into IPv6 is IPv4.
function ip(text,    parts, n, i, out, halves, left, right, tail) {
	if (text ~ /^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$/) {
		split(text, parts, ".")
		for (i = 1; i <= 4; i++) {
			if (parts[i] > 255 || length(parts[i]) > 3 || parts[i] ~ /^0./)
				return ""
			out = out sprintf("%02x", parts[i])
		}
		return out
	}
	if (text !~ /^[0-9A-Fa-f:.]+$/ || text !~ /:/ || text ~ /:::/ || text ~ /^:[^:]/ || text ~ /[^:]:$/)
		return ""
	if (text ~ /\./) {
		tail = text
		sub(/.*:/, "", tail)
		out = ip(tail)
		if (length(out) != 8)
			return ""
		text = substr(text, 1, length(text) - length(tail)) substr(out, 1, 4) ":" substr(out, 5)
	}
	if (split(text, halves, "::") > 2)
		return ""
	left = groups(halves[1])
	right = text ~ /::/ ? groups(halves[2]) : ""
	if (left == "bad" || right == "bad" || length(left right) > (text ~ /::/ ? 28 : 32))
		return ""
	if (text !~ /::/ && length(left) != 32)
		return ""
	out = left
	for (n = length(left right); n < 32; n++)
		out = out "0"
	out = out right
	return substr(out, 1, 24) == "00000000000000000000ffff" ? substr(out, 25) : out
}

function groups(text,    parts, n, i, out) {
	n = split(text, parts, ":")
	out = ""
	for (i = 1; i <= n; i++) {
		if (parts[i] !~ /^[0-9A-Fa-f]+$/ || length(parts[i]) > 4)
			return "bad"
		out = out sprintf("%04x", hex(parts[i]))
	}
	return out
}

# "address" or "address/length": NET_HEX (host bits cleared) and NET_LENGTH; returns what is wrong, or "".
function net(text,    address, mask, bits, least, n, part) {
	address = text
	sub(/\/.*/, "", address)
	if (address ~ /%/)
		return "has a zone id (%...), which a network cannot have"
	NET_HEX = ip(address)
	if (NET_HEX == "")
		return "is not an IP address"
	bits = length(NET_HEX) * 4
	NET_LENGTH = bits
	if (text ~ /\//) {
		mask = text
		sub(/^[^\/]*\//, "", mask)
		if (mask !~ /^[0-9]+$/)
			return "has a mask that is not a number of bits"
		least = address ~ /:/ && bits == 32 ? 96 : 0
		NET_LENGTH = mask - least
		if (NET_LENGTH < 0 || NET_LENGTH > bits)
			return "has a mask that is not between " least " and " (least + bits) " bits"
	}
	n = int(NET_LENGTH / 4)
	part = ""
	if (NET_LENGTH % 4) {
		least = NET_LENGTH % 4 == 1 ? 8 : NET_LENGTH % 4 == 2 ? 4 : 2
		part = sprintf("%x", int(hex(substr(NET_HEX, n + 1, 1)) / least) * least)
	}
	part = substr(NET_HEX, 1, n) part
	while (length(part) < bits / 4)
		part = part "0"
	NET_HEX = part
	return ""
}

# True if the address or network `inner` lies in the network `outer`.
function within(inner, outer,    digits, width) {
	if (net(outer) != "")
		return 0
	digits = NET_HEX
	width = NET_LENGTH
	if (net(inner) != "" || NET_LENGTH < width || length(NET_HEX) != length(digits))
		return 0
	net(spelled(NET_HEX) "/" width)
	return NET_HEX == digits
}

function is_private(text) {
	return within(text, "127.0.0.0/8") || within(text, "10.0.0.0/8") || within(text, "172.16.0.0/12") || \
		within(text, "192.168.0.0/16") || within(text, "169.254.0.0/16") || within(text, "::1") || \
		within(text, "fc00::/7") || within(text, "fe80::/10")
}

# Hex digits as Postfix reads an address (without brackets).
function spelled(digits,    i, out) {
	if (length(digits) == 8)
		return hex(substr(digits, 1, 2)) "." hex(substr(digits, 3, 2)) "." hex(substr(digits, 5, 2)) "." \
			hex(substr(digits, 7, 2))
	for (i = 1; i <= 32; i += 4)
		out = out (i > 1 ? ":" : "") sprintf("%x", hex(substr(digits, i, 4)))
	return out
}
