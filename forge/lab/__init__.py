"""The lab's firmware: a root file system of Debian's packages with a stand-in for OpenWrt. Boots nothing."""
