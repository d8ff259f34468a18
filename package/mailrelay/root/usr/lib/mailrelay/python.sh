# shellcheck shell=sh disable=SC2154,SC3043
# The engine of the package mailrelay: the relay in Python. What each function is for stands in common.sh.

# -B: what runs as root leaves no bytecode behind that removal would trip over; uci-defaults makes it, once.
RELAY="/usr/bin/python3 -I -S -B $LIB/relay"

engine_check() {
	local text status=0
	text="$($RELAY check --config "$1" --exposed "$2" ${3:+"$3"} 2>&1)" || status=1
	if [ -n "$3" ]; then
		printf '%s\n' "$text"
		return "$status"
	fi
	printf '%s\n' "$text" | sed -e "s|^$1|$SETTINGS|" -e '/: config is fine/d' -e '/^$/d'
	return "$status"
}

engine_prepare() {
	local folder
	[ -z "$SPOOL_MOUNT" ] || mounted "$SPOOL_MOUNT" || return 0
	# Where tar had to make the folders of a restored queue they are root's.
	for folder in "$SPOOL" "$SPOOL/tmp" "$SPOOL/queue" "$SPOOL/hold" "$SPOOL/failed"; do
		if [ -d "$folder" ] && [ ! -L "$folder" ] && [ -O "$folder" ]; then
			chown mailrelay:mailrelay "$folder"
			chmod 0700 "$folder"
		fi
	done
}

engine_instance() {
	# shellcheck disable=SC2086
	procd_set_param command $RELAY serve --config "$CONFIG" --run-dir "$RUN_DIR" --user mailrelay \
		--addresses "$ADDRESSES_FILE"
	procd_set_param file "$LIB/version" "$LIB"/*.sh "$LIB"/relay/*.py "$LIB"/relay/mailrelay/*.py \
		"$LIB"/relay/mailrelay/*/*.py
	procd_set_param respawn 3600 5 0
	procd_set_param term_timeout 15
	procd_set_param stderr 1
}

engine_freeze() {
	stop_relay
}

# A relay that is just starting has no FIFO yet, and looks itself once it has.
engine_reload() {
	[ ! -p "$RUN_DIR/control" ] || echo reload 1<>"$RUN_DIR/control" # opened for both: it never waits for a reader
}

engine_flush() {
	relay_pid >/dev/null && [ -p "$RUN_DIR/control" ] || return 1
	echo flush 1<>"$RUN_DIR/control"
}

engine_queue() {
	$RELAY queue
}

engine_queue_json() {
	$RELAY queue --json --limit "$1" ${2:+--state "$2"}
}

# A damaged mail is shown as it is, with status 65.
engine_show() {
	$RELAY show -- "$1" || [ "$?" = 65 ]
}

engine_hold() {
	$RELAY hold -- "$@"
}

engine_release() {
	$RELAY release -- "$@"
}

engine_delete() {
	$RELAY delete -- "$@"
}

engine_flush_some() {
	$RELAY flush -- "$@"
}

engine_test() {
	$RELAY test --json-lines ${2:+--config "$2"} -- "$1"
}

engine_play() {
	$RELAY test --machine --json-lines -- ${1:+"$1"}
}

# The days' counts are written at the relay's end.
engine_removed() {
	load_spool 2>/dev/null
	stop_relay
	rm -f "$SPOOL/days"
}
