# `postqueue -j`, an object a line whose order of members is fixed, as the object that `mailrelay queue --json` prints.
# A quote within a value is escaped, so that no value looks like the name of a member. Environment: LIMIT messages at
# most, ONLY those of that state if it is set, NOW in seconds.

BEGIN {
	printf "{\"messages\": ["
}

/^\{/ {
	folder = member("queue_name", "\".*")
	state = folder == "hold" ? "hold" : "queue"
	if ((ENVIRON["ONLY"] != "" && ENVIRON["ONLY"] != state) || total++ >= ENVIRON["LIMIT"] + 0)
		next
	recipients = answer = member("recipients", "}$")
	if (!sub(/.*"delay_reason": "/, "", answer))
		answer = "\"}]"
	gsub(/, "delay_reason": "([^"\\]|\\.)*"/, "", recipients)
	gsub(/"address": /, "\"state\": \"pending\", &", recipients)
	printf "%s{\"id\": \"%s\", \"state\": \"%s\", \"sending\": %s, \"age\": %d, \"size\": %d, \"sender\": \"%s\", " \
		"\"recipients\": %s, \"last_answer\": \"%s\"}", (total > 1 ? ", " : ""), member("queue_id", "\".*"), \
		state, folder == "active" ? "true" : "false", \
		ENVIRON["NOW"] - member("arrival_time", ",.*"), member("message_size", ",.*"), \
		member("sender", "\", \"recipients\": .*"), recipients, substr(answer, 1, length(answer) - 3)
}

END {
	printf "], \"total\": %d}\n", total
}

# What stands after a name, up to what matches `end`, without a quote before it.
function member(name, end,    rest) {
	rest = substr($0, index($0, "\"" name "\": ") + length(name) + 4)
	sub(/^"/, "", rest)
	sub(end, "", rest)
	return rest
}
