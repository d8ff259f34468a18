# `mailrelay check` of the Postfix engine: the faults that the Python engine's check finds as well, in its words where
# they can be the same, and what this engine cannot carry out. Reads `uci export` from standard input.
# Environment: RAW (the file), FILE (as messages call it), OPTIONS, HOSTNAME, and postfix-facts.sh's PF_*. Status 1: a fault.

BEGIN {
	read_options(ENVIRON["OPTIONS"])
	read_raw(ENVIRON["RAW"])
	read_export()
	for (s = 1; s <= sections; s++)
		check_section(s)
	main = find_main()
	check_main()
	for (s = 1; s <= sections; s++) {
		if (type[s] == "smarthost")
			check_smarthost(s)
		if (type[s] == "client")
			check_client(s)
	}
	find_routes()
	limits()
	report()
	exit faults > 0
}

# ---- where things stand in the file, for messages only ---------------------------------------------------------------

function read_raw(path,    line, number, words, where, counted, seen) {
	while ((getline line < path) > 0) {
		number++
		split(line, words, /[ \t]+/)
		if (words[1] == "")
			sub(/^[ \t]+/, "", line)
		split(line, words, /[ \t]+/)
		gsub(/['"]/, "", words[2])
		gsub(/['"]/, "", words[3])
		if (words[1] ~ /^c(onfig)?$/) {
			where = words[3]
			if (where == "" || !((words[2], where) in seen))
				counted[words[2]]++
			if (where == "")
				where = words[2] "[" (counted[words[2]] - 1) "]"
			seen[words[2], where] = 1
			if (!(where in section_line))
				section_line[where] = number
		} else if (words[1] ~ /^(o(ption)?|l(ist)?)$/)
			option_line[where, words[2], ++written_count[where, words[2]]] = number
	}
	close(path)
}

function line_of(s, option, index_) {
	if ((title[s], option, index_) in option_line)
		return option_line[title[s], option, index_]
	if ((title[s], option, 1) in option_line)
		return option_line[title[s], option, 1]
	return section_line[title[s]] + 0
}

# ---- findings --------------------------------------------------------------------------------------------------------

function fault(s, option, problem, mend, index_) {
	faults++
	finding("", s, option, problem, mend, index_)
}

function warn(s, option, problem, mend, index_) {
	finding("warning: ", s, option, problem, mend, index_)
}

function finding(label, s, option, problem, mend, index_,    line, places, text) {
	line = s ? line_of(s, option, index_ ? index_ : 1) : 0
	if (s)
		places = "section '" title[s] "'" (option == "" ? "" : ", option '" option "'")
	text = places (s ? (problem ~ /^('|its value|this URL|the )/ ? ": " : " ") : "") problem
	text = ENVIRON["FILE"] (line ? ":" line : "") ": " label text "; " mend
	gsub(/[\001-\037\177]/, "?", text)
	finding_line[++found] = line
	finding_text[found] = text
}

function report(    i, j, line, text) {
	for (i = 2; i <= found; i++) {
		line = finding_line[i]
		text = finding_text[i]
		for (j = i - 1; j > 0 && finding_line[j] > line; j--) {
			finding_line[j + 1] = finding_line[j]
			finding_text[j + 1] = finding_text[j]
		}
		finding_line[j + 1] = line
		finding_text[j + 1] = text
	}
	for (i = 1; i <= found; i++)
		print finding_text[i]
}

# ---- one section by itself -------------------------------------------------------------------------------------------

function check_section(s,    i, k, n, option, key) {
	if (!(type[s] in types)) {
		fault(s, "", "is of an unknown type " shown(type[s]), "the types are 'mailrelay', 'smarthost', 'client'")
		return
	}
	if (type[s] == "mailrelay" && name[s] != "main") {
		fault(s, "", "is not the one section that counts", "write config mailrelay 'main', once")
		return
	}
	for (i = 1; i <= written[s]; i++) {
		option = written[s, i]
		key = type[s] SUBSEP option
		if (!(key in known)) {
			fault(s, option, "is not known here", unknown_mend(s, option))
			continue
		}
		if (is_list[s, option] && !many[key]) {
			fault(s, option, "is a `list` here", "write one line: option " option " '...'")
			broken[s, option] = 1
			continue
		}
		if (many[key]) {
			n = get_list(s, option)
			for (k = 1; k <= n; k++)
				all[k] = LIST[k]
			for (k = 1; k <= n; k++)
				check_value(s, option, key, all[k], k)
		} else if (item[s, option, 1] != "")
			check_value(s, option, key, item[s, option, 1], 1)
	}
}

function check_value(s, option, key, value, index_,    subject) {
	if (!bad(key, value))
		return
	broken[s, option] = 1
	subject = kind[key] == "secret" ? "its value" : SUBJECT != "" ? SUBJECT : shown(value)
	fault(s, option, subject " " BAD, MEND, index_)
}

function unknown_mend(s, option,    t, plain, parts, n, i) {
	for (t in types)
		if ((t, option) in known)
			return "it belongs into a section of type '" t "'"
	plain = tolower(option)
	gsub(/[-_]/, "", plain)
	n = split(names[type[s]], parts, ", ")
	for (i = 1; i <= n; i++) {
		t = parts[i]
		gsub(/_/, "", t)
		if (t == plain)
			return "did you mean '" parts[i] "'?"
	}
	return "the options here are " names[type[s]]
}

function sound(s, option) {
	return !((s, option) in broken)
}

# ---- sections together -----------------------------------------------------------------------------------------------

function check_main(    least, most) {
	least = seconds(get(main, "retry_min"))
	most = seconds(get(main, "retry_max"))
	if (least >= 0 && most >= 0 && least > most)
		fault(main, "retry_max", "'" shown_number("duration", most) "' is shorter than retry_min", \
			"write at least '" shown_number("duration", least) "', or a shorter retry_min")
	if (!has(main, "network") && !has(main, "allow"))
		warn(main, "network", "is not set, so that only this machine itself can send", \
			"name the network: list network 'lan'")
	own_name = tolower(has(main, "hostname") ? get(main, "hostname") : ENVIRON["HOSTNAME"])
	check_aliases()
}

function check_aliases(    n, i, k, m, targets, target_count, lines, reach, grown, entry, alias) {
	if (!sound(main, "alias"))
		return
	n = get_list(main, "alias")
	for (i = 1; i <= n; i++)
		lines[i] = LIST[i]
	for (i = 1; i <= n; i++) {
		m = split_alias(lines[i])
		alias = tolower(ALIAS_NAME)
		if (alias in target_count)
			fault(main, "alias", "'" ALIAS_NAME "' is set twice", \
				"write one line: list alias '" ALIAS_NAME "=FIRST,SECOND'", i)
		target_count[alias] = m
		for (k = 1; k <= m; k++)
			targets[alias, k] = ALIAS_TARGET[k]
	}
	for (i = 1; i <= n; i++) {
		m = split_alias(lines[i])
		alias = tolower(ALIAS_NAME)
		for (k = 1; k <= m; k++)
			if (ALIAS_TARGET[k] !~ /@/ && !(tolower(ALIAS_TARGET[k]) in target_count))
				fault(main, "alias", "'" ALIAS_TARGET[k] "' is neither an address nor another alias", \
					"write an address: list alias '" ALIAS_NAME "=" ALIAS_TARGET[k] "@example.org'", i)
		split("", reach)
		reach[alias] = 1
		for (grown = 1; grown && !(SUBSEP in reach);) {
			grown = 0
			for (entry in reach)
				for (k = 1; k <= target_count[entry]; k++) {
					if (tolower(targets[entry, k]) == alias)
						reach[SUBSEP] = 1
					if (!(tolower(targets[entry, k]) in reach)) {
						reach[tolower(targets[entry, k])] = 1
						grown = 1
					}
				}
		}
		if (SUBSEP in reach)
			fault(main, "alias", "'" ALIAS_NAME "' comes back to itself", "write where its mail goes in the end", i)
	}
}

function check_smarthost(s,    host, tls, port, address, mend, n, i) {
	host = bare_host(get(s, "host"))
	tls = get(s, "tls")
	port = get(s, "port")
	if (port == "")
		port = default_port(tls)
	if (is_on(get(s, "enabled")))
		used++
	if (host == "") {
		if (is_on(get(s, "enabled")))
			fault(s, "host", "is missing", "write the name of the provider's server, option host 'smtp.example.org'")
		return
	}
	check_login(s)
	if (get(s, "auth") !~ /^(auto|none)$/ && get(s, "username") == "" && get(s, "password") == "" && sound(s, "auth"))
		fault(s, "auth", "'" get(s, "auth") "' needs a login", "write option username and option password")
	if (!sound(s, "host"))
		return
	address = ip(host)
	if (address != "" && get(s, "family") ~ /^ipv[46]$/ && (length(address) == 32) != (get(s, "family") == "ipv6"))
		fault(s, "family", "'" get(s, "family") "' does not fit the address in option host", "leave the option out")
	mend = "write the name of the provider's server; for another mail server on this machine its address and port"
	if (tolower(host) == own_name)
		fault(s, "host", "'" host "' is this relay's own host name", mend)
	else if (is_localhost(host) || within(host, "127.0.0.0/8") || within(host, "::1") || is_own(host)) {
		n = get_list(main, "port")
		for (i = 1; i <= n; i++)
			if (LIST[i] == port)
				fault(s, "host", "'" host "' with port " port " is this relay itself", mend)
	}
	if (tls != "none") {
		if (!is_on(get(s, "verify")) && get(s, "fingerprint") == "")
			warn(s, "verify", "is off: whoever sits in between can read the password and the mail", \
				"leave the option out; for a server of your own set ca_file or fingerprint")
		else if (address != "" && get(s, "fingerprint") == "")
			warn(s, "host", "is an address, which few certificates name", "write the server's name, or set fingerprint")
	} else if (is_on(get(s, "allow_cleartext")))
		warn(s, "tls", "is 'none': mail and password cross the network unencrypted", "write 'starttls' if it is offered")
	else if (address != "" ? !is_private(host) : \
		host ~ /\./ && tolower(host) !~ /\.(lan|local|localhost|internal|home\.arpa|localdomain|home)$/) {
		mend = "write 'starttls' or 'tls', or option allow_cleartext '1' if anyone may read the mail"
		fault(s, "tls", address != "" ? "'none' is refused, as '" host "' is not in a private network" : \
			"'none' is refused, as Postfix cannot make sure that '" host "' is in a private network", mend)
	}
}

# One of this machine's addresses, as far as the init script has found them out.
function is_own(host,    n, i, parts) {
	n = split(ENVIRON["ADDRESSES"], parts, " ")
	for (i = 1; i <= n; i++)
		if (ip(parts[i]) != "" && ip(parts[i]) == ip(host))
			return 1
	return 0
}

function check_login(s) {
	if (!sound(s, "username") || !sound(s, "password"))
		return
	if (get(s, "username") != "" && get(s, "password") == "")
		fault(s, "password", "is missing, but there is a username", "write option password '...'")
	else if (get(s, "password") != "" && get(s, "username") == "")
		fault(s, "username", "is missing, but there is a password", "write option username, often the mail address")
	if (type[s] == "smarthost" && get(s, "username") ~ /:/)
		fault(s, "username", "has a colon in it, which Postfix takes for its end", "use the Python engine for this account")
	if (type[s] == "smarthost" && get(s, "password") ~ /[ \t]$/)
		fault(s, "password", "ends with a space, which Postfix cuts off", "remove the space, or change the password")
	if (type[s] == "smarthost" && get(s, "username") ~ /^[ \t]/)
		fault(s, "username", "begins with a space, which Postfix cuts off", "remove the space")
}

function check_client(s,    place) {
	check_login(s)
	if (is_on(get(s, "accept_any_login")) && get(s, "username") != "")
		fault(s, "accept_any_login", "leaves the username without a meaning", "set one of the two")
	if (get(s, "address") == "") {
		fault(s, "address", "is missing", "write the machine's address, option address '192.168.1.10'")
		return
	}
	if (net(get(s, "address")) != "")
		return
	place = NET_HEX "/" NET_LENGTH
	if (is_on(get(s, "redirect")) && NET_LENGTH < length(NET_HEX) * 4)
		fault(s, "redirect", "is for one machine, and '" get(s, "address") "' is a network", \
			"write the one machine's address, as all others in the network would be redirected too")
	if (place in client_at)
		fault(s, "address", "'" get(s, "address") "' is in section '" client_at[place] "' already", \
			"put them into one section")
	client_at[place] = title[s]
}

# ---- what this engine does not do, or not wholly ---------------------------------------------------------------------

function unable(s, option, what, mend) {
	if (has(s, option) && sound(s, option))
		warn(s, option, what, mend)
}

function limits(    s, chosen) {
	chosen = "install the package mailrelay, the Python engine, if you need it"
	unable(main, "notify", "is not carried out by Postfix: no program is run", chosen)
	unable(main, "notify_after", "is not carried out by Postfix: nobody is told of mail that is stuck", chosen)
	unable(main, "failed_lifetime", "is not carried out by Postfix: what has failed for good is not kept, " \
		"it is reported to the postmaster if one is set", chosen)
	unable(main, "max_line_length", "is not carried out by Postfix: lines of any length are taken, and folded at 998", chosen)
	unable(main, "max_header_length", "holds for each header field under Postfix, and what is longer is cut", chosen)
	unable(main, "max_queue_size", "is only carried out by Postfix as free space that must be left, " \
		"measured when it starts", chosen)
	unable(main, "max_connections", "holds for each address and port under Postfix, and at most 500 are used", chosen)
	if (get(main, "sender") != "")
		warn(main, "sender", "is carried out by Postfix with the original From in X-Original-From, never in Reply-To", chosen)
	if (seconds(get(main, "queue_lifetime")) > 8640000)
		unable(main, "queue_lifetime", "is longer than Postfix can do; it takes 100 days", "write at most '100d'")
	if (!knows("smtpd_min_data_rate")) {
		unable(main, "min_data_rate", "is not known to this version of Postfix", chosen)
		unable(main, "command_timeout", "holds for each line in this version of Postfix", chosen)
	}
	for (s = 1; s <= sections; s++) {
		if (type[s] == "client")
			client_limits(s, chosen)
		if (type[s] == "smarthost" && is_on(get(s, "enabled")))
			smarthost_limits(s, chosen)
	}
	if (!used)
		warn(main, "", "has no provider set, so that all mail is refused for now", "add a section config smarthost")
	if (ENVIRON["PF_VERSION"] == "")
		return
	if (ENVIRON["PF_SMTPUTF8"] != "yes")
		warn(0, "", "this Postfix is built without SMTPUTF8: addresses with letters beyond ASCII are refused", chosen)
	if (!knows("smtpd_forbid_bare_newline"))
		warn(0, "", "this Postfix (" ENVIRON["PF_VERSION"] ") takes a lone dot between bare line feeds for the end of a " \
			"mail (CVE-2023-51764); what could hide a second mail behind one is refused, and so are machines that send " \
			"everything at once", "use Postfix 3.8.4 or later, or the Python engine")
}

function client_limits(s, chosen) {
	if (get(s, "rate_limit") != "0")
		unable(s, "rate_limit", "is not carried out by Postfix, which can only limit all machines alike", chosen)
	if (is_on(get(s, "accept_any_login")))
		unable(s, "accept_any_login", "is not carried out by Postfix: no login is offered, and a machine that " \
			"insists on one sends nothing", chosen)
	if (get(s, "username") != "")
		unable(s, "username", "is not carried out by Postfix, which asks no machine for a login: all mail from " \
			"this address is refused", chosen)
}

function smarthost_limits(s, chosen,    rate, r, i, alone) {
	rate = get(s, "rate")
	if (rate ~ /day/)
		unable(s, "rate", "is not carried out by Postfix for a day", chosen)
	if (rate ~ /minute/) {
		sub(/\/minute.*/, "", rate)
		sub(/.* /, "", rate)
		if (rate > 60)
			unable(s, "rate", "is carried out by Postfix as one mail a second", chosen)
	}
	if (get(s, "auth") == "login" && ENVIRON["PF_SASL_LOGIN"] == "no")
		unable(s, "auth", "'login' is not in this system's SASL library, so that no mail will go out", \
			"write 'auto' or 'plain'")
	if (get(main, "sender") != "")
		unable(s, "sender", "is compared by Postfix with the address in option sender of section 'main'", chosen)
	for (r = 1; r <= routes; r++)
		for (i = 2; i <= route_hosts[r]; i++)
			if (route_host[r, i] == s && !can_take_over(route_host[r, 1], s))
				alone = 1
	if (alone)
		warn(s, "priority", "is not carried out by Postfix here: this provider differs in tls (starttls or tls), " \
			"ca_file, auth, family or timeout from the first one and cannot take over from it", chosen)
}

function knows(parameter) {
	return index(" " ENVIRON["PF_KNOWN"] " ", " " parameter " ")
}
