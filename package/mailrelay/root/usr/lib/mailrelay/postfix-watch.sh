# shellcheck shell=sh disable=SC2154,SC3043
# What looks after the running instance: sourced by postfix-run, which knows what could not be had at the start.

# The addresses that can be bound now: all but those that are not there (yet), or still being checked for duplicates.
# A master that cannot bind one of them ends, and so do its daemons when inet_interfaces names one that is no interface's.
bindable() {
	local address
	for address in $ADDRESSES; do
		case "$address" in
			*%*) ;;
			*:*) awk -v address="$address" -f "$LIB/postfix-lib.awk" -f "$LIB/postfix-bind.awk" /proc/net/if_inet6 ;;
			*) [ -r /proc/net/fib_trie ] && awk -v address="$address" '
				$1 == "|--" || $1 == "+--" { last = $2 }
				/host LOCAL/ && last == address { found = 1 }
				END { if (found) print address }' /proc/net/fib_trie ;;
		esac
	done
}

# Beside master for as long as it lives. Ends it, and procd starts anew, when what was missing has come; and tells the
# system's bus of mail that is stuck.
watch() {
	local pause=3 waited=0 every="$STUCK_AFTER" told=
	[ "$every" -lt 300 ] || every=300
	while sleep "$pause" && is_master "$$"; do
		waited=$((waited + pause))
		[ "$pause" -ge 24 ] || pause=$((pause * 2))
		if [ -n "$SPOOL_MOUNT" ] && [ -n "$REFUSE" ] && mounted "$SPOOL_MOUNT"; then
			kill "$$"
		elif [ -n "$UNBOUND" ] && [ "$(bindable | tr '\n' ' ')" != "$BOUND" ]; then
			kill "$$"
		elif [ "$waited" -ge "$every" ]; then
			waited=0
			tell_stuck
		fi
	done
}

# Sets told to the uptime at which the owner heard of it: he hears again after a day. Mail from before the clock was set
# only looks old, see engine_flush.
tell_stuck() {
	local found now
	[ ! -e "$RUN_DIR/clock-set" ] || [ ! -e "$RUN_DIR/postfix.undated" ] || return 0
	found="$(postqueue -c "$POSTFIX_DIR" -j 2>/dev/null | AFTER="$STUCK_AFTER" NOW="$(date +%s)" LC_ALL=C awk \
		-f "$LIB/postfix-json.awk" -f "$LIB/postfix-stuck.awk")"
	now="$(cut -d . -f 1 /proc/uptime)"
	if [ -z "$found" ]; then
		told=
	elif [ -z "$told" ] || [ "$now" -ge $((told + 86400)) ]; then
		told="$now"
		{
			read -r MAILRELAY_ID && read -r MAILRELAY_AGE && read -r MAILRELAY_COUNT && read -r MAILRELAY_ANSWER
			export MAILRELAY_ID MAILRELAY_AGE MAILRELAY_COUNT MAILRELAY_ANSWER
			MAILRELAY_EVENT=stuck "$LIB/event"
		} <<FACTS
$found
FACTS
	fi
}
