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

# Beside master for as long as it lives: ends it, and procd starts anew, when what was missing has come.
watch() {
	local pause=3
	while sleep "$pause" && is_master "$$"; do
		[ "$pause" -ge 24 ] || pause=$((pause * 2))
		if [ -n "$SPOOL_MOUNT" ] && [ -n "$REFUSE" ] && mounted "$SPOOL_MOUNT"; then
			kill "$$"
		elif [ -n "$UNBOUND" ] && [ "$(bindable | tr '\n' ' ')" != "$BOUND" ]; then
			kill "$$"
		fi
	done
}
