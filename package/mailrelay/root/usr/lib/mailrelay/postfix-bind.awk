# Prints `address` if /proc/net/if_inet6, which is read, has it in use: neither tentative (0x40) nor a duplicate (0x08).

BEGIN {
	wanted = ip(address)
}

tolower($1) == wanted && substr($5, length($5) - 1, 1) !~ /[4-7c-f]/ && substr($5, length($5)) !~ /[89a-f]/ {
	print address
	exit
}
