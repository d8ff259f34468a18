# `postqueue -j`, an object a line whose order of members is fixed, as the object that `mailrelay queue --json` prints.
# Environment: LIMIT messages at most, NOW in seconds.

BEGIN {
	printf "{\"messages\": ["
}

/^\{/ {
	if (total++ >= ENVIRON["LIMIT"] + 0)
		next
	state = member("queue_name")
	printf "%s{\"id\": \"%s\", \"state\": \"%s\", \"sending\": %s, \"age\": %d, \"size\": %s, \"sender\": \"%s\", " \
		"\"recipients\": [%s], \"last_answer\": \"%s\"}", (total > 1 ? ", " : ""), member("queue_id"), \
		state == "hold" ? "hold" : "queue", state == "active" ? "true" : "false", \
		ENVIRON["NOW"] - member("arrival_time"), member("message_size") + 0, member("sender"), recipients(), \
		member("delay_reason")
}

END {
	printf "], \"total\": %d}\n", total
}

function recipients(    rest, out, at, value) {
	rest = substr($0, index($0, "\"recipients\": "))
	while ((at = index(rest, "\"address\": \""))) {
		rest = substr(rest, at + 12)
		value = text(rest)
		out = out (out == "" ? "" : ", ") "{\"address\": \"" value "\", \"state\": \"pending\"}"
		rest = substr(rest, length(value) + 1)
	}
	return out
}

# A member's value as it stands there, escapes and all; the first of that name.
function member(name,    at, rest) {
	at = index($0, "\"" name "\": ")
	if (!at)
		return ""
	rest = substr($0, at + length(name) + 4)
	if (substr(rest, 1, 1) != "\"") {
		sub(/[,}].*/, "", rest)
		return rest
	}
	return text(substr(rest, 2))
}

# Up to the quote that ends a string.
function text(rest,    i, c) {
	for (i = 1; i <= length(rest); i++) {
		c = substr(rest, i, 1)
		if (c == "\\")
			i++
		else if (c == "\"")
			return substr(rest, 1, i - 1)
	}
	return rest
}
