#!/bin/sh
# The packages feed's CI runs this on a router that has the package, in place of its own look at every program.
mailrelay --version | grep -F "$PKG_VERSION"
