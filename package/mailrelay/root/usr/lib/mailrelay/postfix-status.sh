# shellcheck shell=sh disable=SC2154,SC3013,SC3043,SC3045
# The status file of the Postfix engine: the Python relay's, as far as Postfix knows what that tells. Sourced by postfix.sh.
# postfix-run keeps it beside master; what changes the queue by hand writes it anew.

STATUS_START="$RUN_DIR/postfix.start" # what holds as long as master lives: a line of members
LOOK=5                                # seconds between two looks at the queue

# note_start PID [again]: for postfix-run, before PID becomes master or, again, reloads; reads the settings' lines from
# standard input
note_start() {
	local earlier='' started
	local address port endpoint smarthosts provider=false missing=false listening='' deaf='' wanted='' allow='' taken item
	started="$(date +%s)"
	if [ -n "$2" ]; then
		read -r earlier <"$STATUS_START"
		started="${earlier#*\"started\": }" started="${started%%,*}" earlier="${earlier%%\"not_listening\"*}"
	fi
	for port in $PORTS; do
		for address in $ADDRESSES; do
			endpoint="$address:$port"
			case "$address" in *:*) endpoint="[$address]:$port" ;; esac
			case " $BOUND " in
				*" $address "*)
					listening="$listening${listening:+, }\"$endpoint\""
					case "$earlier" in *"\"$endpoint\""*) ;; *) wanted="$wanted $endpoint" ;; esac # master has those
					;;
				*) deaf="$deaf${deaf:+, }\"$endpoint\": \"the address is not there yet\"" ;;
			esac
		done
	done
	for item in $SUBNETS; do
		allow="$allow${allow:+, }\"$item\""
	done
	smarthosts="$(postfix_awk status)"
	[ -z "$smarthosts" ] || provider=true
	[ -z "$REFUSE" ] || missing=true
	taken="$(WANTED="$wanted" occupants)"
	{
		printf '"version": "%s", "pid": %s, "started": %s, "listening": [%s], "not_listening": {%s}, "allow": [%s], ' \
			"$(version)" "$1" "$started" "$listening" "$deaf" "$allow"
		printf '"spool": "%s", "spool_missing": %s, "provider": %s, "smarthosts": [%s], "port_taken": [%s], "warnings": [%s],\n' \
			"$SPOOL" "$missing" "$provider" "$smarthosts" "${taken%%|*}" "${taken#*|}"
	} >"$STATUS_START"
}

# Prints who has an endpoint of WANTED as the inside of the list port_taken, a | and that of the list warnings; logs it.
occupants() {
	local endpoint name pid by stop advice taken='' warnings=''
	postfix_awk occupants </dev/null | {
		while read -r endpoint name pid; do
			[ "$name" != master ] || name=postfix
			by="$name${pid:+ (pid $pid)}" stop=
			[ ! -x "/etc/init.d/$name" ] || stop="service $name stop; service $name disable"
			advice="${stop:-stop it}; or give the relay another port than ${endpoint##*:}"
			say err "$endpoint is taken by $by; $advice"
			taken="$taken${taken:+, }{\"endpoint\": \"$endpoint\", \"by\": \"$by\", \"advice\": \"$advice\","
			taken="$taken \"stop\": \"$stop\"}"
			warnings="$warnings${warnings:+, }{\"code\": \"port-taken\", \"warning\": false,"
			warnings="$warnings \"text\": \"$endpoint is taken by $by; $advice\"}"
		done
		printf '%s|%s' "$taken" "$warnings"
	}
}

# tell_status QUEUE: writes the file, if anything is to be told that it does not say
tell_status() {
	local queue="$1" start='' before='' waiting=0 deferred=0 hold=0 newest='' file facts uptime n
	read -r start 2>/dev/null <"$STATUS_START"
	[ -n "$start" ] || return 0
	read -r before 2>/dev/null <"$STATUS_FACTS"
	count "$queue"/deferred/*/* && deferred="$n"
	waiting="$deferred"
	count "$queue"/incoming/* && waiting=$((waiting + n))
	count "$queue"/active/* && waiting=$((waiting + n))
	count "$queue"/hold/* && hold="$n"
	for file in "$queue"/defer/*/*; do
		if [ -e "$file" ] && { [ -z "$newest" ] || [ "$file" -nt "$newest" ]; }; then newest="$file"; fi
	done
	facts="\"queue\": $waiting, \"deferred\": $deferred, \"hold\": $hold, \"failed\": 0, "
	if [ -z "$newest" ] || [ ! "$newest" -nt "$STATUS_FACTS" ]; then
		case "$before" in "{$start"*"$facts"*) return 0 ;; esac
	fi
	read -r uptime _ </proc/uptime
	{
		printf '{%s %s"updated": %s, "uptime": %s, ' "$start" "$facts" "$(date +%s)" "$uptime"
		if [ -n "$newest" ]; then
			BEFORE="$before" TIME="$(date -r "$newest" +%s)" awk -f "$LIB/postfix-failure.awk" "$newest"
		else
			printf '"last_failure": null, "troubles": []}\n'
		fi
	} >"$STATUS_FACTS.$$"
	chmod 0644 "$STATUS_FACTS.$$"
	mv "$STATUS_FACTS.$$" "$STATUS_FACTS"
}

# keep_status QUEUE PID: until PID, which becomes master, has ended
keep_status() {
	local start=''
	trap '' TERM # master sends it to its whole group when it ends
	rm -f "$RUN_DIR/postfix.pause"
	mkfifo "$RUN_DIR/postfix.pause" && exec 9<>"$RUN_DIR/postfix.pause" # nobody writes: a pause without another process
	while [ -d "/proc/$2" ]; do
		tell_status "$1"
		read -rt "$LOOK" start <&9
		lives "$2" || break
	done
	read -r start 2>/dev/null <"$STATUS_START"
	case "$start" in
		*"\"pid\": $2, "*'"port_taken": [{'*) ;; # that is why it has ended
		*"\"pid\": $2, "*) rm -f "$STATUS_FACTS" "$STATUS_START" ;;
	esac
}
