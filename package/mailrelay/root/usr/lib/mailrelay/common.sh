# shellcheck shell=sh disable=SC2034,SC3043
# What the init script, hotplug, rpcd and sysupgrade share. Sourced, never run; /lib/functions.sh comes before it.
#
# The engine is /usr/lib/mailrelay/python.sh or postfix.sh: exactly one package with one of them is installed, and
# load_engine sources it. Sourcing defines functions and does nothing else. These must be there:
#
#   engine_check FILE EXPOSED [--json]
#                       Prints what is to be said of the settings in FILE, a line each; status 1 if one is a fault.
#                       The lines call the file /etc/config/mailrelay, whatever FILE is. With --json one line, a list as
#                       `mailrelay help check` has it. EXPOSED: networks that face the internet, NETWORK=ZONE,...
#   engine_instance     Between procd_open_instance and procd_close_instance: sets command, file, limits,
#                       respawn 3600 5 0, term_timeout. Not user (ports below 1024 are bound as root), not
#                       reload_signal (it would keep procd from restarting us after an upgrade), not data (the init
#                       script's). `file` lists the engine's own code and nothing else: after an apk upgrade only
#                       `start` is called, and a changed file is what makes procd restart the instance. Settings and
#                       addresses never do, as that would close the ports: the daemon reads these files,
#                       again when engine_reload tells it to:
#                         $CONFIG          the settings to run by: the last good copy, mode 0600, root's; never
#                                          /etc/config/mailrelay, which may have a fault meanwhile
#                         $ADDRESSES_FILE  what write_addresses has made of these:
#                       $RUN_DIR      /var/run/mailrelay, root's, 0755
#                       $ADDRESSES    where to listen, separated by spaces: 127.0.0.1 ::1 and those of `list network`
#                       $SUBNETS      who may send: 127.0.0.0/8 ::1/128, the networks' subnets and `list allow`
#                       $PORTS        the ports of `list port`
#                       $SPOOL        where mail waits, an absolute path without a / at its end
#                       $SPOOL_MOUNT  the mount point that $SPOOL lies under by /etc/config/fstab, or "". If nothing is
#                                     mounted there now, every mail is answered 452 (or nobody listens) and nothing is
#                                     written under it; the mount trigger calls engine_reload when it comes
#                       The settings as UCI: load_settings "$CONFIG", then config_get, config_foreach.
#   engine_prepare      Before engine_instance, outside of the message to procd: makes what the daemon needs, stops what
#                       must not run beside it (OpenWrt's own Postfix service). Prints nothing; status 1: do not start.
#   engine_reload       After procd has taken the instance: has the one that runs, or is just starting, take up what has
#                       changed of all that, its ports open and sessions going on. Cheap where nothing has.
#   engine_freeze       For sysupgrade: returns when nothing is taken or sent any more, within 20 s.
#   engine_flush        Everything that waits is due now. Quick, never blocks, no interpreter; status 1: not running.
#   engine_queue        Prints the queue for people.
#   engine_queue_json N [STATE]
#                       Prints {"messages": [...], "total": n} with at most N messages, as `mailrelay queue --json`; with
#                       STATE (queue, hold or failed) of those alone.
#   engine_removed      The package is about to go, its service perhaps still running: takes away what would be left over
#                       besides settings, queue and run directory. May be ":".
# and these where the engine can do it; rpcd offers what it finds:
#   engine_show ID · engine_hold ID... · engine_release ID... · engine_delete ID... · engine_flush_some ID...
#                       Text on stdout and stderr, status 0 if done. The ids are checked: [0-9A-Za-z]{6,20}.
#   engine_test ADDRESS [FILE]
#                       Sends a test mail past the queue, by other settings than $SETTINGS if a file is named; prints one
#                       JSON object a line, the last with "result".
#   engine_play ADDRESS As engine_test, but to our own port as a machine does, and followed until it is known what became
#                       of the mail. ADDRESS may be "".

LIB=/usr/lib/mailrelay
# shellcheck source=/dev/null
. "$LIB/status.sh"
SETTINGS=/etc/config/mailrelay
INIT=/etc/init.d/mailrelay
CONFIG="$RUN_DIR/config"
CANDIDATE="$RUN_DIR/candidate"
ADDRESSES_FILE="$RUN_DIR/addresses"
LAST_GOOD=/etc/mailrelay/last-good
SWITCH_ON="uci set mailrelay.main.enabled=1; uci commit mailrelay; service mailrelay reload"
FLUSH_PAUSE=10 # seconds between two flushes that hotplug asks for, at least

# say LEVEL TEXT: into the system's log, and onto the terminal of whoever typed the command
say() {
	logger -t mailrelay -p "mail.$1" -- "$2"
	if [ -t 2 ]; then echo "mailrelay: $2" >&2; fi
}

# Sources the engine; ENGINE is its name. Status 1: none is installed.
load_engine() {
	for ENGINE in python postfix; do
		[ -r "$LIB/$ENGINE.sh" ] || continue
		# shellcheck source=/dev/null
		. "$LIB/$ENGINE.sh"
		return 0
	done
	ENGINE=
	return 1
}

# load_settings FILE: as config_load, from any folder; what `uci set` has not committed yet does not count.
# Values of an earlier file stay where the new one has none: call it once in a shell.
load_settings() {
	local UCI_CONFIG_DIR="${1%/*}"
	config_load "${1##*/}"
}

is_running() {
	[ "$(ubus call service list '{"name":"mailrelay"}' | jsonfilter -e '@.mailrelay.instances.relay.running')" = true ]
}

# Ends the instance; returns when it is gone, or after 20 s.
stop_relay() {
	local pid left=20
	pid="$(relay_pid)"
	"$INIT" stop
	while [ -n "$pid" ] && [ -d "/proc/$pid" ] && [ "$left" -gt 0 ]; do
		sleep 1
		left=$((left - 1))
	done
}

make_run_dir() {
	[ -d "$RUN_DIR" ] || (umask 022 && mkdir -p "$RUN_DIR")
}

version() {
	cat "$LIB/version" 2>/dev/null
}

# is_enabled FILE: whether the settings want anything to run; what cannot be read leaves that to the check
is_enabled() (
	load_settings "$1"
	config_get_bool enabled main enabled 1
	# shellcheck disable=SC2154
	[ "$enabled" = 1 ]
)

# zone_of NETWORK: prints its firewall zone; status 1: it is in none. While the firewall is stopped its settings are
# asked, so that our rule is there when it starts: it tells nobody.
zone_of() {
	fw4 -q network "$1" 2>/dev/null && return 0
	[ ! -e /var/run/fw4.state ] && [ -e /etc/config/firewall ] || return 1
	(config_load firewall && config_foreach print_zone_with zone "$1") | head -n 1 | grep .
}

# For config_foreach: the name of a zone section that lists the network.
print_zone_with() {
	local name networks
	config_get networks "$1" network
	config_get name "$1" name
	list_contains networks "$2" && echo "$name"
}

has_firewall() {
	[ -x /sbin/fw4 ]
}

# faces_internet ZONE: whether it is the zone of the network wan
faces_internet() {
	[ -n "$1" ] || return 1
	[ "$1" = wan ] || [ "$1" = "$(zone_of wan)" ]
}

# exposed_networks FILE: those that may send and lie in a zone which faces the internet, as NETWORK=ZONE,...
exposed_networks() (
	has_firewall || exit 0
	load_settings "$1" 2>/dev/null
	config_get networks main network
	# shellcheck disable=SC2154
	for network in $networks; do
		zone="$(zone_of "$network")"
		if faces_internet "$zone"; then printf '%s=%s,' "$network" "$zone"; fi
	done
)

# check_settings FILE [--json]: every finding, a line each or as one JSON list; status 1 if one is a fault
check_settings() {
	if [ -r "$1" ]; then
		engine_check "$1" "$(exposed_networks "$1")" "$2"
		return
	fi
	file_fault "$2" "" "is missing or cannot be read" "'cp /usr/share/mailrelay/config $SETTINGS' brings the default"
	return 1
}

# file_fault JSON LINE PROBLEM HINT: prints what keeps the settings from being read, as engine_check prints a fault
file_fault() {
	if [ -z "$1" ]; then
		echo "$SETTINGS${2:+:$2}: $3; $4"
	else
		printf '[{"code": "unreadable", "warning": false, "section": "", "option": "", "line": %s, ' "${2:-0}"
		printf '"problem": "%s", "hint": "%s"}]\n' "$(printf '%s' "$3" | sed 's/["\\]/?/g')" "$4"
	fi
}

# Copies the settings to $CANDIDATE, as they are now: what is checked is what is run.
take_candidate() {
	rm -f "$CANDIDATE"
	(umask 077 && cp "$SETTINGS" "$CANDIDATE") 2>/dev/null
}

# Makes the candidate $CONFIG if it is good, else says why not and leaves the last good settings there, also those of
# before a reboot. Status 1: there is nothing to run by. Either is told by tell_service.
accept_settings() {
	local findings settings=refused
	if same_as_accepted; then
		rm -f "$CANDIDATE"
		tell_service good
		return 0
	fi
	if findings="$(check_settings "$CANDIDATE" 2>&1)"; then
		mv "$CANDIDATE" "$CONFIG"
		version >"$RUN_DIR/checked-by"
		keep_good
		tell_service good
		return 0
	fi
	printf '%s\n' "$findings" | grep -v ': warning: ' | head -n 20 | while read -r line; do
		say err "settings refused: $line"
	done
	[ -e "$CANDIDATE" ] || settings=missing
	findings="$(check_settings "$CANDIDATE" --json 2>/dev/null)"
	rm -f "$CANDIDATE"
	[ -s "$CONFIG" ] || [ ! -s "$LAST_GOOD" ] || (umask 077 && cp "$LAST_GOOD" "$CONFIG")
	if [ -s "$CONFIG" ] && engine_check "$CONFIG" "" >/dev/null 2>&1; then
		say err "going on with the last good settings until $SETTINGS is mended"
		tell_service "$settings" "$findings"
		return 0
	fi
	rm -f "$CONFIG"
	say err "nothing runs until $SETTINGS is mended; then: service mailrelay start"
	tell_service "$settings" "$findings"
	return 1
}

# Keeps the accepted settings where a reboot finds them. What they replace is there until they are whole.
keep_good() {
	cmp -s "$CONFIG" "$LAST_GOOD" && return
	(umask 022 && mkdir -p "${LAST_GOOD%/*}")
	(umask 077 && cp "$CONFIG" "$LAST_GOOD.new") && mv "$LAST_GOOD.new" "$LAST_GOOD"
}

# tell_service SETTINGS [FINDINGS]: writes $SERVICE_FACTS, what the relay cannot tell of itself: the engine, whether it is
# enabled, what it cannot do, and what became of the settings: good, refused, missing, off or "" (nobody has looked), and
# since when. FINDINGS is the list of check_settings. Whatever takes up the settings calls it; status, ubus and LuCI read
# the file, one line whose members have the order that status.sh knows.
tell_service() (
	became="$1" on=false since=null running_old=false names='' faults=''
	is_enabled "$SETTINGS" && on=true
	case "$became" in
		good | "") ;;
		*) since="$(became_since "$became")" ;;
	esac
	case "$became" in refused | missing) [ ! -s "$CONFIG" ] || running_old=true ;; esac
	[ -z "$2" ] || faults="$(printf '%s' "$2" | jsonfilter -e '@[@.warning=false]' | sed '$!s/$/, /' | tr -d '\n')"
	load_spool 2>/dev/null
	config_get networks main network
	# shellcheck disable=SC2154
	for network in $networks; do
		case "$network" in *[!A-Za-z0-9_]*) ;; *) names="$names${names:+, }\"$network\"" ;; esac
	done
	umask 022
	if printf '{"engine": "%s", "package": "%s", "enabled": %s, "cannot": [%s], "settings": "%s", "since": %s, ' "$ENGINE" \
		"$(version)" "$on" "$(cannot)" "$became" "$since" >"$SERVICE_FACTS.new" &&
		printf '"running_old": %s, "findings": [%s], "networks": [%s], "spool": "%s"}\n' "$running_old" "$faults" "$names" \
			"$(printf '%s' "$SPOOL" | sed 's/["\\]/\\&/g')" >>"$SERVICE_FACTS.new"; then
		mv "$SERVICE_FACTS.new" "$SERVICE_FACTS"
	else
		rm -f "$SERVICE_FACTS.new" # no room: half a file would be no answer at all
	fi
)

# became_since SETTINGS: since when they are that, in seconds: since tell_service said so first, or, where it has said
# nothing since the boot, since they were written
became_since() {
	local before=''
	read -r before 2>/dev/null <"$SERVICE_FACTS"
	case "$before" in
		*'"settings": "'"$1"'", '*)
			before="${before#*\"since\": }"
			echo "${before%%,*}"
			;;
		"") date -r "$SETTINGS" +%s 2>/dev/null || date +%s ;;
		*) date +%s ;;
	esac
}

# Prints what keeps mail from coming in to the relay that runs, a line each; status 1: there is something.
hindrances() {
	local texts
	relay_pid >/dev/null || return 0
	texts="$(jsonfilter -i "$STATUS_FACTS" -e '@.warnings[@.warning=false].text')"
	[ -n "$texts" ] || return 0
	printf '%s\n' "$texts"
	return 1
}

# What the engine has no function for, as the inside of a list in JSON.
cannot() {
	local name comma=
	for name in show hold release delete flush_some test play; do
		type "engine_$name" >/dev/null 2>&1 && continue
		printf '%s"%s"' "$comma" "$name"
		comma=', '
	done
}

# Reading the settings starts an interpreter, and an interface that comes up is no reason to do that again.
same_as_accepted() {
	[ -s "$CONFIG" ] && cmp -s "$CANDIDATE" "$CONFIG" && [ "$(version)" = "$(cat "$RUN_DIR/checked-by" 2>/dev/null)" ]
}

# words LIST WORD...: the list with those that are not in it yet
words() {
	local list="$1" word
	shift
	for word in "$@"; do
		list_contains list "$word" || append list "$word"
	done
	echo "$list"
}

# Sets NETWORKS, ADDRESSES, SUBNETS, PORTS and ZONES from the settings that are loaded and from what netifd and fw4 say.
# A network without an address adds nothing and stops nothing. With an argument it says nothing.
resolve_networks() {
	local network addresses subnets found zone quiet="$1"
	network_flush_cache
	config_get NETWORKS main network
	config_get PORTS main port 25
	config_get subnets main allow
	ADDRESSES="127.0.0.1 ::1"
	# shellcheck disable=SC2086
	SUBNETS="$(words "127.0.0.0/8 ::1/128" $subnets)"
	ZONES=
	# shellcheck disable=SC2153
	for network in $NETWORKS; do
		case "$network" in *[!A-Za-z0-9_]*) continue ;; esac
		zone=
		has_firewall && zone="$(zone_of "$network")"
		if faces_internet "$zone"; then
			[ -n "$quiet" ] || say err "network '$network' is in zone '$zone', which faces the internet: left out"
			continue
		fi
		found=
		for family in "" 6; do
			addresses=
			subnets=
			"network_get_ipaddrs$family" addresses "$network" || addresses=
			"network_get_subnets$family" subnets "$network" || subnets=
			# shellcheck disable=SC2086
			ADDRESSES="$(words "$ADDRESSES" $addresses)" SUBNETS="$(words "$SUBNETS" $subnets)"
			found="$found$addresses"
		done
		[ -n "$found$quiet" ] || say notice "network '$network' has no address now; the relay listens there when it has"
		if [ -n "$zone" ]; then
			ZONES="$(words "$ZONES" "$zone")"
		elif has_firewall && [ -z "$quiet" ]; then
			say warning "network '$network' is in no firewall zone: no rule is made for it"
		fi
	done
}

# mount_above PATH: the mount point of /etc/config/fstab that the path lies under, the innermost one; "" for none
mount_above() {
	(
		# shellcheck disable=SC2030
		innermost=
		config_load fstab 2>/dev/null
		config_foreach note_mount mount "$1"
		echo "$innermost"
	)
}

# For config_foreach: sets innermost.
# shellcheck disable=SC2031
note_mount() {
	local target enabled
	config_get target "$1" target
	config_get_bool enabled "$1" enabled 1
	target="${target%/}"
	if [ "$enabled" = 1 ] && [ "${#target}" -gt "${#innermost}" ]; then
		case "$2/" in "$target"/*) innermost="$target" ;; esac
	fi
}

# mounted PATH: whether something is mounted there now
mounted() {
	awk -v path="$1" '{ gsub(/\\040/, " ", $2) } $2 == path { found = 1 } END { exit !found }' /proc/mounts
}

# Sets SPOOL and SPOOL_MOUNT from the settings that are loaded.
find_spool() {
	config_get SPOOL main spool /etc/mailrelay/spool
	SPOOL="${SPOOL%/}"
	SPOOL_MOUNT="$(mount_above "$SPOOL")"
}

# Writes $ADDRESSES_FILE from what resolve_networks and find_spool have set: options of the relay's command line, which it
# reads again with the settings. The file is replaced only if anything in it changes.
write_addresses() {
	local address port
	umask 022
	{
		for port in $PORTS; do
			for address in $ADDRESSES; do
				case "$address" in *:*) address="[$address]" ;; esac
				echo "listen $address:$port"
			done
		done
		# shellcheck disable=SC2086
		printf 'allow %s\n' $SUBNETS
		echo "spool $SPOOL"
		[ -z "$SPOOL_MOUNT" ] || echo "spool-mount $SPOOL_MOUNT"
	} >"$ADDRESSES_FILE.new"
	if cmp -s "$ADDRESSES_FILE.new" "$ADDRESSES_FILE"; then
		rm -f "$ADDRESSES_FILE.new"
	else
		mv "$ADDRESSES_FILE.new" "$ADDRESSES_FILE"
	fi
}

# has_default_route NETWORK: also one in a table of its own, as with several uplinks
has_default_route() {
	case "$1" in "" | *[!A-Za-z0-9_]*) return 1 ;; esac
	[ -n "$(ubus call "network.interface.$1" status 2>/dev/null | jsonfilter -e '@.route[@.mask=0].target')" ]
}

# Flushes now, or when FLUSH_PAUSE is over if that was just done; one that waits serves all who ask meanwhile.
flush_soon() {
	[ -d "$RUN_DIR" ] || return 0
	(
		exec 9>"$RUN_DIR/flush.lock"
		flock -n 9 || exit 0
		now="$(uptime_seconds)"
		last="$(cat "$RUN_DIR/flushed" 2>/dev/null || echo "-$FLUSH_PAUSE")"
		wait=$((last + FLUSH_PAUSE - now))
		[ "$wait" -le 0 ] || sleep "$wait"
		uptime_seconds >"$RUN_DIR/flushed"
		exec 9>&-
		engine_flush
	) </dev/null >/dev/null 2>&1 &
}

uptime_seconds() {
	sed 's/[. ].*//' /proc/uptime
}

# keep_list FILE: for sysupgrade, in a subshell of its. FILE lists what is archived. What else lies in /etc/mailrelay
# is kept always, the queue for an upgrade alone: a backup that is restored would send old mail again. That goes for
# mail in the usual place too, left there when the spool was moved.
keep_list() {
	local list="$1" usual=/etc/mailrelay/spool
	load_spool
	{
		cat "$list"
		find /etc/mailrelay '(' -path "$SPOOL" -o -path "$usual" ')' -prune -o '(' -type f -o -type l ')' -print
	} 2>/dev/null | awk -v one="$SPOOL/" -v two="$usual/" 'index($0, one) != 1 && index($0, two) != 1' |
		sort -u >"$list.mailrelay"
	mv "$list.mailrelay" "$list"
	[ -z "$CONF_BACKUP" ] && [ "$CONF_BACKUP_LIST" != 1 ] && [ "$TEST" != 1 ] || return 0
	# Folders, so that tar keeps their owner and that of all within. What lies on a mount stays where it is.
	[ "$SPOOL" = "$usual" ] || [ ! -d "$usual" ] || echo "$usual" >>"$list"
	[ -z "$SPOOL_MOUNT" ] && [ -d "$SPOOL" ] || return 0
	echo "$SPOOL" >>"$list"
	if load_engine && is_running; then
		engine_freeze
		(
			trap '' HUP
			while [ -d "/proc/$$" ]; do sleep 1; done # sysupgrade; where it goes through, init ends us all
			"$INIT" start
		) </dev/null >/dev/null 2>&1 &
	fi
}

# Sets SPOOL and SPOOL_MOUNT as the running engine has them, else as the settings say.
load_spool() {
	if [ -s "$CONFIG" ]; then load_settings "$CONFIG"; else load_settings "$SETTINGS"; fi
	find_spool
}
