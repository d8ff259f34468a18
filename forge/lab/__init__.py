"""The lab: firmware assembled from Debian packages, to prove the product on a booted router where OpenWrt is not at hand.

image.py is the entrance. What plays OpenWrt's part in the guest lies in standin/, as the router's file system has it.
"""
