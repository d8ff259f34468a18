# The part of postfix-render.awk that says who gets a mail, as coming from whom, and through which provider.

# ---- recipients ------------------------------------------------------------------------------------------------------

function recipients(    n, i, k, m, lines, list, own, owner) {
	own = pattern(myhostname) (ENVIRON["HOSTNAME"] == "" ? "" : "|" pattern(ENVIRON["HOSTNAME"])) "|" \
		expression["private_domain"]
	n = get_list(main, "recipient")
	for (i = 1; i <= n; i++)
		list = list (i > 1 ? ", " : "") literal(LIST[i])
	if (n) # also for these addresses themselves: Postfix takes each of them once
		alias("/^/", list)
	for (i = 1; i <= n; i++)
		named(LIST[i])
	m = get_list(main, "alias")
	for (i = 1; i <= m; i++)
		lines[i] = LIST[i]
	for (k = 1; k <= 3; k++) { # a full address goes before its domain, and that before a local name
		for (i = 1; i <= m; i++) {
			list = targets(lines[i])
			if ((ALIAS_NAME ~ /^@/ ? 2 : ALIAS_NAME ~ /@/ ? 1 : 3) == k)
				alias("/" (k == 2 ? "" : "^") pattern(ALIAS_NAME) (k == 3 ? "@(" own ")$/" : "$/"), list)
		}
		if (k == 2) { # what the settings name in a private domain is for a server there
			n = get_list(main, "allowed_recipient")
			for (i = 1; i <= n; i++)
				named((LIST[i] ~ /@/ ? "" : "@") LIST[i])
			for (i = 1; i <= m; i++)
				for (n = split_alias(lines[i]); n; n--)
					named(ALIAS_TARGET[n])
		}
	}
	owner = postmaster()
	if (owner != "") {
		alias("/@(" own ")$/", literal(owner))
		named(owner)
	}
	row("local", "/^(" own ")$/ OK")
	while (exempt--)
		row("local", "endif")
	row("notices", "/^/ " (owner == "" ? "nobody@discard.invalid" : literal(owner)))
	n = get_list(main, "allowed_recipient")
	for (i = 1; i <= n; i++)
		row("allowed", "/" (LIST[i] ~ /.@/ ? "^" : LIST[i] ~ /^@/ ? "" : "@") pattern(LIST[i]) "$/ OK")
	if (n)
		row("allowed", "/^/ 550 5.7.1 This relay does not send to that recipient")
}

# Leave an address, or all addresses of a "@domain", in a private network as they are, for a server there.
function named(entry,    domain) {
	domain = entry
	sub(/.*@/, "", domain)
	if (entry !~ /@/ || domain !~ ("^(" expression["private_domain"] ")$") || tolower(domain) == tolower(myhostname) || \
		tolower(domain) == "localhost")
		return
	exempt++
	row("local", "if !/^" pattern(domain) "$/")
	row("aliases", "/^(" (entry ~ /^@/ ? ".*" : "") pattern(entry) ")$/ $1")
}

# A row of the table of aliases. Where its mail goes is the owner's word, so that allowed_recipient is not asked.
function alias(start, list) {
	row("aliases", start " " list)
	row("allowed", start " OK")
}

function targets(line,    n, i, out) {
	n = split_alias(line)
	for (i = 1; i <= n; i++)
		out = out (i > 1 ? ", " : "") literal(ALIAS_TARGET[i] (ALIAS_TARGET[i] ~ /@/ ? "" : "@" myhostname))
	return out
}

# ---- senders ---------------------------------------------------------------------------------------------------------

function senders(    sender, address) {
	sender = rewritten_sender()
	if (sender == "")
		return
	address = literal(sender)
	row("sender", "/^[^@]+@/ " address)
	row("original", "/^From:[[:space:]]*(.*<)?" pattern(sender) ">?[[:space:]]*$/ DUNNO")
	row("original", "/^From:[[:space:]]*(.*[^[:space:]].*)$/ PREPEND X-Original-From: $1")
	row("original", "/^Sender:/ IGNORE")
	row("from", "/^From:([^<>,\"]*|[[:space:]]*\"[^\"]*\"[[:space:]]*)<[^<>]*>[[:space:]]*$/ REPLACE From:$1<" address ">")
	row("from", "/^From:/ REPLACE From: " address)
}

# ---- providers -------------------------------------------------------------------------------------------------------

function providers(    r, general) {
	for (r = 1; r <= routes; r++) {
		way_out(r)
		if (route_pattern[r] == "")
			general = "out" r ":" destination(route_host[r, 1])
	}
	put("default_transport", general != "" ? general : "retry:4.3.0 No provider is set for mail from this sender")
	for (r = 1; r <= routes; r++) # an address goes before its domain
		if (route_pattern[r] ~ /[^@]@/)
			by_sender(r, "/^")
	for (r = 1; r <= routes; r++)
		if (route_pattern[r] ~ /^@/)
			by_sender(r, "/")
}

function by_sender(r, start) {
	row("routes", start pattern(route_pattern[r]) "$/ out" r ":" destination(route_host[r, 1]))
}

# One smtp(8) for a route. Values go into main.cf, as parameters out<r>_..., since master.cf takes no spaces.
function way_out(r,    s, i, host, list, wait, rate, steps) {
	s = route_host[r, 1]
	row("passwords" r, "# Read by root alone.")
	for (i = 1; i <= route_hosts[r]; i++) {
		host = route_host[r, i]
		if (!can_take_over(s, host))
			continue
		if (i > 1)
			list = list (list == "" ? "" : ", ") destination(host)
		row("policy" r, destination(host) " " policy(host))
		if (get(host, "username") != "" && get(host, "auth") != "none")
			row("passwords" r, destination(host) " " one_line(get(host, "username") ":" get(host, "password")))
	}
	service("out" r " unix - - n - - smtp")
	service("\t-o proxy_interfaces=") # so that a server at an address of ours is no loop
	service("\t-o smtp_sasl_auth_enable=yes")
	service("\t-o smtp_sasl_password_maps=texthash:$config_directory/passwords" r)
	service("\t-o smtp_tls_policy_maps=texthash:$config_directory/policy" r)
	option(r, "relayhost", destination(s))
	option(r, "smtp_fallback_relay", list)
	option(r, "inet_protocols", get(s, "family") ~ /^ipv[46]$/ ? get(s, "family") : "all")
	option(r, "smtp_tls_security_level", level(s))
	option(r, "smtp_tls_wrappermode", get(s, "tls") == "tls" ? "yes" : "no")
	# A file that cannot be read turns all TLS off, and is needed where a certificate is followed to an authority alone.
	option(r, "smtp_tls_CAfile", !authorities(r) ? "" : get(s, "ca_file") != "" ? get(s, "ca_file") : \
		"/etc/ssl/certs/ca-certificates.crt")
	option(r, "smtp_tls_servername", ip(bare_host(get(s, "host"))) == "" && get(s, "tls") != "none" ? "hostname" : "")
	option(r, "smtp_sasl_mechanism_filter", get(s, "auth") ~ /^(plain|login|cram-md5)$/ ? get(s, "auth") : \
		"plain, login, cram-md5")
	wait = seconds(get(s, "timeout"))
	split("connect helo starttls mail rcpt data_init data_xfer data_done", steps, " ")
	for (i = 1; i <= 8; i++)
		option(r, "smtp_" steps[i] "_timeout", (wait > 0 ? wait : 60) "s")
	if (has(s, "connections"))
		put("out" r "_destination_concurrency_limit", get(s, "connections") + 0)
	if (get(s, "rate") ~ /[0-9]\/minute/) {
		rate = get(s, "rate")
		sub(/\/minute.*/, "", rate)
		sub(/.* /, "", rate)
		put("out" r "_destination_rate_delay", (rate > 0 && rate < 60 ? int((60 + rate - 1) / rate) : 1) "s")
	}
}

function option(r, parameter, value) {
	put("out" r "_" parameter, value)
	service("\t-o " parameter "=$out" r "_" parameter)
}

# True if one of the route's providers is proved by an authority.
function authorities(r,    i) {
	for (i = 1; i <= route_hosts[r]; i++)
		if (level(route_host[r, i]) == "secure")
			return 1
	return 0
}

function level(s) {
	return get(s, "tls") == "none" ? "none" : fingerprint(get(s, "fingerprint")) != "" ? "fingerprint" : \
		is_on(get(s, "verify")) ? "secure" : "encrypt"
}

# The same for smtp_tls_policy_maps, with what proves that the server is the right one.
function policy(s,    digits) {
	if (level(s) == "secure")
		return "secure match=nexthop"
	if (level(s) != "fingerprint")
		return level(s)
	digits = toupper(fingerprint(get(s, "fingerprint")))
	gsub(/../, "&:", digits)
	return "fingerprint match=" substr(digits, 1, 95)
}
