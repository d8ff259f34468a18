"""The lab: firmware assembled from Debian packages, to prove the product on a booted router where there is no OpenWrt.

image.py is the entrance. What plays OpenWrt's part in the guest lies in standin/, as the router's file system has it.
"""
