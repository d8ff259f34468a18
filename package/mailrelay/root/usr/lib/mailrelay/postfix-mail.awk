# The part of postfix-render.awk that says who gets a mail, as coming from whom, and through which provider.

# ---- recipients ------------------------------------------------------------------------------------------------------

function recipients(    n, i, k, m, lines, list, own, catch_all) {
	own = "@(" pattern(myhostname) "|localhost)$/"
	n = get_list(main, "recipient")
	for (i = 1; i <= n; i++)
		list = list (i > 1 ? ", " : "") literal(LIST[i])
	if (n)  # also for these addresses themselves: Postfix takes each of them once
		row("aliases", "/^/ " list)
	m = get_list(main, "alias")
	for (i = 1; i <= m; i++)
		lines[i] = LIST[i]
	for (k = 1; k <= 2; k++)  # a full address goes before a local name
		for (i = 1; i <= m; i++) {
			split_alias(lines[i])
			if ((ALIAS_NAME ~ /@/) == (k == 1))
				row("aliases", "/^" pattern(ALIAS_NAME) (k == 1 ? "$/" : own) " " targets(lines[i]))
		}
	if ((catch_all = get(main, "postmaster")) != "")
		row("aliases", "/" own " " literal(catch_all))
	row("aliases", "# the end")
	put("virtual_alias_maps", map("regexp", "aliases"))
	put("virtual_alias_domains", "")
	put("local_recipient_maps", map("regexp", "aliases"))
	put("smtpd_reject_unlisted_recipient", "yes")
	allowed(n, list, lines, m, own)
}

function targets(line,    n, i, out) {
	n = split_alias(line)
	for (i = 1; i <= n; i++)
		out = out (i > 1 ? ", " : "") literal(ALIAS_TARGET[i] (ALIAS_TARGET[i] ~ /@/ ? "" : "@" myhostname))
	return out
}

# allowed_recipient counts for where mail goes in the end: of an alias, all its targets.
function allowed(overrides, list, lines, aliases, own,    n, i, k) {
	n = get_list(main, "allowed_recipient")
	if (!n) {
		put("smtpd_recipient_restrictions", "permit_mynetworks, reject")
		return
	}
	for (i = 1; i <= n; i++) {
		k = tolower(LIST[i])
		sub(/^@/, "", k)
		ALLOWED[k] = 1
	}
	if (overrides) {
		n = get_list(main, "recipient")
		for (i = 1; i <= n && is_allowed(LIST[i]); i++) {}
		row("allowed", "/^/ " (i > n ? "OK" : "REJECT"))
	}
	for (k = 1; k <= 2; k++)
		for (i = 1; i <= aliases; i++) {
			split_alias(lines[i])
			if ((ALIAS_NAME ~ /@/) == (k == 1))
				row("allowed", "/^" pattern(ALIAS_NAME) (k == 1 ? "$/" : own) " " \
					(alias_allowed(ALIAS_NAME, lines, aliases, 6) ? "OK" : refused_recipient()))
		}
	for (i in ALLOWED)
		row("allowed", "/" (i ~ /@/ ? "^" : "@") pattern(i) "$/ OK")
	if (get(main, "postmaster") != "")
		row("allowed", "/" own " " (is_allowed(get(main, "postmaster")) ? "OK" : refused_recipient()))
	row("allowed", "/^/ " refused_recipient())
	put("smtpd_recipient_restrictions", "check_recipient_access " map("regexp", "allowed") ", reject")
}

function refused_recipient() {
	return "550 5.7.1 This relay does not send to that recipient"
}

function is_allowed(address,    domain) {
	address = domain = tolower(address)
	sub(/.*@/, "", domain)
	return (address in ALLOWED) || (domain in ALLOWED)
}

function alias_allowed(alias, lines, aliases, depth,    i, k, n, mine) {
	if (!depth)
		return 0
	for (i = 1; i <= aliases; i++) {
		n = split_alias(lines[i])
		if (tolower(ALIAS_NAME) != tolower(alias))
			continue
		for (k = 1; k <= n; k++)
			mine[k] = ALIAS_TARGET[k]
		for (k = 1; k <= n; k++)
			if (!alias_allowed(mine[k], lines, aliases, depth - 1))
				return 0
		return 1
	}
	return is_allowed(alias)
}

# ---- senders ---------------------------------------------------------------------------------------------------------

# The envelope is rewritten when a mail comes in, From when it goes out: so the first can still be kept in a field.
function senders(    sender, address) {
	put("mime_header_checks", "")
	put("nested_header_checks", "")
	sender = get(main, "sender")
	if (sender == "")
		return
	address = literal(sender)
	row("sender", "/^[^@]+@/ " address)
	put("sender_canonical_maps", map("regexp", "sender"))
	put("sender_canonical_classes", "envelope_sender")
	put("header_checks", map("regexp", "original"))
	row("original", "/^From:[[:space:]]*(.*<)?" pattern(sender) ">?[[:space:]]*$/ DUNNO")
	row("original", "/^From:[[:space:]]*(.*[^[:space:]].*)$/ PREPEND X-Original-From: $1")
	row("original", "/^Sender:/ IGNORE")
	put("smtp_header_checks", map("regexp", "from"))
	row("from", "/^From:([^<>,\"]*|[[:space:]]*\"[^\"]*\"[[:space:]]*)<[^<>]*>[[:space:]]*$/ REPLACE From:$1<" address ">")
	row("from", "/^From:/ REPLACE From: " address)
}

# ---- providers -------------------------------------------------------------------------------------------------------

function providers(    r, general) {
	general = 0
	put("smtp_sasl_security_options", "noanonymous")
	put("smtp_sasl_tls_security_options", "noanonymous")
	put("smtp_tls_secure_cert_match", "nexthop")
	put("smtp_tls_fingerprint_digest", "sha256")
	put("smtp_tls_mandatory_protocols", ENVIRON["PF_LEVEL"] == "2" ? "!SSLv2, !SSLv3, !TLSv1, !TLSv1.1" : ">=TLSv1.2")
	put("smtp_tls_loglevel", 1)
	put("smtp_host_lookup", "native")
	put("smtp_dns_support_level", "disabled")
	put("smtp_quote_rfc821_envelope", "yes")
	put("smtp_line_length_limit", 998)
	put("default_destination_concurrency_limit", 2)
	put("default_destination_recipient_limit", get(main, "max_recipients") + 0)
	for (r = 1; r <= routes; r++) {
		provider(r)
		if (route_pattern[r] == "")
			general = r
	}
	put("relayhost", general ? destination(route_host[general, 1]) : "")
	put("default_transport", general ? "out" general ":" destination(route_host[general, 1]) : \
		"retry:4.3.0 No provider is set for mail from this sender")
	if (routes > (general ? 1 : 0)) {
		for (r = 1; r <= routes; r++)  # an address goes before its domain
			if (route_pattern[r] ~ /[^@]@/)
				by_sender(r, "/^")
		for (r = 1; r <= routes; r++)
			if (route_pattern[r] ~ /^@/)
				by_sender(r, "/")
		put("sender_dependent_default_transport_maps", map("regexp", "routes"))
	}
	row("transports", "discard.invalid discard:")
	put("transport_maps", map("texthash", "transports"))
}

function by_sender(r, start) {
	row("routes", start pattern(route_pattern[r]) "$/ out" r ":" destination(route_host[r, 1]))
}

# One smtp transport for a route: its settings as parameters out<r>_..., which master.cf hands to smtp(8).
function provider(r,    s, i, out, list, mechanisms, wait) {
	s = route_host[r, 1]
	out = "out" r
	raw(out "_relayhost", destination(s))
	for (i = 1; i <= route_hosts[r]; i++) {
		if (!can_take_over(s, route_host[r, i]))
			continue
		if (i > 1)
			list = list (list == "" ? "" : ", ") destination(route_host[r, i])
		row("policy" r, destination(route_host[r, i]) " " policy(route_host[r, i]))
		if (get(route_host[r, i], "username") != "" && get(route_host[r, i], "auth") != "none")
			row("passwords" r, destination(route_host[r, i]) " " \
				secret(get(route_host[r, i], "username") ":" get(route_host[r, i], "password")))
	}
	row("passwords" r, "# the end")
	raw(out "_fallback", list)
	raw(out "_level", level(s))
	raw(out "_wrapper", get(s, "tls") == "tls" ? "yes" : "no")
	# A file that cannot be read turns all TLS off, and is needed where a certificate is followed to an authority alone.
	put(out "_ca", authorities(r) ? (get(s, "ca_file") == "" ? "/etc/ssl/certs/ca-certificates.crt" : \
		get(s, "ca_file")) : "")
	mechanisms = get(s, "auth")
	raw(out "_mechanisms", mechanisms !~ /^(plain|login|cram-md5)$/ ? "plain, login, cram-md5" : mechanisms)
	wait = seconds(get(s, "timeout"))
	raw(out "_timeout", (wait > 0 ? wait : 60) "s")
	raw(out "_protocols", get(s, "family") ~ /^ipv[46]$/ ? get(s, "family") : "all")
	raw(out "_servername", ip(bare_host(get(s, "host"))) == "" && get(s, "tls") != "none" ? "hostname" : "")
	i = get(s, "rate")
	if (i ~ /[0-9]\/minute/) {
		sub(/\/minute.*/, "", i)
		sub(/.* /, "", i)
		raw(out "_destination_rate_delay", (i > 0 && i < 60 ? int((60 + i - 1) / i) : 1) "s")
	}
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
function policy(s,    digits, i, out) {
	if (level(s) == "secure")
		return "secure match=nexthop"
	if (level(s) != "fingerprint")
		return level(s)
	digits = toupper(fingerprint(get(s, "fingerprint")))
	for (i = 1; i < 64; i += 2)
		out = out (i > 1 ? ":" : "") substr(digits, i, 2)
	return "fingerprint match=" out
}
