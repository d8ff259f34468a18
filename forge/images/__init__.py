"""Firmware with the relay in it, by OpenWrt's ImageBuilder, by a server, or of the lab."""
