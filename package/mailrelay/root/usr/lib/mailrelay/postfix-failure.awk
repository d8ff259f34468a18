# The members last_failure and troubles of the status file, and its end, from what Postfix's defer(8) has noted of the
# mail that was put off last: lines NAME=VALUE, the last recipient's last. Environment: TIME of that, and the status file
# BEFORE, which knows since when a trouble has lasted.

BEGIN {
	while ((getline line < ARGV[1]) > 0)
		if ((at = index(line, "=")) > 1)
			value[substr(line, 1, at - 1)] = substr(line, at + 1)
	id = ARGV[1]
	sub(/.*\//, "", id)
	answer = reason = value["reason"]
	host = value["mta_mname"]
	if (match(reason, /(host|server|to|with) [^ []+\[/)) {
		host = substr(reason, RSTART, RLENGTH - 1)
		sub(/.* /, "", host)
	}
	sub(/^.* (said|me): /, "", answer)
	sub(/ \(in reply to [A-Za-z ]* command\)$/, "", answer)
	stage = reason ~ /SASL|[Aa]uthentication/ ? "login" : reason ~ /in reply to MAIL FROM/ ? "mail" : \
		reason ~ /in reply to RCPT TO/ ? "rcpt" : reason ~ /in reply to end of DATA/ ? "dot" : \
		reason ~ /in reply to DATA/ ? "data" : reason ~ /^Host or domain name not found/ ? "name" : \
		reason ~ /certificate/ ? "certificate" : reason ~ /TLS/ ? "tls" : reason ~ /server greeting/ ? "banner" : \
		reason ~ /^connect to/ ? "connect" : ""
	advice = stage != "login" ? "" : "The provider refuses username and password. Check both; many providers want the whole " \
		"mail address as username and an app password instead of the normal one. The mail waits until this is mended."
	facts = sprintf("\"smarthost\": %s, \"answer\": %s, \"advice\": %s, \"advice_code\": \"%s\", \"advice_values\": {}", \
		quoted(host), quoted(answer), quoted(advice), stage == "login" ? "login-refused" : "")
	printf "\"last_failure\": {\"time\": %d, \"id\": %s, \"name\": \"\", \"stage\": \"%s\", \"deferred\": true, %s}, ", \
		ENVIRON["TIME"], quoted(id), stage, facts
	since = ENVIRON["TIME"]
	if (match(ENVIRON["BEFORE"], /"cause": "login-refused", "sender": "", "since": [0-9]+/)) {
		since = substr(ENVIRON["BEFORE"], RSTART, RLENGTH)
		sub(/.* /, "", since)
	}
	if (stage == "login")
		trouble = sprintf("{\"cause\": \"login-refused\", \"sender\": \"\", \"since\": %d, %s}", since, facts)
	printf "\"troubles\": [%s]}\n", trouble
}

# Text as a string of JSON.
function quoted(text) {
	gsub(/[\001-\037\177]/, "?", text)
	gsub(/["\\]/, "\\\\&", text)
	return "\"" text "\""
}
