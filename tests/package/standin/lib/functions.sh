# shellcheck shell=sh disable=SC2034,SC2086,SC2154,SC3043
# Stand-in for OpenWrt's functions.sh: UCI in shell variables, as recorded.

append() {
	eval "$1=\"\${$1:+\$$1\${3:- }}\$2\""
}

list_contains() {
	eval "case \" \$$1 \" in *\" \$2 \"*) return 0 ;; esac"
	return 1
}

# Prints shell that sets CONFIG_SECTIONS and CONFIG_<section>_<option>; like OpenWrt's, it forgets nothing that an
# earlier load set.
config_load() {
	local text status
	CONFIG_SECTIONS=
	text="$(uci ${UCI_CONFIG_DIR:+-c $UCI_CONFIG_DIR} -q standin-shell "$1")"
	status=$?
	eval "$text"
	return "$status"
}

config_get() {
	case "$3" in
		"") eval "echo \"\$CONFIG_${1}_$2\"" ;;
		*) eval "$1=\"\${CONFIG_${2}_$3:-\$4}\"" ;;
	esac
}

config_get_bool() {
	local _value
	config_get _value "$2" "$3" "$4"
	case "$_value" in
		1 | on | true | yes | enabled) _value=1 ;;
		0 | off | false | no | disabled) _value=0 ;;
		*) _value="$4" ;;
	esac
	eval "$1=\$_value"
}

config_foreach() {
	local _call="$1" _type="$2" _section _found
	shift 2
	for _section in $CONFIG_SECTIONS; do
		eval "_found=\$CONFIG_${_section}_TYPE"
		[ "$_found" != "$_type" ] || "$_call" "$_section" "$@"
	done
}

config_list_foreach() {
	local _call="$3" _length _at=1 _value _base="CONFIG_${1}_$2"
	shift 3
	eval "_length=\${${_base}_LENGTH:-0}"
	while [ "$_at" -le "$_length" ]; do
		eval "_value=\$${_base}_ITEM$_at"
		"$_call" "$_value" "$@"
		_at=$((_at + 1))
	done
}

# The parts of package installation that concern us, in OpenWrt's order. $1 is the script as opkg runs it; for apk the
# package's name is in $pkgname.

files_of() {
	grep -hs "^$2" "/usr/lib/opkg/info/$1.list" "/lib/apk/packages/$1.list"
}

own_script() {
	# shellcheck disable=SC1090
	[ ! -f "/usr/lib/opkg/info/$1" ] || (. "/usr/lib/opkg/info/$1")
}

add_group_and_user() {
	grep -q "^mailrelay:" /etc/passwd
}

update_alternatives() {
	local entry link
	[ -f "/lib/apk/packages/$2.alternatives" ] || return 0
	while read -r entry; do
		link="${entry#*:}"
		if [ "$1" = install ]; then
			ln -sf "${entry##*:}" "${link%:*}"
		else
			ln -sf /bin/busybox "${link%:*}"
		fi
	done <"/lib/apk/packages/$2.alternatives"
}

default_postinst() {
	local pkgname="${pkgname:-$(basename "${1%.*}")}"
	update_alternatives install "$pkgname"
	files_of "$pkgname" /etc/uci-defaults/ | while read -r file; do
		# shellcheck disable=SC1090
		([ -f "$file" ] && cd /etc/uci-defaults && . "$file") && rm -f "$file"
	done
	uci commit
	own_script "$pkgname.postinst-pkg"
	files_of "$pkgname" /etc/init.d/ | while read -r file; do
		[ "$PKG_UPGRADE" = 1 ] || "$file" enable
		"$file" start
	done
}

default_prerm() {
	local pkgname="${pkgname:-$(basename "${1%.*}")}"
	update_alternatives remove "$pkgname"
	own_script "$pkgname.prerm-pkg"
	files_of "$pkgname" /etc/init.d/ | while read -r file; do
		[ "$PKG_UPGRADE" = 1 ] || "$file" disable
		"$file" stop
	done
}
