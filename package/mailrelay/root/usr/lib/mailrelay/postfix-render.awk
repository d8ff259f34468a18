# Writes what the settings ask for into main.cf and master.cf in the folder OUT, where copies of postfix-main.cf and
# postfix-master.cf lie already, and into the tables that these name. It trusts no value: whatever stands in the settings,
# none can end a line or start an expansion. Who gets what, and through whom, is in postfix-mail.awk.
# Environment: OUT, HOSTNAME, ADDRESSES, SUBNETS, PORTS, QUEUE (a folder), FREE and QUEUED (bytes), REFUSE (a reply with
# which all mail is put off), and postfix_facts' PF_*. The caller's umask keeps the files private.

END {
	OUT = ENVIRON["OUT"]
	n = split("aliases allowed commands from local notices original refusal routes sender", tables, " ")
	for (i = 1; i <= n; i++)
		row(tables[i], "# Made by mailrelay from its settings at each start.")
	main = find_main()
	find_routes()
	identity()
	networks()
	sessions()
	sizes()
	times()
	recipients()
	senders()
	providers()
}

# ---- writing ---------------------------------------------------------------------------------------------------------

# A parameter. Only `value` of a parameter that is built here, of checked words, may hold an expansion (see raw()).
function put(parameter, value) {
	raw(parameter, literal(value))
}

function raw(parameter, value) {
	print parameter " = " one_line(value) >> (OUT "/main.cf")
}

# Text in main.cf or on the right side of a regexp table: a dollar sign would expand.
function literal(value) {
	value = one_line(value)
	gsub(/\$/, "$$", value)
	return value
}

function one_line(text) {
	gsub(/[\001-\037\177]+/, " ", text)
	return text
}

# Text within a regexp: each character stands for itself.
function pattern(text,    i, c, out) {
	for (i = 1; i <= length(text); i++) {
		c = substr(text, i, 1)
		out = out (c ~ /[A-Za-z0-9\200-\377@_-]/ ? c : c == "^" || c == "\\" || c == "/" ? "\\" c : \
			c ~ /[\001-\037\177]/ ? "." : "[" c "]")
	}
	return out
}

function row(table, text) {
	print text > (OUT "/" table)
}

function service(text) {
	print text >> (OUT "/master.cf")
}

# ---- main.cf ---------------------------------------------------------------------------------------------------------

function identity(    refuse) {
	myhostname = own_name()
	put("myhostname", myhostname)
	put("smtp_helo_name", myhostname ~ /\./ ? myhostname : own_literal())
	put("queue_directory", ENVIRON["QUEUE"])
	put("smtputf8_enable", ENVIRON["PF_SMTPUTF8"])
	refuse = ENVIRON["REFUSE"]
	if (!hosts && refuse == "")
		refuse = "451 4.3.0 This relay has no provider set yet; try again later"
	if (refuse != "")
		row("refusal", "/^/ " literal(refuse))
}

# The first address that others can see, as it stands in EHLO where the name has no dot (RFC 5321 4.1.3).
function own_literal(    n, i, parts) {
	n = split(ENVIRON["ADDRESSES"], parts, " ")
	for (i = 1; i < n; i++)
		if (ip(parts[i]) !~ /^(|7f......|00000000000000000000000000000001)$/)
			break
	return "[" (parts[i] ~ /:/ ? "IPv6:" : "") (ip(parts[i]) == "" ? "127.0.0.1" : parts[i]) "]"
}

# The addresses that the ports of master.cf are opened on; there is no other listener. As proxy_interfaces they are known
# to be this machine's all the same, and come and go by a reload, which a change of inet_interfaces does not.
function networks(    n, i, k, parts, ports, port_count, list, address, most) {
	most = has(main, "max_connections") ? get(main, "max_connections") + 0 : 64
	port_count = split(ENVIRON["PORTS"], ports, " ")
	n = split(ENVIRON["ADDRESSES"], parts, " ")
	for (i = 1; i <= n; i++) {
		if (ip(parts[i]) == "" || once(ip(parts[i])) == "")
			continue
		address = parts[i] ~ /:/ ? "[" parts[i] "]" : parts[i]
		list = list ", " address
		for (k = 1; k <= port_count; k++)
			if (ports[k] ~ /^[0-9]+$/)
				service(address ":" ports[k] " inet n - n - " (most < 500 ? most : 500) " smtpd")
	}
	put("inet_interfaces", "loopback-only")
	put("proxy_interfaces", substr(list, 3))
	list = ""
	for (i = 1; i <= sections; i++) # what must log in cannot do so here
		if (type[i] == "client" && get(i, "username") != "" && network(get(i, "address")) != "")
			list = list ", !" network(get(i, "address"))
	n = split(ENVIRON["SUBNETS"], parts, " ")
	for (i = 1; i <= n; i++)
		list = list once(network(parts[i]))
	n = get_list(main, "allow")
	for (i = 1; i <= n; i++)
		list = list once(network(LIST[i]))
	put("mynetworks", substr(list, 3))
}

# ", text", or "" if that was said before.
function once(text) {
	if (text == "" || (text in said))
		return ""
	said[text] = 1
	return ", " text
}

function sessions(    least) {
	put("smtpd_client_connection_count_limit", get(main, "max_connections_per_client") + 0)
	put("smtpd_recipient_limit", get(main, "max_recipients") + 0)
	put("default_destination_recipient_limit", get(main, "max_recipients") + 0)
	put("line_length_limit", bytes(get(main, "max_command_length")))
	put("header_size_limit", bytes(get(main, "max_header_length")))
	put("smtpd_junk_command_limit", get(main, "max_useless_commands") + 0)
	put("smtpd_timeout", seconds(get(main, "command_timeout")) "s")
	least = bytes(get(main, "min_data_rate"))
	put("smtpd_min_data_rate", least > 0 ? least : 1)
	put("smtpd_per_request_deadline", least > 0 ? "yes" : "no")
	row("commands", "/^(HELO|EHLO)[[:space:]]*$/ $1 unknown")
	# CVE-2023-51764. Where Postfix can be told what ends a mail, naive scripts with bare line feeds go on being served.
	put("smtpd_forbid_bare_newline", ENVIRON["PF_NORMALIZES"] == "yes" ? "normalize" : "yes")
	put("smtpd_forbid_bare_newline_exclusions", "")
	if (ENVIRON["PF_NORMALIZES"] != "yes") {
		put("smtpd_forbid_unauth_pipelining", "yes")
		put("smtpd_data_restrictions", "reject_unauth_pipelining")
	}
}

# Postfix takes mail only while one and a half times the largest mail would fit; it knows no limit for its queue, so
# that one is turned into space that must stay free.
function sizes(    room, queue, largest, least) {
	largest = bytes(get(main, "max_message_size"))
	least = bytes(get(main, "min_free_space"))
	room = ENVIRON["FREE"] + ENVIRON["QUEUED"]
	queue = bytes(get(main, "max_queue_size"))
	queue = queue > 0 ? queue : int(room / 4)
	largest = smaller(largest, smaller(queue, int(room / 2)))
	largest = largest < 16384 ? 16384 : largest
	least = room - queue > least ? room - queue : least
	least = least < largest * 1.5 ? int(largest * 1.5) + 1 : least
	put("message_size_limit", sprintf("%.0f", smaller(largest, 2147483647)))
	put("queue_minfree", sprintf("%.0f", smaller(least, 2147483647)))
}

function smaller(a, b) {
	return a < b ? a : b
}

function times(    least, most, life) {
	least = seconds(get(main, "retry_min"))
	most = seconds(get(main, "retry_max"))
	life = smaller(seconds(get(main, "queue_lifetime")), 8640000) "s"
	put("queue_run_delay", least "s")
	put("minimal_backoff_time", least "s")
	put("transport_retry_time", least "s")
	put("maximal_backoff_time", (most > least ? most : least) "s")
	put("maximal_queue_lifetime", life)
	put("bounce_queue_lifetime", life)
}
