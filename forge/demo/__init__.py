"""./inv demo: the same story on a router in QEMU and on this machine."""
