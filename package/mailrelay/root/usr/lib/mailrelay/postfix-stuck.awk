# Of `postqueue -j`, read by postfix-json.awk: the mail that waits longest, if it has waited for AFTER seconds or more by
# NOW, as lines of id, its age in seconds, how many wait, and what the provider said last. Held mail waits as it should.

/^\{/ && member("queue_name") != "hold" {
	count++
	arrived = member("arrival_time") + 0
	if (count == 1 || arrived < first) {
		first = arrived
		id = member("queue_id")
		answer = member("delay_reason")
	}
}

END {
	if (!count || ENVIRON["NOW"] - first < ENVIRON["AFTER"] + 0)
		exit
	gsub(/\\u00[01][0-9a-f]|\\[bfnrt]/, " ", answer)
	gsub(/\\/, "", answer)
	printf "%s\n%d\n%d\n%s\n", id, ENVIRON["NOW"] - first, count, answer
}
