"""Guests in QEMU: started, asked, saved and ended; the way into them and into routers."""
