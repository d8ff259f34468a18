# Whether a value is of its kind, as option_types.py has it for the Python engine: bad() says so in BAD and MEND.

# 1 if the value cannot be used: BAD is what is wrong with it, MEND what would be right, SUBJECT what to call it.
function bad(key, value,    k, n, i, parts) {
	k = kind[key]
	BAD = MEND = SUBJECT = ""
	if (value ~ /[\001-\037\177]/ || value ~ /\302[\200-\237]/ || value ~ /\342\200[\250\251]/)
		return wrong("holds a line break, a control character or bytes that are not UTF-8", "type it anew, on one line")
	if (k == "switch" && value !~ /^(1|yes|on|true|enabled|0|no|off|false|disabled)$/)
		return wrong("is neither yes nor no", "write '1' (yes) or '0' (no)")
	if (k == "choice") {
		n = split(choices[key], parts, ",")
		for (i = 1; i <= n; i++)
			if (parts[i] == value)
				return 0
		gsub(/,/, "', '", choices[key])
		MEND = "write one of '" choices[key] "'"
		gsub(/', '/, ",", choices[key])
		return wrong("is not one of the choices", MEND)
	}
	if (k == "integer") {
		if (value !~ /^[0-9]+$/)
			return wrong("is not a whole number", "write a number from " (low[key] + 0) " to " high[key] ", in digits only")
		return outside(key, value + 0)
	}
	if (k == "port" && (value !~ /^[0-9]+$/ || value < 1 || value > 65535))
		return wrong("is not a port", "write a number from 1 to 65535")
	if (k == "size")
		return bytes(value) < 0 ? \
			wrong("is not a size", "write a number of bytes, or one with K, M or G after it, like '25M'") : \
			outside(key, bytes(value))
	if (k == "duration")
		return seconds(value) < 0 ? \
			wrong("is not a duration", "write seconds, or a number with s, m, h, d or w after it, like '5d'") : \
			outside(key, seconds(value))
	if (k == "hostname")
		return bad_hostname(value)
	if (k == "host")
		return bad_host(value)
	if (k == "address")
		return bad_address(value)
	if (k == "sender")
		return value ~ /^@/ ? bad_domain(substr(value, 2)) : bad_address(value)
	if (k == "recipient")
		return value ~ /.@/ ? bad_address(value) : \
			value ~ /^\*/ ? wrong("is a pattern", "write the domain; each domain stands for itself only") : \
			bad_domain(value ~ /^@/ ? substr(value, 2) : value)
	if (k == "alias")
		return bad_alias(value)
	if (k == "net" && (n = net(value)) != "")
		return wrong(n, "write an address or a network, like '192.168.1.10' or '192.168.1.0/24'")
	if (k == "network") {
		n = value
		sub(/\/.*/, "", n)
		if (ip(n) != "")
			return wrong("is an address, not the name of a network", "write `list allow '" value "'`, or a name like 'lan'")
		if (value !~ /^[A-Za-z0-9_.:@-]+$/ || length(value) > 64)
			return wrong("is not the name of a network", "write a name like 'lan', or 'eth0' where there is no OpenWrt")
	}
	if ((k == "path" || k == "spool" || k == "program") && value !~ /^\//)
		return wrong("is not a full path", "write it from the root on")
	if (k == "spool" && holds_other_things(value))
		return wrong("is a folder that holds other things", "name one of its own, like '/etc/mailrelay/spool'")
	if (k == "rate") {
		n = split(value, parts, " ")
		for (i = 1; i <= n; i++)
			if (parts[i] !~ /^[1-9][0-9]*\/(minute|day)$/ || (i == 2 && unit_of(parts[1]) == unit_of(parts[2])) || i > 2)
				return wrong("is not a rate", "write it like '30/minute 500/day', or one of the two")
	}
	if (k == "fingerprint" && fingerprint(value) == "")
		return wrong("is not a SHA-256 fingerprint", \
			"take what `openssl x509 -noout -fingerprint -sha256` prints: 64 hex digits")
	return 0
}

function wrong(problem, mend, subject) {
	BAD = problem
	MEND = mend
	SUBJECT = subject
	return 1
}

function outside(key, number,    most) {
	if (number >= low[key] + 0 && (high[key] == "" || number <= high[key] + 0))
		return 0
	most = high[key] == "" ? "" : " to " shown_number(kind[key], high[key])
	return wrong(number < low[key] + 0 ? "is too small" : "is too large", \
		"write " (kind[key] == "integer" ? "a number" : "a " kind[key]) " from " \
		shown_number(kind[key], low[key] + 0) most)
}

# The shortest text of a number of bytes or seconds.
function shown_number(k, number) {
	if (k == "size" && number > 0)
		return number % 1073741824 == 0 ? number / 1073741824 "G" : \
			number % 1048576 == 0 ? number / 1048576 "M" : number % 1024 == 0 ? number / 1024 "K" : number ""
	if (k == "duration")
		return number && number % 604800 == 0 ? number / 604800 "w" : number && number % 86400 == 0 ? \
			number / 86400 "d" : number && number % 3600 == 0 ? number / 3600 "h" : \
			number && number % 60 == 0 ? number / 60 "m" : number "s"
	return number ""
}

function unit_of(rate) {
	sub(/.*\//, "", rate)
	return rate
}

# What keeps text from being a host name (RFC 1123), or "".
function name_fault(value,    n, i, labels) {
	if (value ~ /[\200-\377]/)
		return "holds letters that a host name cannot have (an international name is written in its xn-- form)"
	if (value ~ /[ ,]/)
		return "has a space or a comma in it"
	n = split(value, labels, ".")
	for (i = 1; i <= n; i++) {
		if (length(labels[i]) > 63 || length(value) > 253)
			return "is too long for a host name"
		if (labels[i] == "")
			return "has a dot too many"
		if (labels[i] !~ /^[A-Za-z0-9-]+$/ || labels[i] ~ /^-/ || labels[i] ~ /-$/)
			return "is not a host name (letters, digits, dots, and hyphens inside)"
	}
	if (labels[n] ~ /^[0-9]+$/)
		return "looks like an IP address but is none"
	return n ? "" : "is not a host name (letters, digits, dots, and hyphens inside)"
}

function bad_hostname(value,    problem) {
	problem = ip(value) != "" ? "is an address, and many providers refuse one here" : name_fault(value)
	if (problem == "" && is_localhost(value))
		problem = "is every machine's name, and many providers refuse it"
	return problem == "" ? 0 : wrong(problem, "write a name like 'router.example.org'")
}

function bad_host(value,    problem) {
	if (ip(bare_host(value)) != "")
		return 0
	problem = value ~ /:/ ? "is more than a host name" : value ~ /@/ ? "is an e-mail address" : name_fault(value)
	return problem == "" ? 0 : wrong(problem, "write the server's name only, like 'smtp.example.org'")
}

function bad_domain(value,    ascii, problem) {
	if (value ~ /^\[.*\]$/) {
		ascii = bare_host(value)
		sub(/^IPv6:/, "", ascii)
		return ip(ascii) != "" ? 0 : wrong("has no IP address between the brackets", "write a domain, or [192.0.2.1]")
	}
	ascii = value
	gsub(/[\200-\377]/, "x", ascii)
	problem = ip(value) != "" ? "is an address without brackets" : name_fault(ascii)
	return problem == "" ? 0 : wrong(problem, "write a domain like 'example.org'", "the domain " shown(value))
}

function bad_address(value,    local, domain, example) {
	example = "write it like 'name@example.org'"
	domain = local = value
	sub(/.*@/, "", domain)
	if (value !~ /@/)
		return wrong("is not an e-mail address: it has no @", example)
	local = substr(value, 1, length(value) - length(domain) - 1)
	if (local == "" || domain == "")
		return wrong("has nothing " (local == "" ? "before" : "after") " the @", example)
	if (value ~ /<.*>/)
		return wrong("is more than an address", example)
	if (domain ~ / / || value ~ /^ / || value ~ / $/)
		return wrong("has a space in it", example)
	if (local ~ /^".*"$/)
		return wrong("has quotes before the @, which the Postfix engine cannot handle", "use an address without them")
	if (local ~ /[] ()<>;@\\,":[]/)
		return wrong("has a character before the @ that cannot stand there", example)
	if (length(local) > 64)
		return wrong("has more than 64 bytes before the @", example)
	return bad_domain(domain)
}

function bad_alias(value,    n, i) {
	n = split_alias(value)
	if (value !~ /[=:]/ || ALIAS_NAME == "" || (n == 1 && ALIAS_TARGET[1] == "") || !n)
		return wrong("is not an alias: a name, = and an address", "write it like 'root=owner@example.org'")
	if (ALIAS_NAME == "*")
		return wrong("is not an alias: * is no name", "to send everything to one mailbox use `list recipient`")
	if (bad_alias_part(ALIAS_NAME)) {
		SUBJECT = SUBJECT != "" ? SUBJECT : "the name " shown(ALIAS_NAME)
		return 1
	}
	for (i = 1; i <= n; i++)
		if (bad_alias_part(ALIAS_TARGET[i])) {
			SUBJECT = SUBJECT != "" ? SUBJECT : "the target " shown(ALIAS_TARGET[i])
			return 1
		}
	return 0
}

function bad_alias_part(part) {
	if (part ~ /@/)
		return bad_address(part)
	if (part == "" || part ~ /[] ()<>;@\\,":[]/)
		return wrong("has a character that cannot stand in one", "write it like 'root=owner@example.org'")
	return 0
}

# A spool needs a folder of its own.
function holds_other_things(path) {
	gsub(/\/+/, "/", path)
	sub(/\/$/, "", path)
	return path ~ /^(|\/bin|\/boot|\/dev|\/etc|\/etc\/config|\/etc\/mailrelay|\/home|\/lib|\/mnt|\/overlay)$/ || \
		path ~ /^(\/overlay\/upper|\/proc|\/rom|\/root|\/run|\/sbin|\/sys|\/tmp|\/usr|\/usr\/bin|\/usr\/lib|\/var)$/ || \
		path ~ /^(\/var\/lib|\/var\/mail|\/var\/run|\/var\/spool|\/var\/tmp)$/ || path ~ /^\/(proc|sys|dev)\// || \
		path ~ /\/\.\.?(\/|$)/
}

# A value for a message: on one line, not too long, and without a password that a URL may hold.
function shown(value) {
	if (value ~ /:\/\// && value ~ /@/)
		return "this URL"
	gsub(/[\001-\037\177]/, "?", value)
	return "'" (length(value) <= 60 ? value : substr(value, 1, 57) "...") "'"
}
