# shellcheck shell=sh disable=SC3043
# What there is to know about the installed Postfix, for check and render. Sourced by postfix.sh and postfix-run.

# Sets and exports PF_VERSION ("" where there is no Postfix), PF_LEVEL, PF_KNOWN (the parameters asked for that this
# version knows), PF_SMTPUTF8, PF_SASL_LOGIN, PF_POSTLOG, and where its parts are: PF_DAEMONS, PF_COMMANDS, PF_SHLIB,
# PF_META, PF_OWNER, PF_GROUP, PF_MAILDROP.
postfix_facts() {
	local plugin
	PF_VERSION="$(postconf -d -h mail_version 2>/dev/null)"
	PF_KNOWN="$(postconf -d smtpd_forbid_bare_newline smtpd_forbid_bare_newline_reject_code \
		smtpd_forbid_unauth_pipelining smtpd_min_data_rate smtpd_per_request_deadline 2>/dev/null |
		sed -n 's/ =.*//p' | tr '\n' ' ')"
	case "$PF_VERSION" in [12].* | 3.[0-5] | 3.[0-5].*) PF_LEVEL=2 ;; *) PF_LEVEL=3.6 ;; esac
	case "$(postconf -d -h smtputf8_enable 2>/dev/null)" in no | "") PF_SMTPUTF8=no ;; *) PF_SMTPUTF8=yes ;; esac
	PF_DAEMONS="$(postfix_place daemon_directory)"
	PF_COMMANDS="$(postfix_place command_directory)"
	PF_SHLIB="$(postfix_place shlib_directory)"
	PF_META="$(postfix_place meta_directory)"
	PF_OWNER="$(postfix_place mail_owner)"
	PF_GROUP="$(postfix_place setgid_group)"
	PF_MAILDROP="$(postfix_place queue_directory)/maildrop"
	if [ -x "$PF_DAEMONS/postlogd" ]; then PF_POSTLOG=yes; else PF_POSTLOG=no; fi
	PF_SASL_LOGIN=unknown
	for plugin in /usr/lib/sasl2/libplain.so* /usr/lib/*/sasl2/libplain.so*; do
		[ -e "$plugin" ] || continue
		set -- "${plugin%/*}"/liblogin.so*
		if [ -e "$1" ]; then PF_SASL_LOGIN=yes; else PF_SASL_LOGIN=no; fi
		break
	done
	export PF_VERSION PF_KNOWN PF_LEVEL PF_SMTPUTF8 PF_DAEMONS PF_COMMANDS PF_SHLIB PF_META PF_OWNER PF_GROUP \
		PF_MAILDROP PF_POSTLOG PF_SASL_LOGIN
}

# A parameter of the installation, as the owner's main.cf has it, else as Postfix was built. That file is only read.
postfix_place() {
	local value
	value="$(postconf -h -x "$1" 2>/dev/null)" || value=
	[ -n "$value" ] || value="$(postconf -d -h -x "$1" 2>/dev/null)"
	printf '%s\n' "$value"
}

# settings_export FILE: the settings as `uci export` prints them
settings_export() {
	uci -c "${1%/*}" export "${1##*/}"
}

# postfix_awk PROGRAM...: our awk programs, with what they share
postfix_awk() {
	local name args=
	for name in lib kinds routes "$@"; do
		args="$args -f $LIB/postfix-$name.awk"
	done
	# shellcheck disable=SC2086
	OPTIONS=/usr/share/mailrelay/options LC_ALL=C awk $args
}

# The system's name as one that may be used in EHLO.
postfix_hostname() {
	local name
	name="$(uname -n | tr -c 'A-Za-z0-9.\n-' '-' | sed 's/^[.-]*//; s/[.-]*$//')"
	case "$name" in
		"" | localhost | localhost.* | *.localhost | *..* ) name=mailrelay.localdomain ;;
	esac
	printf '%s\n' "$name"
}
