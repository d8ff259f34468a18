"""The lab: firmware assembled from Debian packages, so that the product can be proved on a booted router without OpenWrt.

image.py is the entrance. What plays OpenWrt's part in the guest lies in standin/, as the router's file system has it.
"""
