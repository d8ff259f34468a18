# Which provider a mail goes to, and which ones can take over from it. For check and render alike.

# The providers in use, best first, in HOST[1..hosts]; the routes in route_pattern[1..routes] ("" for all other senders)
# with their providers in route_host[r, 1..route_hosts[r]].
function find_routes(    s, i, j, k, n, patterns, pattern, seen) {
	hosts = routes = 0
	for (s = 1; s <= sections; s++)
		if (type[s] == "smarthost" && is_on(get(s, "enabled")) && get(s, "host") != "") {
			for (i = hosts; i > 0 && get(HOST[i], "priority") + 0 > get(s, "priority") + 0; i--)
				HOST[i + 1] = HOST[i]
			HOST[i + 1] = s
			hosts++
		}
	for (i = 1; i <= hosts; i++)
		if (!get_list(HOST[i], "sender"))
			add_to_route("", HOST[i])
	for (i = 1; i <= hosts; i++) {
		n = get_list(HOST[i], "sender")
		for (k = 1; k <= n; k++)
			patterns[k] = tolower(LIST[k])
		for (k = 1; k <= n; k++) {
			pattern = patterns[k]
			if (pattern in seen)
				continue
			seen[pattern] = 1
			for (j = 1; j <= hosts; j++)
				if (names_sender(HOST[j], pattern))
					add_to_route(pattern, HOST[j])
		}
	}
}

# True if the provider is for the address or @domain, or for the address's domain.
function names_sender(s, pattern,    n, i, domain) {
	domain = pattern
	sub(/.*@/, "@", domain)
	n = get_list(s, "sender")
	for (i = 1; i <= n; i++)
		if (tolower(LIST[i]) == pattern || tolower(LIST[i]) == domain)
			return 1
	return 0
}

function add_to_route(pattern, s) {
	if (!routes || route_pattern[routes] != pattern)
		route_pattern[++routes] = pattern
	route_host[routes, ++route_hosts[routes]] = s
}

# Postfix's fallback relays share one set of settings with the first: only the policy (level, names) is each one's own.
function can_take_over(first, s) {
	return (get(first, "tls") == "tls") == (get(s, "tls") == "tls") && get(first, "ca_file") == get(s, "ca_file") && \
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
