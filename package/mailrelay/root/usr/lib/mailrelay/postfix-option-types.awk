# Whether a value is of its option's type, as the table of options has it. What no expression says (addresses, hosts,
# aliases, networks) is judged as far as the rendering relies on it; the Python engine's check finds more.

# True if the value fits; else HINT is what to write instead.
function fits(key, value,    t, number) {
	t = option_type[key]
	if (t == "spool") {
		gsub(/\/\/+/, "/", value)
		sub(/\/$/, "", value)
		value = value ~ /\/\.\.?(\/|$)/ || value == "" ? "/" : value
	}
	HINT = "write " (t == "choice" ? "one of " choices[key] : wanted[t])
	if (value ~ /[\001-\037\177]/ || !matches(expression[t], value) || (never[t] != "" && matches(never[t], value)))
		return 0
	if (t == "choice")
		return index("," choices[key] ",", "," value ",") > 0
	if (t == "hostname")
		return is_name(value) && tolower(value) !~ /(^|\.)localhost(\.|$)/
	if (t == "host")
		return ip(bare_host(value)) != "" || is_name(value)
	if (t == "network")
		return ip(value) == ""
	if (t == "net")
		return network(value) != ""
	if (t ~ /^(address|sender|recipient)$/)
		return value ~ /^@/ && t != "address" ? is_domain(substr(value, 2)) : \
			value !~ /@/ && t == "recipient" ? is_domain(value) : is_address(value)
	if (t == "alias")
		return is_alias(value)
	if (low[key] high[key] == "")
		return 1
	number = t == "duration" ? seconds(value) : t == "size" ? bytes(value) : value + 0
	HINT = HINT "; from " (low[key] + 0) (high[key] == "" ? "" : " to " high[key])
	return number >= low[key] + 0 && (high[key] == "" || number <= high[key] + 0)
}

function matches(expression_, value) {
	return value ~ ("^(" expression_ ")$")
}

function is_name(value) {
	return matches(expression["name"], value) && length(value) <= 253 && value !~ /(^|\.)[0-9]+$/
}

# A domain may be an international one, as it is, where Postfix is built with SMTPUTF8.
function is_domain(value) {
	sub(/^\[IPv6:/, "[", value)
	if (value ~ /^\[/)
		return ip(bare_host(value)) != ""
	gsub(/[\200-\377]/, "x", value)
	return is_name(value)
}

function is_address(value,    domain) {
	domain = value
	sub(/.*@/, "", domain)
	return is_domain(domain) && matches(expression["local_part"], substr(value, 1, length(value) - length(domain) - 1))
}

function is_alias(value,    n, i, part) {
	n = split_alias(value)
	for (i = 0; i <= n; i++) {
		part = i ? ALIAS_TARGET[i] : ALIAS_NAME
		if (part == "*" || !(!i && part ~ /^@/ ? is_domain(substr(part, 2)) : part ~ /@/ ? is_address(part) : matches(expression["local_part"], part)))
			return 0
	}
	return n > 0
}
