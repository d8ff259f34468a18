# Renders /etc/config/mailrelay, read as `uci export` from standard input, into main.cf, master.cf and their tables in
# the folder OUT. It trusts no value: whatever stands in the config, none can end a line or start an expansion.
# Environment: OUT, OPTIONS, HOSTNAME, ADDRESSES, SUBNETS, PORTS, LIB, QUEUE and DATA (folders), FREE and QUEUED (bytes),
# REFUSE (a reply line with which all mail is put off), and postfix-facts.sh's PF_*. The caller's umask keeps the files
# private. Who gets what and through whom is in postfix-mail.awk.

BEGIN {
	OUT = ENVIRON["OUT"]
	MAIN = OUT "/main.cf"
	MASTER = OUT "/master.cf"
	read_options(ENVIRON["OPTIONS"])
	read_export()
	main = find_main()
	find_routes()
	myhostname = has(main, "hostname") ? get(main, "hostname") : ENVIRON["HOSTNAME"]
	gsub(/[^A-Za-z0-9.-]/, "", myhostname)
	refuse = ENVIRON["REFUSE"]
	if (!hosts && refuse == "")
		refuse = "451 4.3.0 This relay has no provider set yet; try again later"
	print "# Made by mailrelay from its config at each start: changes here are lost." > MAIN
	print "# Made by mailrelay from its config at each start: changes here are lost." > MASTER
	places()
	who_we_are()
	networks()
	sessions()
	refusals()
	smuggling()
	sizes()
	times()
	recipients()
	senders()
	providers()
	services()
}

# ---- writing ---------------------------------------------------------------------------------------------------------

# A parameter. Only `value` of a parameter that is built here, of checked words, may hold an expansion (see raw()).
function put(parameter, value) {
	raw(parameter, literal(value))
}

function raw(parameter, value) {
	gsub(/[\001-\037\177]+/, " ", value)
	print parameter " = " value > MAIN
}

# Text in main.cf or on the right side of a regexp table: a dollar sign would expand.
function literal(value) {
	gsub(/[\001-\037\177]+/, " ", value)
	gsub(/\$/, "$$", value)
	return value
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

function map(kind_, table) {
	return kind_ ":" OUT "/" table
}

function knows(parameter) {
	return index(" " ENVIRON["PF_KNOWN"] " ", " " parameter " ")
}

# A value as it is, on one line.
function secret(text) {
	gsub(/[\001-\037\177]+/, " ", text)
	return text
}

# A main.cf parameter that not every version knows.
function put_known(parameter, value) {
	if (knows(parameter))
		put(parameter, value)
}

# ---- main.cf ---------------------------------------------------------------------------------------------------------

function places() {
	put("compatibility_level", ENVIRON["PF_LEVEL"])
	put("queue_directory", ENVIRON["QUEUE"])
	put("data_directory", ENVIRON["DATA"])
	put("daemon_directory", ENVIRON["PF_DAEMONS"])
	put("command_directory", ENVIRON["PF_COMMANDS"])
	put("shlib_directory", ENVIRON["PF_SHLIB"])
	put("meta_directory", ENVIRON["PF_META"])
	put("mail_owner", ENVIRON["PF_OWNER"])
	put("setgid_group", ENVIRON["PF_GROUP"])
	put("syslog_name", "mailrelay")
	put("syslog_facility", "mail")
	put("enable_long_queue_ids", "yes")
}

function who_we_are() {
	put("myhostname", myhostname)
	raw("myorigin", "$myhostname")
	raw("mydestination", "$myhostname, localhost")
	raw("smtpd_banner", "$myhostname ESMTP mailrelay")
	raw("smtp_helo_name", "$myhostname")
	put("mail_name", "mailrelay")
	put("biff", "no")
	put("alias_maps", "")
	put("alias_database", "")
	put("append_dot_mydomain", "no")
	put("allow_percent_hack", "no")
	put("swap_bangpath", "no")
	put("recipient_delimiter", "")
	put("relay_domains", "")
	put("smtputf8_enable", ENVIRON["PF_SMTPUTF8"] == "yes" ? "yes" : "no")
	put("local_transport", "error:5.1.1 No alias says where mail for this local name goes")
}

# inet_interfaces are the addresses that the ports of master.cf are opened on; there is no other listener.
function networks(    n, i, parts, list, seen) {
	n = split(ENVIRON["ADDRESSES"], parts, " ")
	for (i = 1; i <= n; i++)
		if (ip(parts[i]) != "" && !(ip(parts[i]) in seen)) {
			seen[ip(parts[i])] = 1
			LISTEN[++listeners] = bracketed(parts[i])
			list = list (list == "" ? "" : ", ") LISTEN[listeners]
			six = six || parts[i] ~ /:/
		}
	put("inet_interfaces", list == "" ? "loopback-only" : list)
	put("inet_protocols", six ? "all" : "ipv4")
	list = ""
	for (i = 1; i <= sections; i++)  # what must log in cannot do so here
		if (type[i] == "client" && get(i, "username") != "" && network(get(i, "address")) != "")
			list = list ", !" substr(network(get(i, "address")), 3)
	n = split(ENVIRON["SUBNETS"], parts, " ")
	for (i = 1; i <= n; i++)
		list = list once(network(parts[i]))
	n = get_list(main, "allow")
	for (i = 1; i <= n; i++)
		list = list once(network(LIST[i]))
	put("mynetworks", substr(list, 3))
	put("smtpd_peername_lookup", "no")
	put("smtp_bind_address", "0.0.0.0")
	if (six)
		put("smtp_bind_address6", "::")
}

function bracketed(address) {
	address = spelled(ip(address))
	return address ~ /:/ ? "[" address "]" : address
}

function once(text) {
	if (text in seen_once)
		return ""
	seen_once[text] = 1
	return text
}

function network(text) {
	if (net(text) != "")
		return ""
	text = spelled(NET_HEX)
	return ", " (text ~ /:/ ? "[" text "]" : text) "/" NET_LENGTH
}

function sessions(    least) {
	put("smtpd_delay_reject", "no")
	put("smtpd_client_restrictions", "permit_mynetworks, reject")
	put("smtpd_helo_required", "no")
	put("smtpd_relay_restrictions", "permit_mynetworks, reject")
	put("disable_vrfy_command", "yes")
	put("smtpd_discard_ehlo_keywords", "chunking, etrn, dsn, silent-discard")
	put("smtpd_tls_security_level", "none")
	put("strict_rfc821_envelopes", "no")
	put("parent_domain_matches_subdomains", "")
	# UPSes and drives say HELO with nothing after it.
	row("commands", "/^(HELO|EHLO)[[:space:]]*$/ $1 unknown")
	put("smtpd_command_filter", map("regexp", "commands"))
	put("smtpd_client_event_limit_exceptions", "")
	put("smtpd_client_connection_count_limit", get(main, "max_connections_per_client") + 0)
	put("smtpd_recipient_limit", get(main, "max_recipients") + 0)
	put("line_length_limit", bytes(get(main, "max_command_length")))
	put("header_size_limit", bytes(get(main, "max_header_length")))
	put("smtpd_junk_command_limit", get(main, "max_useless_commands") + 0)
	put("smtpd_hard_error_limit", get(main, "max_useless_commands") + 0)
	put("smtpd_soft_error_limit", get(main, "max_useless_commands") + 0)
	put("smtpd_timeout", seconds(get(main, "command_timeout")) "s")
	least = bytes(get(main, "min_data_rate"))
	put_known("smtpd_min_data_rate", least > 0 ? least : 1)
	if (knows("smtpd_per_request_deadline"))
		put("smtpd_per_request_deadline", least > 0 ? "yes" : "no")
	else
		put("smtpd_per_record_deadline", "yes")
	put("always_add_missing_headers", "yes")
	put("undisclosed_recipients_header", "To: undisclosed-recipients:;")
	put("local_header_rewrite_clients", "permit_mynetworks")
	put("hopcount_limit", 100)
}

# While mail cannot be taken, MAIL is answered with why.
function refusals() {
	if (refuse == "")
		return
	row("refusal", "/^/ " literal(refuse))
	put("smtpd_sender_restrictions", "check_sender_access " map("regexp", "refusal"))
}

# CVE-2023-51764. Where Postfix can be told what ends a mail, naive scripts with bare line feeds go on being served.
function smuggling() {
	if (knows("smtpd_forbid_bare_newline")) {
		put("smtpd_forbid_bare_newline", knows("smtpd_forbid_bare_newline_reject_code") ? "normalize" : "yes")
		put("smtpd_forbid_bare_newline_exclusions", "")
		return
	}
	put_known("smtpd_forbid_unauth_pipelining", "yes")
	put("smtpd_data_restrictions", "reject_unauth_pipelining")
}

# Postfix takes mail only while one and a half times the largest mail would fit; it knows no limit for its queue, so
# that one is turned into space that must stay free.
function sizes(    room, queue, largest, least) {
	largest = bytes(get(main, "max_message_size"))
	least = bytes(get(main, "min_free_space"))
	if (ENVIRON["FREE"] != "") {
		room = ENVIRON["FREE"] + ENVIRON["QUEUED"]
		queue = bytes(get(main, "max_queue_size"))
		queue = queue > 0 ? queue : int(room / 4)
		if (room - queue > least)
			least = room - queue
		if (largest > queue)
			largest = queue
		if (largest > room / 2)
			largest = int(room / 2)
		if (largest < 16384)
			largest = 16384
	}
	if (least < largest * 1.5)
		least = int(largest * 1.5) + 1
	put("message_size_limit", sprintf("%.0f", largest < 2147483647 ? largest : 2147483647))
	put("queue_minfree", sprintf("%.0f", least < 2147483647 ? least : 2147483647))
	put("mailbox_size_limit", 0)
	put("bounce_size_limit", 50000)
}

function times(    least, most, life) {
	least = seconds(get(main, "retry_min"))
	most = seconds(get(main, "retry_max"))
	life = seconds(get(main, "queue_lifetime"))
	life = (life < 8640000 ? life : 8640000) "s"
	put("queue_run_delay", least "s")
	put("minimal_backoff_time", least "s")
	put("maximal_backoff_time", (most > least ? most : least) "s")
	put("maximal_queue_lifetime", life)
	put("bounce_queue_lifetime", life)
	put("transport_retry_time", least "s")
	put("delay_warning_time", "0h")
	put("notify_classes", "")
}

# ---- master.cf -------------------------------------------------------------------------------------------------------

function services(    n, i, k, ports, most, r, p) {
	most = has(main, "max_connections") ? get(main, "max_connections") + 0 : 64
	most = most > 500 ? 500 : most
	n = split(ENVIRON["PORTS"], ports, " ")
	if (!n) {
		n = get_list(main, "port")
		for (i = 1; i <= n; i++)
			ports[i] = LIST[i]
	}
	for (i = 1; i <= listeners; i++)
		for (k = 1; k <= n; k++)
			if (ports[k] ~ /^[0-9]+$/ && ports[k] > 0 && ports[k] < 65536)
				service(LISTEN[i] ":" (ports[k] + 0) " inet n - n - " most " smtpd")
	service("pickup unix n - n 15 1 pickup")
	service("cleanup unix n - n - 0 cleanup")
	service("qmgr unix n - n 300 1 qmgr")
	service("tlsmgr unix - - n 1000? 1 tlsmgr")
	service("rewrite unix - - n - - trivial-rewrite")
	# No bounce goes to a machine: to the postmaster, or nowhere.
	service("bounce unix - - n - 0 bounce\n\t-o cleanup_service_name=notices")
	service("defer unix - - n - 0 bounce\n\t-o cleanup_service_name=notices")
	service("trace unix - - n - 0 bounce\n\t-o cleanup_service_name=notices")
	row("notices", "/^/ " (get(main, "postmaster") == "" ? "nobody@discard.invalid" : literal(get(main, "postmaster"))))
	service("notices unix n - n - 0 cleanup\n\t-o virtual_alias_maps=" map("regexp", "notices"))
	service("verify unix - - n - 1 verify")
	service("flush unix n - n 1000? 0 flush")
	service("proxymap unix - - n - - proxymap")
	service("proxywrite unix - - n - 1 proxymap")
	service("showq unix n - n - - showq")
	service("error unix - - n - - error")
	service("retry unix - - n - - error")
	service("discard unix - - n - - discard")
	service("anvil unix - - n - 1 anvil")
	service("scache unix - - n - 1 scache")
	if (ENVIRON["PF_POSTLOG"] == "yes")
		service("postlog unix-dgram n - n - 1 postlogd")
	service("smtp unix - - n - - smtp")
	for (r = 1; r <= routes; r++) {
		p = "$out" r "_"
		service("out" r " unix - - n - - smtp" \
			"\n\t-o inet_interfaces=loopback-only\n\t-o inet_protocols=" p "protocols" \
			"\n\t-o relayhost=" p "relayhost\n\t-o smtp_fallback_relay=" p "fallback" \
			"\n\t-o smtp_tls_security_level=" p "level\n\t-o smtp_tls_wrappermode=" p "wrapper" \
			"\n\t-o smtp_tls_policy_maps=" map("texthash", "policy" r) \
			"\n\t-o smtp_tls_CAfile=" p "ca\n\t-o smtp_tls_servername=" p "servername" \
			"\n\t-o smtp_sasl_auth_enable=yes\n\t-o smtp_sasl_mechanism_filter=" p "mechanisms" \
			"\n\t-o smtp_sasl_password_maps=" map("texthash", "passwords" r) \
			"\n\t-o smtp_connect_timeout=" p "timeout\n\t-o smtp_helo_timeout=" p "timeout" \
			"\n\t-o smtp_starttls_timeout=" p "timeout\n\t-o smtp_mail_timeout=" p "timeout" \
			"\n\t-o smtp_rcpt_timeout=" p "timeout\n\t-o smtp_data_init_timeout=" p "timeout" \
			"\n\t-o smtp_data_xfer_timeout=" p "timeout\n\t-o smtp_data_done_timeout=" p "timeout")
	}
}

function service(text) {
	print text > MASTER
}
