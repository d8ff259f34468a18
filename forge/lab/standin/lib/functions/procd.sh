# shellcheck shell=sh disable=SC1091,SC2154,SC3043
# Stand-in for OpenWrt's procd.sh: puts together the message that describes a service, and sends it to the stand-in procd.

. "$IPKG_INSTROOT/usr/share/libubox/jshn.sh"
PROCD_RELOAD_DELAY=1000

_procd() {
	local _procd_outer="$_JSON_NS" _status
	_JSON_NS=procd
	"$@"
	_status=$?
	_JSON_NS="$_procd_outer"
	return "$_status"
}

_procd_array() {
	json_add_array "$1"
	shift
	for _word in "$@"; do json_add_string "" "$_word"; done
	json_close_array
}

_procd_table() {
	json_add_object "$1"
	shift
	for _word in "$@"; do json_add_string "${_word%%=*}" "${_word#*=}"; done
	json_close_object
}

# As with the real one, a second init script of the same service waits here for the first.
procd_open_service() {
	exec 8>"/var/lock/procd_$1.lock"
	flock 8
	_procd json_init
	_procd json_add_string name "$1"
	_procd json_add_string script "$2"
	_procd json_add_object instances
}

_procd_send() { eval "standin-service \"\$1\" \"\$_JSON_OPS_$_JSON_NS\""; }

procd_close_service() {
	_procd json_close_object
	_procd json_add_array triggers
	service_triggers
	_procd json_close_array
	[ -z "$PROCD_DEBUG" ] || { _procd json_dump && echo; } >&2
	_procd _procd_send "$1"
	exec 8>&-
}

procd_open_instance() { _procd json_add_object "${1:-instance1}"; }
procd_close_instance() { _procd json_close_object; }

procd_set_param() {
	local kind="$1"
	shift
	case "$kind" in
		env | data | limits) _procd _procd_table "$kind" "$@" ;;
		command | netdev | file | respawn | watch) _procd _procd_array "$kind" "$@" ;;
		nice | term_timeout) _procd json_add_int "$kind" "$1" ;;
		reload_signal) _procd json_add_int "$kind" "$(kill -l "$1")" ;;
		stdout | stderr | no_new_privs) _procd json_add_boolean "$kind" "$1" ;;
		user | group | pidfile | facility) _procd json_add_string "$kind" "$1" ;;
	esac
}

procd_append_param() {
	local kind="$1"
	shift
	for _word in "$@"; do _procd _json_note append "$kind" "$_word"; done
}

procd_open_data() {
	_procd_data_outer="$_JSON_NS"
	_JSON_NS=procd
	json_add_object data
}
procd_close_data() {
	json_close_object
	_JSON_NS="$_procd_data_outer"
}

# _procd_trigger EVENT KEY VALUE ACTION
_procd_trigger() {
	json_add_array ""
	json_add_string "" "$1"
	json_add_array ""
	json_add_string "" if
	_procd_array "" eq "$2" "$3"
	_procd_array "" run_script "$initscript" "$4"
	json_close_array
	[ "$PROCD_RELOAD_DELAY" -le 0 ] || json_add_int "" "$PROCD_RELOAD_DELAY"
	json_close_array
}

procd_add_reload_trigger() {
	for _name in "$@"; do _procd _procd_trigger config.change package "$_name" reload; done
}
procd_add_reload_interface_trigger() { _procd _procd_trigger "interface.*" interface "$1" reload; }

procd_add_restart_mount_trigger() { _procd_mount_trigger restart "$@"; }
procd_add_reload_mount_trigger() { _procd_mount_trigger reload "$@"; }

_procd_mount_trigger() {
	local point action="$1"
	shift
	for point in $(procd_get_mountpoints "$@"); do _procd _procd_trigger mount.add target "$point" "$action"; done
}

_print_if_above() {
	local target
	config_get target "$1" target
	case "$2/" in "${target%/}"/*) echo "${target%/}" ;; esac
}

procd_get_mountpoints() {
	(
		config_load fstab
		for path in "$@"; do config_foreach _print_if_above mount "$path"; done
	) | sort -u
}

# procd_add_raw_trigger EVENT DELAY COMMAND...
procd_add_raw_trigger() {
	_procd json_add_array ""
	_procd json_add_string "" "$1"
	local delay="$2"
	shift 2
	_procd _procd_array "" run_script "$@"
	_procd json_add_int "" "$delay"
	_procd json_close_array
}

procd_kill() { ubus call service delete "{\"name\":\"$1\"${2:+,\"instance\":\"$2\"}}"; }
procd_send_signal() {
	local number
	number="$(kill -l "${3:-HUP}")"
	ubus call service signal "{\"name\":\"$1\"${2:+,\"instance\":\"$2\"},\"signal\":$number}"
}
procd_running() { [ "$(standin-status "$1")" = running ]; }
procd_status() { standin-status "$1"; }
