# Which provider a mail goes to, and which ones can take over from it. For check and render alike.

# The providers in use, best first, in HOST[1..hosts]; the routes in route_pattern[1..routes] ("" for all other senders)
# with their providers in route_host[r, 1..route_hosts[r]]. An address is sent for by those that name it or its domain.
function find_routes(    s, i, j, k, n, patterns, senders, seen) {
	for (s = 1; s <= sections; s++)
		if (type[s] == "smarthost" && is_on(get(s, "enabled")) && get(s, "host") != "") {
			for (i = hosts++; i > 0 && get(HOST[i], "priority") + 0 > get(s, "priority") + 0; i--)
				HOST[i + 1] = HOST[i]
			HOST[i + 1] = s
		}
	for (i = 1; i <= hosts; i++) {
		n = get_list(HOST[i], "sender")
		for (k = 1; k <= n; k++)
			senders[i] = senders[i] "\n" tolower(LIST[k]) "\n"
		if (!n)
			add_to_route("", HOST[i])
	}
	for (i = 1; i <= hosts; i++) {
		n = split(senders[i], patterns, /\n+/)
		for (k = 1; k <= n; k++)
			for (j = patterns[k] == "" || seen[patterns[k]]++ ? hosts + 1 : 1; j <= hosts; j++)
				if (index(senders[j], "\n" patterns[k] "\n") || index(senders[j], "\n" domain_of(patterns[k]) "\n"))
					add_to_route(patterns[k], HOST[j])
	}
}

function domain_of(address) {
	sub(/.*@/, "@", address)
	return address
}

function add_to_route(pattern_, s) {
	if (!routes || route_pattern[routes] != pattern_)
		route_pattern[++routes] = pattern_
	route_host[routes, ++route_hosts[routes]] = s
}

# Whom mail through a provider is to come from, and whom all mail comes from here: Postfix rewrites the sender as mail
# comes in, before it knows the provider. So the first one's `from` counts, where it does not hang on the sender.
function sent_from(s) {
	return get(s, "from") != "" ? get(s, "from") : get(main, "sender")
}

function rewritten_sender() {
	return routes == 1 && route_pattern[1] == "" ? sent_from(HOST[1]) : get(main, "sender")
}

# Postfix's fallback relays share one set of settings with the first: only the policy (level, names) is each one's own.
function can_take_over(first, s) {
	return tolower(sent_from(first)) == tolower(sent_from(s)) && (get(first, "tls") == "tls") == (get(s, "tls") == "tls") && get(first, "ca_file") == get(s, "ca_file") && \
		get(first, "auth") == get(s, "auth") && get(first, "family") == get(s, "family") && \
		get(first, "timeout") == get(s, "timeout")
}

# "[host]:port", as Postfix names a destination that is not to be looked up as MX.
function destination(s,    host, port) {
	host = bare_host(get(s, "host"))
	gsub(/[^A-Za-z0-9.:_-]/, "", host)
	port = get(s, "port")
	return "[" host "]:" (port == "" ? default_port(get(s, "tls")) : int(port + 0))
}
