# shellcheck shell=sh disable=SC2034,SC2317,SC3043
# What there is to know of the installed Postfix and of the settings, for check and rendering. Sourced by postfix.sh.

# Sets and exports PF_VERSION ("" where there is no Postfix), PF_NORMALIZES (whether it can be told what ends a mail),
# PF_SMTPUTF8, PF_SASL_LOGIN; and sets where its parts are: PF_DAEMONS, PF_COMMANDS, PF_OWNER, PF_GROUP, PF_MAILDROP.
postfix_facts() {
	local plugin
	PF_VERSION="$(postconf -d -h mail_version 2>/dev/null)"
	PF_NORMALIZES=no PF_SMTPUTF8=no PF_SASL_LOGIN=no
	[ -z "$(postconf -d smtpd_forbid_bare_newline_reject_code 2>/dev/null)" ] || PF_NORMALIZES=yes
	[ "$(postconf -d -h smtputf8_enable 2>/dev/null)" = no ] || PF_SMTPUTF8=yes
	for plugin in /usr/lib/sasl2/liblogin.so* /usr/lib/*/sasl2/liblogin.so*; do
		[ ! -e "$plugin" ] || PF_SASL_LOGIN=yes
	done
	# shellcheck disable=SC2046
	set -- $(postfix_places -h daemon_directory command_directory mail_owner setgid_group queue_directory)
	PF_DAEMONS="$1" PF_COMMANDS="$2" PF_OWNER="$3" PF_GROUP="$4" PF_MAILDROP="$5/maildrop"
	export PF_VERSION PF_NORMALIZES PF_SMTPUTF8 PF_SASL_LOGIN
}

# Parameters of the installation, as the owner's main.cf has them, else as Postfix was built. That file is only read.
postfix_places() {
	postconf -x "$@" 2>/dev/null || postconf -d -x "$@" 2>/dev/null
}

# The system's name, with the domain that it knows where the name has none; nothing for localhost.
system_name() {
	local name domain
	name="$(uname -n)"
	name="${name%.localdomain}"
	domain="$(uci -q get dhcp.@dnsmasq[0].domain </dev/null)"
	[ -n "$domain" ] ||
		domain="$(awk '$1 == "search" || $1 == "domain" { found = $2 } END { print found }' /etc/resolv.conf 2>/dev/null)"
	domain="${domain%.}"
	case "$name:$domain" in
		localhost:* | *.*:* | *: | *:localdomain) echo "$name" ;;
		*) echo "$name.$domain" ;;
	esac
}

# settings_lines FILE: "config TYPE NAME", "option NAME VALUE" and "list NAME VALUE", with tabs, each ended by a byte 036
settings_lines() (
	package() { :; }
	record() { printf '%s\t%s\t%s\036' "$@"; }
	config() { record config "$1" "$2"; }
	option() { record option "$1" "$2"; }
	list() { record list "$1" "$2"; }
	text="$(uci -c "${1%/*}" export "${1##*/}")" && eval "$text"
)

# postfix_awk PROGRAM...: our awk programs, with what they share
postfix_awk() {
	local name args=
	for name in settings routes "$@"; do
		args="$args -f $LIB/postfix-$name.awk"
	done
	# shellcheck disable=SC2086
	HOSTNAME="$(system_name)" OPTIONS="$LIB/../../share/mailrelay/options" LC_ALL=C awk $args
}
