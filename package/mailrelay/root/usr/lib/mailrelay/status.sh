# shellcheck shell=sh disable=SC2034,SC3028,SC3043,SC3045
# What programs ask the relay for again and again, with at most one other process for an answer: starting one costs a
# small router some 20 ms. Sourced by rpcd's executable and common.sh; needs nothing before it.

RUN_DIR=/var/run/mailrelay
SERVICE_FACTS="$RUN_DIR/service.json"
STATUS_FACTS="$RUN_DIR/status.json"

# lives PID: whether that process is there, and is the Python relay or Postfix's master
lives() {
	local line=
	[ -n "$1" ] || return 1
	read -r line 2>/dev/null <"/proc/$1/cmdline" # the zero bytes between its words are left out
	case "$line" in *serve* | *master*) return 0 ;; esac
	return 1
}

# Prints the process id of the relay that wrote the status file, if it lives; status 1: it does not.
relay_pid() {
	local head='' pid
	read -rn 200 head 2>/dev/null <"$STATUS_FACTS"
	pid="${head#*\"pid\": }"
	pid="${pid%%[!0-9]*}"
	lives "$pid" && echo "$pid"
}

# What `ubus call mailrelay status` answers: the status file, whether the relay runs, and what the init script tells, in
# `service` and, as to engine, package, enabled and cannot, beside it. Status 1: the init script has not told anything.
relay_status() {
	local service='' running=false refused=
	read -r service 2>/dev/null <"$SERVICE_FACTS"
	[ -n "$service" ] || return 1
	relay_pid >/dev/null && running=true
	case "$service" in *'"settings": "refused"'* | *'"settings": "missing"'*) refused="$(refusal "$service")" ;; esac
	printf '{"now": %s, "running": %s, "service": %s, ' "${EPOCHSECONDS:-$(date +%s)}" "$running" "$service"
	service="${service#\{}"
	printf '%s, ' "${service%%, \"settings\": *}"
	if [ ! -s "$STATUS_FACTS" ]; then
		count_mail "$service"
		printf '"queue": %s, "hold": %s, "failed": %s, "warnings": [%s]}\n' "$queue" "$hold" "$failed" "$refused"
	elif [ -z "$refused" ]; then
		sed '1s/^{//' "$STATUS_FACTS"
	else
		REFUSED="$refused" awk '{
			at = index($0, "\"warnings\": [") + 13
			print substr($0, 2, at - 2) ENVIRON["REFUSED"] (substr($0, at, 1) == "]" ? "" : ", ") substr($0, at)
		}' "$STATUS_FACTS"
	fi
}

# refusal SERVICE: prints, of what the init script tells of settings that are not in force, the inside of a list of warnings
refusal() {
	local settings="${1#*\"settings\": \"}" since="${1#*\"since\": }" findings="${1#*\"findings\": [}" then='nothing runs until it is mended'
	case "$1" in *'"running_old": true'*) then='the relay goes on with the settings before, also after a reboot' ;; esac
	findings="${findings%%], \"networks\": *}"
	printf '{"code": "settings-%s", "warning": false, "text": "/etc/config/mailrelay: %s since %s; %s"}%s' "${settings%%\"*}" \
		"${settings%%\"*}" "$(date -d "@${since%%[!0-9]*}" '+%Y-%m-%d %H:%M')" "$then" "${findings:+, $findings}"
}

# count_mail SERVICE: sets queue, hold and failed, the mails that lie in the spool of a relay that does not run
count_mail() {
	local spool="${1#*\"spool\": \"}"
	spool="${spool%%\"*}"
	queue=0 hold=0 failed=0
	case "$1" in
		'"engine": "postfix"'*)
			spool="$spool/postfix"
			count "$spool"/incoming/* && queue="$n"
			count "$spool"/active/* && queue="$((queue + n))"
			count "$spool"/deferred/*/* && queue="$((queue + n))"
			;;
		*)
			count "$spool"/queue/* && queue="$n"
			count "$spool"/failed/* && failed="$n"
			;;
	esac
	count "$spool"/hold/* && hold="$n"
}

# count FILE...: sets n; status 1 where the pattern has matched none
count() {
	[ -e "$1" ] && n="$#"
}
