#!/bin/sh
# Run by the packages feed after installation, on each CPU: $1 is the package, $2 its version.

case "$1" in
	mailrelay | mailrelay-postfix)
		mailrelay --version | grep -F "${2%-r*}"
		;;
esac
