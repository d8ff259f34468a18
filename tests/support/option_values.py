"""By type of option: values that are of it, and values that nearly are. Relay, LuCI and awk are held to this table."""

from __future__ import annotations

_RIGHT_TEXT = ["you@example.org", "it's", "a b", "zwölf"]
_WRONG_TEXT = ["a\tb", "zero\u200bwidth", "no\u00a0break", "line\nbreak"]
_SHA256 = ["ab" * 32, ":".join(["AB"] * 32), "SHA256 Fingerprint=" + ":".join(["0f"] * 32), "sha-256: " + "1" * 64]

VALUES: dict[str, tuple[list[str], list[str]]] = {
    "text": (_RIGHT_TEXT, _WRONG_TEXT),
    "secret": (_RIGHT_TEXT, _WRONG_TEXT),
    "switch": (["1", "0", "yes", "on", "disabled"], ["2", "No", "maybe", "perhaps", "oui"]),
    "integer": (["1", "256", "007"], ["-1", "1.5", "x", "٣", "1 "]),
    "port": (["25", "65535", "000025"], ["0", "65536", "587x", "smtp", "-1", "999999999999"]),
    "size": (["25M", "512K", "64k", "1024", "1m"], ["25 M", "25MB", "1.5M", "2T", "999999G", "x", "25mb"]),
    "duration": (["30s", "1h", "90", "1m"], ["5D", "2 d", "1m30s", "999w", "1.5h", "5 days"]),
    "hostname": (
        ["router.example.org", "a", "x" * 63, "box.a1"],
        ["x-.org", "-x", "localhost", "a.localhost", "box.1", "x" * 64, "a_b", "[::1]", "a b", "192.168.1.1", "x..org"],
    ),
    "host": (
        ["smtp.example.org", "[2001:db8::1]", "192.0.2.1", "fe80::1%eth0"],
        ["smtp://x.org", "x.org:587", "a@b", "x.", "1.2.3.4.5", "ä.org"],
    ),
    "address": (
        ["name@example.org", '"a b"@x.org', "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]", "ä@dömäne.de", "a@b", "a.@b.org"],
        [
            *("a@b.c.", "Me <a@b.org>", "mailto:a@b.org", "a@b@c.org", "a@b,c@d", "x" * 65 + "@y.org", "@x.org", "a@"),
            *(" a@b.org", "a@1.2.3.4", "a@b.1", "me", "a b@x.org", "me@-x", "x[y@z.org", "x\\y@z.org", "x]y@z.org"),
        ],
    ),
    "sender": (
        ["@example.org", "a@example.org", "@[192.0.2.1]"],
        ["example.org", "@", "@-x", "a@b@c"],
    ),
    "recipient": (["@example.org", "example.org", "a@example.org"], ["*.example.org", "@@x.org", "a@", "x y"]),
    "alias": (
        [
            *("root=a@b.org", "root: a@b.org", "root=a@b.org, c@d.org", "a=b", "a@b.org=c@d.org", "a^b=c"),
            *("@plant.local=a@b.org", "@raspberrypi=root"),
        ],
        [
            *("=x", "x=", "*=a@b.org", "a=b c", "r;t=a@b", "root", "root=a b@x.org"),
            *("@=a@b.org", "@a b=c@d.org", "a@=b@c.org", "root=@plant.local", "@a@b.org=c@d.org"),
        ],
    ),
    "net": (
        ["192.168.1.0/24", "10.0.0.1", "::1", "fd00::/8", "::ffff:10.0.0.1/104", "::1.2.3.4", "::/0", "0.0.0.0/0"],
        [
            *("::ffff:1.2.3.4/90", "1.2.3.4/33", "01.2.3.4", "1.2.3", "::1/129", "fe80::1%lan", "1:2:3:4:5:6:7:8::"),
            *("::1::2", "12345::", "1.2.3.4/", "lan", "x"),
        ],
    ),
    "network": (["lan", "br-lan.1", "wan6", "@wan"], ["192.168.1.1", "a b", "x" * 65]),
    "path": (["/mnt/usb/mail", "/a/../tmp"], ["spool", "bin/x", "ca.pem"]),
    "spool": (
        ["/mnt/usb/mail", "/etc/mailrelay/spool", "/usr/local"],
        ["spool", "/tmp", "/tmp/", "//tmp", "/a/../tmp", "/etc/../..", "/proc/x", "/dev/shm/x", "/etc/mailrelay"],
    ),
    "program": (["/bin/true", "/usr/bin/x"], ["bin/x"]),
    "rate": (
        ["30/minute", "500/day", "30/minute 500/day", "500/day  30/minute"],
        ["30", "0/day", "1/hour", "1/day 2/day", "30/minute 20/minute"],
    ),
    "fingerprint": (_SHA256, ["ab" * 20, "g" * 64, "00:11", "zz"]),
    "choice": ([], ["TLS", "ssl", "xoauth2", "ip4"]),  # what is right is the option's own
}
