"""The packages of package/*/Makefile without OpenWrt's SDK: evaluated, staged, packed, signed, laid out as a feed."""
