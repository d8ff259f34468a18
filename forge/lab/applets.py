"""The busybox applets that OpenWrt's default configuration has, each at its place there, if Debian's has them too.

What OpenWrt lacks (stat, timeout, realpath, …) is left out, so that a script that counts on it fails in the lab. Some
of procd's and ubox's programs (insmod, reboot) are busybox's here as well. rootfs.py makes the links.
"""

from __future__ import annotations

_PLACES = {
    "bin": """
        ash cat chgrp chmod chown cp date dd df dmesg echo egrep false fgrep grep gunzip gzip kill ln login ls mkdir
        mknod mktemp mount mv netstat pidof ping ping6 ps pwd rm rmdir sed sh sleep sync tar touch true umount uname vi
        zcat
    """,
    "sbin": """
        halt hwclock ifconfig insmod ip lsmod mkswap modprobe pivot_root poweroff reboot rmmod route start-stop-daemon
        swapoff swapon switch_root sysctl udhcpc
    """,
    "usr/bin": """
        [ [[ awk basename bunzip2 bzcat clear cmp cut dirname du env expr find free head hexdump id killall less logger
        md5sum mkfifo nc nslookup printf readlink reset seq sha256sum sort strings tail tee test time top tr traceroute
        traceroute6 uniq uptime wc wget which xargs yes
    """,
    "usr/sbin": "brctl chroot",
}
APPLETS = tuple(f"{folder}/{name}" for folder, names in _PLACES.items() for name in names.split())
