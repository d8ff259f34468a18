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
# package's name is in $pkgname. With IPKG_INSTROOT set a firmware is being filled: nothing runs.

files_of() {
	grep -hs "^$2" "$IPKG_INSTROOT/usr/lib/opkg/info/$1.list" "$IPKG_INSTROOT/lib/apk/packages/$1.list"
}

# own_script NAME ARGUMENT...
own_script() {
	local own="$IPKG_INSTROOT/usr/lib/opkg/info/$1"
	shift
	# shellcheck disable=SC1090
	[ ! -f "$own" ] || (. "$own")
}

# The users that the package asks for: NAME=NUMBER:GROUP=NUMBER, several divided by blanks.
add_group_and_user() {
	local entry user group
	for entry in $(
		sed -n 's/^Require-User: *//p' "$IPKG_INSTROOT/usr/lib/opkg/info/$1.control" 2>/dev/null
		cat "$IPKG_INSTROOT/lib/apk/packages/$1.rusers" 2>/dev/null
	); do
		user="${entry%%:*}"
		group="${entry#*:}"
		group="${group%%[:,]*}"
		grep -q "^${group%%=*}:" "$IPKG_INSTROOT/etc/group" ||
			echo "${group%%=*}:x:${group#*=}:${user%%=*}" >>"$IPKG_INSTROOT/etc/group"
		grep -q "^${user%%=*}:" "$IPKG_INSTROOT/etc/passwd" || {
			echo "${user%%=*}:x:${user#*=}:${group#*=}:${user%%=*}:/var/run/${user%%=*}:/bin/false" \
				>>"$IPKG_INSTROOT/etc/passwd"
			echo "${user%%=*}:x:0:0:99999:7:::" >>"$IPKG_INSTROOT/etc/shadow"
		}
	done
}

# apk leaves alternatives to the scripts; opkg does them itself.
update_alternatives() {
	local entry link target
	[ -f "$IPKG_INSTROOT/lib/apk/packages/$2.alternatives" ] || return 0
	# shellcheck disable=SC2013
	for entry in $(cat "$IPKG_INSTROOT/lib/apk/packages/$2.alternatives"); do
		link="${entry#*:}"
		link="${link%:*}"
		target="${entry##*:}"
		[ "$1" = install ] || target=/bin/busybox
		ln -sf "$target" "$IPKG_INSTROOT$link"
		echo "add alternative: $link -> $target"
	done
}

default_postinst() {
	local pkgname="${pkgname:-$(basename "${1%.*}")}" file status=0
	add_group_and_user "$pkgname"
	update_alternatives install "$pkgname"
	if [ -z "$IPKG_INSTROOT" ] && [ -n "$(files_of "$pkgname" /etc/uci-defaults/)" ]; then
		for file in $(files_of "$pkgname" /etc/uci-defaults/); do
			# shellcheck disable=SC1090
			([ -f "$file" ] && cd /etc/uci-defaults && . "$file") && rm -f "$file"
		done
		uci commit
	fi
	own_script "$pkgname.postinst-pkg" "$@" || status=$?
	for file in $(files_of "$pkgname" /etc/init.d/); do
		if [ -n "$IPKG_INSTROOT" ]; then
			/bin/sh "$IPKG_INSTROOT/etc/rc.common" "$IPKG_INSTROOT$file" enable
		else
			[ "$PKG_UPGRADE" = 1 ] || "$file" enable
			"$file" start
		fi
	done
	return "$status"
}

default_prerm() {
	local pkgname="${pkgname:-$(basename "${1%.*}")}" file status=0
	update_alternatives remove "$pkgname"
	own_script "$pkgname.prerm-pkg" "$@" || status=$?
	for file in $(files_of "$pkgname" /etc/init.d/); do
		[ "$PKG_UPGRADE" = 1 ] || "$file" disable
		"$file" stop
	done
	return "$status"
}
