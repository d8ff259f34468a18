# What the check and the rendering share: the table of options, the settings, values, networks. Reads the settings from
# standard input as settings_lines of postfix.sh prints them, and no file but the table, OPTIONS in the environment.
# Called with LC_ALL=C, so that a character is a byte.

BEGIN {
	read_options(ENVIRON["OPTIONS"])
	FS = "\t"
	RS = "\036"
}

# ---- the settings: sections 1..sections with type[], name[], title[]; count[s, option] values item[s, option, n] --------

$1 == "config" {
	type[++sections] = $2
	name[sections] = $3
	title[sections] = $3 != "" ? $3 : $2 "[" (of_type[$2] + 0) "]"
	of_type[$2]++
	next
}

sections && ($1 == "option" || $1 == "list") {
	if (!((sections, $2) in count))
		written[sections, ++written[sections]] = $2
	is_list[sections, $2] = $1 == "list"
	value = $0
	sub(/^[^\t]*\t[^\t]*\t/, "", value)
	item[sections, $2, ++count[sections, $2]] = value
}

function has(s, option) {
	return (s, option) in count
}

# The value of an `option`, or its default.
function get(s, option) {
	return has(s, option) ? item[s, option, 1] : default_value[type[s], option]
}

# The values of a list, in LIST[1..n]; n is returned. Names of networks, addresses and ports may also be written as one
# option with spaces between.
function get_list(s, option,    n, i, key) {
	key = type[s] SUBSEP option
	split("", LIST)
	if (!has(s, option))
		return split(default_value[key], LIST, " ")
	if (!is_list[s, option] && option_type[key] ~ /^(port|net|network)$/)
		return split(item[s, option, 1], LIST, " ")
	for (i = 1; i <= count[s, option]; i++)
		if (item[s, option, i] != "")
			LIST[++n] = item[s, option, i]
	return n + 0
}

# The number of the section of settings that count for all; one is made if the file has none.
function find_main(    s) {
	for (s = 1; s <= sections; s++)
		if (type[s] == "mailrelay" && name[s] == "main")
			return s
	type[++sections] = "mailrelay"
	title[sections] = name[sections] = "main"
	return sections
}

# ---- the table of options: known["section", "option"] and its columns, and each type's expression ---------------------

function read_options(path,    line, f, n, key) {
	while ((getline line < path) > 0) {
		n = split(line, f, "\t")
		for (key in f)
			if (f[key] == "-")
				f[key] = ""
		if (f[1] == "type" || f[1] == "part") {
			expression[f[2]] = f[3]
			never[f[2]] = f[4]
			wanted[f[2]] = f[5]
		} else if (line !~ /^#/) {
			key = f[1] SUBSEP f[2]
			known[key] = 1
			option_type[key] = f[3]
			many[key] = f[4] == "list"
			default_value[key] = f[5]
			low[key] = f[6]
			high[key] = f[7]
			choices[key] = f[8]
			required[key] = f[9] == "required"
			types[f[1]] = 1
			names[f[1]] = names[f[1]] (names[f[1]] == "" ? "" : ", ") f[2]
		}
	}
	close(path)
}

# ---- values --------------------------------------------------------------------------------------------------------

# What the relay calls itself: the setting, else the system's name.
function own_name(    name_) {
	name_ = has(main, "hostname") ? get(main, "hostname") : ENVIRON["HOSTNAME"]
	gsub(/[^A-Za-z0-9.-]+/, "-", name_)
	return name_ ~ /^[-.]*$|^localhost(\.|$)|\.localhost$/ ? "mailrelay" : name_
}

# Whom to tell of mail that cannot be delivered: the setting, else the address of the first provider's account.
function postmaster() {
	return has(main, "postmaster") ? get(main, "postmaster") : !hosts ? "" : is_mailbox(get(HOST[1], "username")) ? \
		get(HOST[1], "username") : is_mailbox(get(HOST[1], "from")) ? get(HOST[1], "from") : \
		is_mailbox(get(main, "sender")) ? get(main, "sender") : ""
}

function is_mailbox(value) {
	return value ~ /^[^][:space:]"(),:;<>@[]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$/
}

function is_on(value) {
	return value ~ /^(1|yes|on|true|enabled)$/
}

# The seconds of "5d", the bytes of "25M".
function seconds(value) {
	return value * (value ~ /m$/ ? 60 : value ~ /h$/ ? 3600 : value ~ /d$/ ? 86400 : value ~ /w$/ ? 604800 : 1)
}

function bytes(value) {
	return value * (value ~ /[Kk]$/ ? 1024 : value ~ /[Mm]$/ ? 1048576 : value ~ /[Gg]$/ ? 1073741824 : 1)
}

function default_port(tls) {
	return tls == "tls" ? 465 : tls == "none" ? 25 : 587
}

function bare_host(value) {
	return value ~ /^\[.*\]$/ ? substr(value, 2, length(value) - 2) : value
}

# "name=target,target": ALIAS_NAME and ALIAS_TARGET[1..n], trimmed.
function split_alias(value) {
	gsub(/^[ \t]+|[ \t]+$/, "", value)
	ALIAS_NAME = value
	sub(/[ \t]*[=:].*/, "", ALIAS_NAME)
	sub(/^[^=:]*[=:][ \t]*/, "", value)
	return split(value, ALIAS_TARGET, /[ \t]*,[ \t]*/)
}

# 64 lower-case digits, or "".
function fingerprint(value) {
	value = tolower(value)
	sub(/^ *sha-?256( fingerprint)? *[=:]/, "", value)
	gsub(/[ \t:]/, "", value)
	return value ~ /^[0-9a-f]+$/ && length(value) == 64 ? value : ""
}

# ---- networks: hexadecimal digits, so that no awk has to count in 128 bits -------------------------------------------

function hex(digits,    i, value) {
	for (i = 1; i <= length(digits); i++)
		value = value * 16 + index("0123456789abcdef", substr(digits, i, 1)) - 1
	return value + 0
}

# 8 or 32 hex digits of an address; "" if it is none.
function ip(text,    parts, n, i, out, groups) {
	if (text ~ /^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$/) {
		split(text, parts, ".")
		for (i = 1; i <= 4; i++) {
			if (parts[i] > 255 || length(parts[i]) > 3 || parts[i] ~ /^0./)
				return ""
			out = out sprintf("%02x", parts[i])
		}
		return out
	}
	if (text !~ /:/ || text ~ /[^0-9A-Fa-f:]|:::|^:[^:]|[^:]:$|::.*::|[^:][^:][^:][^:][^:]/)
		return ""
	n = split(text, parts, ":")
	for (i = 1; i <= n; i++)
		groups += parts[i] != ""
	if (text ~ /::/ ? groups > 7 : groups != 8)
		return ""
	for (i = 1; i <= n; i++)
		if (parts[i] != "")
			out = out sprintf("%4s", parts[i])
		else
			for (; groups < 8; groups++)
				out = out "0000"
	gsub(/ /, "0", out)
	return tolower(out)
}

# "address" or "address/length" as Postfix reads a network, its host bits cleared; "" if it is none.
function network(text,    parts, n, digits, bits, kept, unit) {
	n = split(text, parts, "/")
	digits = ip(parts[1])
	bits = n > 1 ? parts[2] : length(digits) * 4
	if (digits == "" || n > 2 || bits !~ /^[0-9]+$/ || bits + 0 > length(digits) * 4)
		return ""
	n = length(digits)
	kept = int(bits / 4)
	unit = bits % 4 == 1 ? 8 : bits % 4 == 2 ? 4 : bits % 4 == 3 ? 2 : 16
	if (kept < n)
		digits = substr(digits, 1, kept) sprintf("%x", int(hex(substr(digits, kept + 1, 1)) / unit) * unit)
	while (length(digits) < n)
		digits = digits "0"
	if (n == 8)
		return hex(substr(digits, 1, 2)) "." hex(substr(digits, 3, 2)) "." hex(substr(digits, 5, 2)) "." \
			hex(substr(digits, 7, 2)) "/" (bits + 0)
	gsub(/..../, "&:", digits)
	return "[" substr(digits, 1, 39) "]/" (bits + 0)
}
