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

function fault(s, option, problem, hint) {
	faults++
	finding(0, s, option, problem, hint)
}

function warn(s, option, problem, hint) {
	finding(1, s, option, problem, hint)
}

function finding(warning, s, option, problem, hint,    place, text) {
	if (ENVIRON["JSON"] != "" && ++found <= 100)
		objects = (found > 1 ? objects ", " : "") "{\"code\": \"postfix\", \"warning\": " (warning ? "true" : "false") \
			", \"section\": " quoted(title[s]) ", \"option\": " quoted(option) ", \"line\": 0, \"problem\": " \
			quoted(problem) ", \"hint\": " quoted(hint) "}"
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
		fault(s, "", "is of an unknown type '" type[s] "'", "the types are 'mailrelay', 'smarthost', 'client'")
	else if (type[s] == "mailrelay" && name[s] != "main")
		fault(s, "", "is not the one section that counts", "write config mailrelay 'main', once")
	else {
		for (i = 1; i <= written[s]; i++) {
			option = written[s, i]
			key = type[s] SUBSEP option
			if (!(key in known))
				fault(s, option, "is not known here", "the options here are " names[type[s]])
			else if (is_list[s, option] && !many[key])
				fault(s, option, "is a `list` here", "write one line: option " option " '...'")
			else {
				n = many[key] ? get_list(s, option) : item[s, option, 1] != ""
				for (k = 1; k <= n; k++)
					values[k] = many[key] ? LIST[k] : item[s, option, 1]
				for (k = 1; k <= n; k++)
					if (!fits(key, values[k]))
						fault(s, option, (option_type[key] == "secret" ? "its value" : "'" substr(values[k], 1, 60) "'") \
							" cannot be used", HINT)
			}
		}
		n = split(names[type[s]], parts, ", ")
		for (i = 1; i <= n; i++)
			if (required[type[s], parts[i]] && get(s, parts[i]) == "" && (type[s] == "client" || is_on(get(s, "enabled"))))
				fault(s, parts[i], "is missing", "write option " parts[i] " '...'")
	}
}

# ---- what would be unsafe, or keep mail from going out ---------------------------------------------------------------

function check_networks(    n, i, parts) {
	n = split(ENVIRON["EXPOSED"], parts, /[=,]/)
	for (i = 1; i < n; i += 2)
		fault(main, "network", "'" parts[i] "' is in the firewall zone '" parts[i + 1] "', which faces the internet, and " \
			"anyone there could send", "remove '" parts[i] "' from the list")
}

# An alias that leads nowhere would be taken, and its mail lost.
function check_aliases(    n, i, k, m, lines, defined) {
	n = get_list(main, "alias")
	for (i = 1; i <= n; i++) {
		lines[i] = LIST[i]
		split_alias(lines[i])
		if (tolower(ALIAS_NAME) in defined)
			fault(main, "alias", "'" ALIAS_NAME "' is set twice", "write one line: list alias 'NAME=FIRST,SECOND'")
		defined[tolower(ALIAS_NAME)] = 1
	}
	for (i = 1; i <= n; i++) {
		m = split_alias(lines[i])
		for (k = 1; k <= m; k++)
			if (ALIAS_TARGET[k] !~ /@/ && !(tolower(ALIAS_TARGET[k]) in defined))
				fault(main, "alias", "'" ALIAS_TARGET[k] "' is neither an address nor another alias", \
					"write an address: list alias '" ALIAS_NAME "=" ALIAS_TARGET[k] "@example.org'")
	}
}

function check_smarthost(s,    host, tls, port, n, i) {
	used++
	host = tolower(bare_host(get(s, "host")))
	tls = get(s, "tls")
	port = get(s, "port") == "" ? default_port(tls) : get(s, "port")
	if ((get(s, "username") != "") != (get(s, "password") != ""))
		fault(s, get(s, "username") == "" ? "username" : "password", "is missing", "a login has both, or none of the two")
	if (get(s, "username") ~ /:|^[ \t]/)
		fault(s, "username", "has a colon in it or begins with a space, which Postfix cuts off", chosen())
	if (get(s, "password") ~ /[ \t]$/)
		fault(s, "password", "ends with a space, which Postfix cuts off", "remove the space, or change the password")
	if (get(s, "auth") == "login" && ENVIRON["PF_SASL_LOGIN"] == "no")
		warn(s, "auth", "'login' is not in this system's SASL library, so that no mail will go out", \
			"write 'auto' or 'plain'")
	n = get_list(main, "port")
	for (i = 1; i <= n; i++)
		if (host == tolower(own_name()) || (LIST[i] == port && (host ~ /^(localhost|127\.|::1$)/ || \
			index(" " ENVIRON["ADDRESSES"] " ", " " host " ")))) {
			fault(s, "host", "'" host "' with port " port " is this relay itself", "write the name of the provider's server")
			break
		}
	if (tls == "none" && !is_on(get(s, "allow_cleartext")) && !is_private(host))
		fault(s, "tls", "'none' is refused, as Postfix cannot make sure that '" host "' is in a private network", \
			"write 'starttls' or 'tls', or option allow_cleartext '1' if anyone may read the mail")
}

# An address, or a name, of a private network.
function is_private(host) {
	return host ~ /^(10|127|192\.168|169\.254|172\.(1[6-9]|2[0-9]|3[01]))\.[0-9.]+$/ || \
		host ~ /^(::1$|f[cd][0-9a-f][0-9a-f]:|fe[89ab][0-9a-f]:)/ || \
		matches(expression["private_domain"], host)
}

function check_client(s) {
	if (is_on(get(s, "redirect")) && network(get(s, "address")) !~ /(\..*\/32|:.*\/128)$/)
		fault(s, "redirect", "is for one machine, and '" get(s, "address") "' is a network", \
			"write the one machine's address, as all others in the network would be redirected too")
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
				warn(s, f[2], f[4], chosen())
	}
	for (s = 1; s <= sections; s++)
		if (type[s] == "smarthost" && get(s, "from") != "" && tolower(sent_from(s)) != tolower(rewritten_sender()))
			warn(s, "from", "is not carried out by Postfix for this provider: mail comes from '" rewritten_sender() \
				"' through all of them", chosen())
	for (r = 1; r <= routes; r++)
		for (i = 2; i <= route_hosts[r]; i++)
			if (!can_take_over(route_host[r, 1], route_host[r, i]))
				warn(route_host[r, i], "priority", "is not carried out by Postfix here: this provider differs in from, tls " \
					"(starttls or tls), ca_file, auth, family or timeout from the first one and cannot take over from it", \
					chosen())
	if (!has(main, "network") && !has(main, "allow"))
		warn(main, "network", "is not set, so that only this machine itself can send", "name the network: list network 'lan'")
	if (used && postmaster() == "")
		warn(main, "postmaster", "is not set, and no login name is a mail address: nobody is told of mail that cannot " \
			"be delivered", "write option postmaster 'you@example.org'")
	if (!used)
		warn(main, "", "has no provider set, so that all mail is refused for now", "add a section config smarthost")
	if (ENVIRON["PF_VERSION"] != "" && ENVIRON["PF_SMTPUTF8"] != "yes")
		warn(0, "", "this Postfix is built without SMTPUTF8: addresses with letters beyond ASCII are refused", chosen())
	if (ENVIRON["PF_VERSION"] != "" && ENVIRON["PF_NORMALIZES"] != "yes")
		warn(0, "", "this Postfix (" ENVIRON["PF_VERSION"] ") takes a lone dot between bare line feeds for the end of a " \
			"mail (CVE-2023-51764); what could hide a second mail behind one is refused, and so are machines that send " \
			"everything at once", "use Postfix 3.8.5 or later, or the Python engine")
}
