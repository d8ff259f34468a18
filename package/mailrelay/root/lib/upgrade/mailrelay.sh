# shellcheck shell=sh disable=SC1091,SC2034,SC3043,SC2154
# For sysupgrade, which sources this: the queue comes along to the new firmware. It is put to rest first: mail that is
# taken after the archive is made would be lost, mail that is sent after it would go out twice.

# A shell of its own, so that sysupgrade's names stay its own.
mailrelay_keep() {
	[ -r /usr/lib/mailrelay/common.sh ] || return 0
	(. /usr/lib/mailrelay/common.sh && keep_list "$1")
}
sysupgrade_init_conffiles="$sysupgrade_init_conffiles mailrelay_keep"
