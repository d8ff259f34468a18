# `postqueue -j`, read by postfix-json.awk, as the object that `mailrelay queue --json` prints.
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
