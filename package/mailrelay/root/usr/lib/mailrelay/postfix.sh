# shellcheck shell=sh disable=SC2034,SC2154,SC3043
# The engine of the package mailrelay-postfix: an instance of Postfix of our own, beside whatever the owner has made of
# OpenWrt's. What each function is for stands in common.sh; docs/owner/POSTFIX.md says what this engine does differently.

# shellcheck source=/dev/null
. "$LIB/postfix-facts.sh"
# shellcheck source=/dev/null
. "$LIB/postfix-status.sh"

POSTFIX_DIR="$RUN_DIR/postfix" # config_directory: main.cf, master.cf, their tables and the passwords
POSTFIX_PID="$RUN_DIR/postfix.pid"

engine_check() {
	local text
	text="$(settings_lines "$1" 2>&1)" || {
		file_fault "$3" "$(printf '%s' "$text" | sed -n 's/.* at line \([0-9]*\).*/\1/p')" "cannot be parsed (${text#uci: })" \
			"write config TYPE 'NAME', option NAME 'VALUE' or list NAME 'VALUE'"
		return 1
	}
	postfix_facts
	printf '%s' "$text" | FILE="$SETTINGS" LIMITS="$LIB/postfix-limits" EXPOSED="$2" JSON="$3" \
		ADDRESSES="$(ip addr show | awk '/ inet/ { sub(/\/.*/, "", $2); printf "%s ", $2 }')" postfix_awk option-types check
}

engine_prepare() {
	postfix_facts
	if [ -z "$PF_VERSION" ]; then
		say err "Postfix is not installed: install the package postfix"
		return 1
	fi
	stop_foreign
}

# postfix_queue FOLDER: makes the folders of a queue, owners and modes as Postfix wants them. Mail waits within the spool's
# folder, so that sysupgrade keeps it; a folder of root's, in root's hands alone.
postfix_queue() {
	local name
	(umask 022 && mkdir -p "${1%/*}") && [ ! -L "${1%/*}" ] || return 1
	# The Python engine's user owned it if that was here before.
	chown 0:0 "${1%/*}" && chmod 0755 "${1%/*}" || return 1
	[ ! -L "$1" ] || rm -f "$1"
	[ ! -e "$1" ] || [ -O "$1" ] || return 1
	postfix_folder "$1" 0:0 0755 && postfix_folder "$1/pid" 0:0 0755 || return 1
	for name in active bounce corrupt defer deferred flush hold incoming private saved trace; do
		postfix_folder "$1/$name" "$PF_OWNER:0" 0700 || return 1
	done
	postfix_folder "$1/public" "$PF_OWNER:$PF_GROUP" 0710 || return 1
	postfix_maildrop "$1/maildrop"
}

# postfix_folder PATH OWNER MODE: makes it one, whatever it was
postfix_folder() {
	[ ! -L "$1" ] || rm -f "$1"
	mkdir -p "$1" && chown "$2" "$1" && chmod "$3" "$1"
}

# /usr/sbin/sendmail is Postfix's own and knows nothing of us: it leaves mail in the maildrop of OpenWrt's instance.
# While nobody else collects it there, we do.
postfix_maildrop() {
	if [ -d "$PF_MAILDROP" ] && [ "${PF_MAILDROP%/maildrop}" != "${1%/maildrop}" ]; then
		[ ! -d "$1" ] || [ -L "$1" ] || rmdir "$1" 2>/dev/null || return 0
		rm -f "$1"
		ln -s "$PF_MAILDROP" "$1"
		return
	fi
	postfix_folder "$1" "$PF_OWNER:$PF_GROUP" 0730
}

engine_instance() {
	local storage=there
	[ -z "$SPOOL_MOUNT" ] || mounted "$SPOOL_MOUNT" || storage=missing
	procd_set_param command /bin/sh "$LIB/postfix-run" "$CONFIG" "$SPOOL" "${SPOOL_MOUNT:--}" "$storage"
	procd_set_param file "$LIB/version" "$LIB"/common.sh "$LIB"/postfix*
	procd_set_param respawn 3600 5 0
	procd_set_param term_timeout 15
	procd_set_param stderr 1
}

engine_reload() {
	/bin/sh "$LIB/postfix-run" again "$CONFIG"
}

# OpenWrt's own instance takes the same ports, and mail from the internet. Its settings stay as they are.
stop_foreign() {
	local script=/etc/init.d/postfix
	[ -x "$script" ] || return 0
	if "$script" enabled >/dev/null 2>&1; then
		"$script" disable >/dev/null 2>&1
		say notice "OpenWrt's own Postfix service is stopped and disabled; mailrelay runs an instance of its own"
	elif ! is_master "$(cat "${PF_MAILDROP%/maildrop}/pid/master.pid" 2>/dev/null)"; then
		return 0
	fi
	"$script" stop >/dev/null 2>&1
	return 0
}

# is_master PID
is_master() {
	[ -n "$1" ] && grep -qs master "/proc/${1##* }/cmdline"
}

# The pid of our master, if it lives.
relay_pid() {
	is_master "$(cat "$POSTFIX_PID" 2>/dev/null)" && cat "$POSTFIX_PID"
}

engine_freeze() {
	local queue
	queue="$(postfix_spool)"
	stop_relay
	rm -f "$queue"/private/* "$queue"/public/* "$queue"/pid/* # sockets and locks are nothing to archive
}

# The queue that the running instance has, or would have.
postfix_spool() {
	local queue
	queue="$(sed -n 's/^queue_directory = //p' "$POSTFIX_DIR/main.cf" 2>/dev/null | sed 's/\$\$/$/g')"
	echo "${queue:-${SPOOL:-/etc/mailrelay/spool}/postfix}"
}

# What failed and waits is tried now. Mail that came in before the clock was set looks months old and would be given up
# at its next failure: requeued, its lifetime begins anew.
engine_flush() {
	relay_pid >/dev/null || return 1
	if [ -e "$RUN_DIR/clock-set" ] && [ -e "$RUN_DIR/postfix.undated" ]; then
		rm -f "$RUN_DIR/postfix.undated"
		postsuper -c "$POSTFIX_DIR" -r ALL >/dev/null 2>&1
	fi
	postqueue -c "$POSTFIX_DIR" -f
}

engine_queue() {
	if relay_pid >/dev/null; then
		postqueue -c "$POSTFIX_DIR" -p
		return
	fi
	echo "The relay is not running; $(postfix_count "$(postfix_spool)" incoming active deferred hold) mails wait." >&2
	return 1
}

# postfix_count QUEUE FOLDER...: the mails in them
postfix_count() {
	local queue="$1" folder
	shift
	for folder; do find "$queue/$folder" -type f; done 2>/dev/null | wc -l
}

# As the Python engine prints it, as far as Postfix knows: its own lines of JSON, each with other names.
engine_queue_json() {
	postqueue -c "$POSTFIX_DIR" -j 2>/dev/null | NOW="$(date +%s)" LIMIT="$1" ONLY="$2" LC_ALL=C awk -f "$LIB/postfix-queue.awk"
}

engine_show() {
	postcat -c "$POSTFIX_DIR" -q "$1"
}

engine_hold() { postfix_super -h "$@"; }
engine_release() { postfix_super -H "$@"; }
engine_delete() { postfix_super -d "$@"; }

engine_flush_some() {
	local id
	relay_pid >/dev/null || return 1
	for id in "$@"; do
		postqueue -c "$POSTFIX_DIR" -i "$id" || return 1
	done
}

# postfix_super OPTION ID...: says what it did, and fails if it did nothing
postfix_super() {
	local option="$1" id text
	shift
	for id in "$@"; do
		text="$(postsuper -c "$POSTFIX_DIR" "$option" "$id" 2>&1)"
		[ -z "$text" ] || printf '%s\n' "$text"
		case "$text" in *": 1 message"*) ;; *) return 1 ;; esac
	done
	tell_status "$(postfix_spool)"
}

# Our instance is gone with the package; OpenWrt's own stays disabled, as nobody asked for it.
engine_removed() {
	rm -rf "$POSTFIX_DIR" "$POSTFIX_PID" "$STATUS_START"
}
