# shellcheck shell=sh disable=SC3043
# Stand-in for OpenWrt's network.sh: netifd's part of the daemon answers.

# _network_ask VARIABLE NETWORK WHAT
_network_ask() {
	local _answer
	if _answer="$(standin-network "$2" "$3")"; then
		eval "$1=\$_answer"
	else
		unset "$1"
		return 1
	fi
}

network_flush_cache() { :; }
network_get_ipaddr() { _network_ask "$1" "$2" ipaddr; }
network_get_ipaddrs() { _network_ask "$1" "$2" ipaddrs; }
network_get_subnet() { _network_ask "$1" "$2" subnet; }
network_get_subnets() { _network_ask "$1" "$2" subnets; }
network_get_ipaddr6() { _network_ask "$1" "$2" ipaddr6; }
network_get_ipaddrs6() { _network_ask "$1" "$2" ipaddrs6; }
network_get_subnets6() { _network_ask "$1" "$2" subnets6; }
network_get_device() { _network_ask "$1" "$2" device; }
network_get_physdev() { _network_ask "$1" "$2" physdev; }
network_get_gateway() { _network_ask "$1" "$2" gateway; }
network_get_dnsserver() { _network_ask "$1" "$2" dnsserver; }
network_is_up() { standin-network "$1" up; }
network_find_wan() { _network_ask "$1" "" wan; }
