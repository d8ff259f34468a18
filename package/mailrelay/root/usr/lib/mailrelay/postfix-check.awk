# `mailrelay check` of the Postfix engine: values that are not of their type by the table of options, what would make
# Postfix unsafe or keep mail from going out, and what this engine does not carry out. Environment: FILE (as messages call
# the settings), JSON (not empty: a list of objects is printed instead of lines), LIMITS (a table of what is not carried
# out), EXPOSED (networks that face the internet, NETWORK=ZONE,...), HOSTNAME, ADDRESSES (all of this
# machine's), and the PF_* of postfix_facts. Status 1: a fault.

END {
	for (s = 1; s <= sections; s++)
		check_section(s)
	main = find_main()
	check_networks()
	check_aliases()
	for (s = 1; s <= sections; s++) {
		if (type[s] == "smarthost" && is_on(get(s, "enabled")))
			check_smarthost(s)
		if (type[s] == "client")
			check_client(s)
	}
	find_routes()
	check_limits()
	if (ENVIRON["JSON"] != "")
		print "[" objects "]"
	else if (!faults)
		print ENVIRON["FILE"] ": providers are greeted " (own_name() ~ /\./ ? "as '" own_name() "'" : \
			"by the first address that Postfix listens on, as '" own_name() "' has no dot")
	exit faults > 0
}

# ---- findings --------------------------------------------------------------------------------------------------------

# Codes and what is filled in, `values`, are those of the Python engine's check, for what it finds, too.

function fault(s, code, option, problem, hint, values) {
	faults++
	finding(0, s, code, option, problem, hint, values)
}

function warn(s, code, option, problem, hint, values) {
	finding(1, s, code, option, problem, hint, values)
}

# fact(NAME, TEXT): one of a finding's values
function fact(name, text) {
	return quoted(name) ": " quoted(text)
}

function finding(warning, s, code, option, problem, hint, values,    place, text) {
	if (ENVIRON["JSON"] != "" && ++found <= 100)
		objects = (found > 1 ? objects ", " : "") "{\"code\": " quoted(code) ", \"warning\": " (warning ? "true" : "false") \
			", \"section\": " quoted(title[s]) ", \"option\": " quoted(option) ", \"line\": 0, \"problem\": " \
			quoted(problem) ", \"hint\": " quoted(hint) ", \"values\": {" values "}}"
	if (ENVIRON["JSON"] != "")
		return
	if (s)
		place = "section '" title[s] "'" (option == "" ? "" : ", option '" option "'") (problem ~ /^('|its)/ ? ": " : " ")
	text = ENVIRON["FILE"] ": " (warning ? "warning: " : "") place problem "; " hint
	gsub(/[\001-\037\177]/, "?", text)
	print text
}

# Text as a string of JSON.
function quoted(text) {
	gsub(/[\001-\037\177]/, "?", text)
	gsub(/["\\]/, "\\\\&", text)
	return "\"" text "\""
}

# ---- one section by itself -------------------------------------------------------------------------------------------

function check_section(s,    i, k, n, option, key, values, parts) {
	if (!(type[s] in types))
		fault(s, "unknown-section", "", "is of an unknown type '" type[s] "'", \
			"the types are 'mailrelay', 'smarthost', 'client'", fact("value", type[s]))
	else if (type[s] == "mailrelay" && name[s] != "main")
		fault(s, "second-main", "", "is not the one section that counts", "write config mailrelay 'main', once")
	else {
		for (i = 1; i <= written[s]; i++) {
			option = written[s, i]
			key = type[s] SUBSEP option
			if (!(key in known))
				fault(s, "unknown-option", option, "is not known here", "the options here are " names[type[s]])
			else if (is_list[s, option] && !many[key])
				fault(s, "no-list", option, "is a `list` here", "write one line: option " option " '...'")
			else {
				n = many[key] ? get_list(s, option) : item[s, option, 1] != ""
				for (k = 1; k <= n; k++)
					values[k] = many[key] ? LIST[k] : item[s, option, 1]
				for (k = 1; k <= n; k++)
					if (!fits(key, values[k]))
						misfit(s, option, option_type[key], substr(values[k], 1, 60))
			}
		}
		n = split(names[type[s]], parts, ", ")
		for (i = 1; i <= n; i++)
			if (required[type[s], parts[i]] && get(s, parts[i]) == "" && (type[s] == "client" || is_on(get(s, "enabled"))))
				fault(s, "missing", parts[i], "is missing", "write option " parts[i] " '...'")
	}
}

function misfit(s, option, kind, text) {
	if (kind == "secret")
		fault(s, "no-secret", option, "its value cannot be used", HINT)
	else
		fault(s, "no-" kind, option, "'" text "' cannot be used", HINT, fact("value", text))
}

# ---- what would be unsafe, or keep mail from going out ---------------------------------------------------------------

function check_networks(    n, i, parts) {
	n = split(ENVIRON["EXPOSED"], parts, /[=,]/)
	for (i = 1; i < n; i += 2)
		fault(main, "exposed-network", "network", "'" parts[i] "' is in the firewall zone '" parts[i + 1] "', which faces " \
			"the internet, and anyone there could send", "remove '" parts[i] "' from the list", \
			fact("value", parts[i]) ", " fact("zone", parts[i + 1]))
}

# An alias that leads nowhere would be taken, and its mail lost.
function check_aliases(    n, i, k, m, lines, defined) {
	n = get_list(main, "alias")
	for (i = 1; i <= n; i++) {
		lines[i] = LIST[i]
		split_alias(lines[i])
		if (tolower(ALIAS_NAME) in defined)
			fault(main, "alias-twice", "alias", "'" ALIAS_NAME "' is set twice", \
				"write one line: list alias 'NAME=FIRST,SECOND'", fact("value", ALIAS_NAME))
		defined[tolower(ALIAS_NAME)] = 1
	}
	for (i = 1; i <= n; i++) {
		m = split_alias(lines[i])
		for (k = 1; k <= m; k++)
			if (ALIAS_TARGET[k] !~ /@/ && !(tolower(ALIAS_TARGET[k]) in defined))
				fault(main, "alias-nowhere", "alias", "'" ALIAS_TARGET[k] "' is neither an address nor another alias", \
					"write an address: list alias '" ALIAS_NAME "=" ALIAS_TARGET[k] "@example.org'", \
					fact("value", ALIAS_TARGET[k]))
	}
}

function check_smarthost(s,    host, tls, port, n, i) {
	used++
	host = tolower(bare_host(get(s, "host")))
	tls = get(s, "tls")
	port = get(s, "port") == "" ? default_port(tls) : get(s, "port")
	if ((get(s, "username") != "") != (get(s, "password") != ""))
		fault(s, "missing", get(s, "username") == "" ? "username" : "password", "is missing", "a login has both, or none of the two")
	if (get(s, "username") ~ /:|^[ \t]/)
		fault(s, "postfix-username", "username", "has a colon in it or begins with a space, which Postfix cuts off", chosen())
	if (get(s, "password") ~ /[ \t]$/)
		fault(s, "postfix-password", "password", "ends with a space, which Postfix cuts off", "remove the space, or change the password")
	if (get(s, "auth") == "login" && ENVIRON["PF_SASL_LOGIN"] == "no")
		warn(s, "postfix-auth", "auth", "'login' is not in this system's SASL library, so that no mail will go out", \
			"write 'auto' or 'plain'")
	n = get_list(main, "port")
	for (i = 1; i <= n; i++)
		if (host == tolower(own_name()) || (LIST[i] == port && (host ~ /^(localhost|127\.|::1$)/ || \
			index(" " ENVIRON["ADDRESSES"] " ", " " host " ")))) {
			fault(s, "itself", "host", "'" host "' with port " port " is this relay itself", \
				"write the name of the provider's server", fact("value", host))
			break
		}
	if (tls == "none" && !is_on(get(s, "allow_cleartext")) && !is_private(host))
		fault(s, "cleartext-refused", "tls", "'none' is refused, as Postfix cannot make sure that '" host "' is in a private network", \
			"write 'starttls' or 'tls', or option allow_cleartext '1' if anyone may read the mail", \
			fact("host", host))
}

# An address, or a name, of a private network.
function is_private(host) {
	return host ~ /^(10|127|192\.168|169\.254|172\.(1[6-9]|2[0-9]|3[01]))\.[0-9.]+$/ || \
		host ~ /^(::1$|f[cd][0-9a-f][0-9a-f]:|fe[89ab][0-9a-f]:)/ || \
		matches(expression["private_domain"], host)
}

function check_client(s) {
	if (is_on(get(s, "redirect")) && network(get(s, "address")) !~ /(\..*\/32|:.*\/128)$/)
		fault(s, "redirected-network", "redirect", "is for one machine, and '" get(s, "address") "' is a network", \
			"write the one machine's address, as all others in the network would be redirected too", \
			fact("address", get(s, "address")))
}

# ---- what this engine does not do, or not wholly ---------------------------------------------------------------------

function chosen() {
	return "install the package mailrelay, the Python engine, if you need it"
}

function check_limits(    line, f, s, r, i) {
	RS = "\n"
	while ((getline line < ENVIRON["LIMITS"]) > 0) {
		split(line, f, "\t")
		for (s = 1; s <= sections; s++)
			if (type[s] == f[1] && get(s, f[2]) != "" && has(s, f[2]) && (f[3] == "-" || get(s, f[2]) ~ f[3]))
				warn(s, "postfix-" f[1], f[2], f[4], chosen())
	}
	for (s = 1; s <= sections; s++)
		if (type[s] == "smarthost" && get(s, "from") != "" && tolower(sent_from(s)) != tolower(rewritten_sender()))
			warn(s, "postfix-from", "from", "is not carried out by Postfix for this provider: mail comes from '" rewritten_sender() \
				"' through all of them", chosen(), fact("sender", rewritten_sender()))
	for (r = 1; r <= routes; r++)
		for (i = 2; i <= route_hosts[r]; i++)
			if (!can_take_over(route_host[r, 1], route_host[r, i]))
				warn(route_host[r, i], "postfix-priority", "priority", "is not carried out by Postfix here: this provider differs in from, tls " \
					"(starttls or tls), ca_file, auth, family or timeout from the first one and cannot take over from it", \
					chosen())
	if (!has(main, "network") && !has(main, "allow"))
		warn(main, "no-network", "network", "is not set, so that only this machine itself can send", "name the network: list network 'lan'")
	if (used && postmaster() == "")
		warn(main, "nobody-told", "postmaster", "is not set, and no login name is a mail address: nobody is told of mail that cannot " \
			"be delivered", "write option postmaster 'you@example.org'")
	if (!used)
		warn(main, "no-smarthost", "", "has no provider set, so that all mail is refused for now", "add a section config smarthost")
	if (ENVIRON["PF_VERSION"] != "" && ENVIRON["PF_SMTPUTF8"] != "yes")
		warn(0, "postfix-smtputf8", "", "this Postfix is built without SMTPUTF8: addresses with letters beyond ASCII are refused", chosen())
	if (ENVIRON["PF_VERSION"] != "" && ENVIRON["PF_NORMALIZES"] != "yes")
		warn(0, "postfix-smuggling", "", "this Postfix (" ENVIRON["PF_VERSION"] ") takes a lone dot between bare line feeds for the end of a " \
			"mail (CVE-2023-51764); what could hide a second mail behind one is refused, and so are machines that send " \
			"everything at once", "use Postfix 3.8.5 or later, or the Python engine", \
			fact("version", ENVIRON["PF_VERSION"]))
}
