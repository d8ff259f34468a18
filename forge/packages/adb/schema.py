"""The trees of values in packages and indexes: apk's fields, in the order of their slots (apk-tools' apk_adb.c).

adb.py reads and writes by them, apk.py fills them, the tests show them.
"""

from __future__ import annotations

from forge.packages.adb.adb import Array, Dependency, Object, Scalar

PACKAGE_SCHEMA = int.from_bytes(b"pckg", "little")
INDEX_SCHEMA = int.from_bytes(b"indx", "little")

TEXT, HEX, NUMBER = Scalar("text"), Scalar("hex"), Scalar("number")
DEPENDENCIES = Array(Dependency())

INFO = Object(
    (
        ("name", TEXT),
        ("version", TEXT),
        ("hashes", HEX),  # a package's unique id (20 bytes); in an index the SHA-256 of the package's body
        ("description", TEXT),
        ("arch", TEXT),
        ("license", TEXT),
        ("origin", TEXT),
        ("maintainer", TEXT),
        ("url", TEXT),
        ("repo-commit", HEX),
        ("build-time", NUMBER),
        ("installed-size", NUMBER),
        ("file-size", NUMBER),
        ("provider-priority", NUMBER),
        ("depends", DEPENDENCIES),
        ("provides", DEPENDENCIES),
        ("replaces", DEPENDENCIES),
        ("install-if", DEPENDENCIES),
        ("recommends", DEPENDENCIES),
        ("layer", NUMBER),
        ("tags", Array(TEXT, ordered=False)),
    )
)
ACL = Object((("mode", Scalar("octal")), ("user", TEXT), ("group", TEXT), ("xattrs", Array(HEX))))
FILE = Object((("name", TEXT), ("acl", ACL), ("size", NUMBER), ("mtime", NUMBER), ("hash", HEX), ("target", HEX)))
DIRECTORY = Object((("name", TEXT), ("acl", ACL), ("files", Array(FILE))))
SCRIPT = Scalar("lines")
SCRIPTS = Object(
    (
        ("trigger", SCRIPT),
        ("pre-install", SCRIPT),
        ("post-install", SCRIPT),
        ("pre-deinstall", SCRIPT),
        ("post-deinstall", SCRIPT),
        ("pre-upgrade", SCRIPT),
        ("post-upgrade", SCRIPT),
    )
)
PACKAGE = Object(
    (
        ("info", INFO),
        ("paths", Array(DIRECTORY)),
        ("scripts", SCRIPTS),
        ("triggers", Array(TEXT, ordered=False)),
        ("replaces-priority", NUMBER),
    )
)
INDEX = Object((("description", TEXT), ("packages", Array(INFO)), ("pkgname-spec", TEXT)))
