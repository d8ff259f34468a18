"""Site files: what a router is to be set to, read, checked, and filled into files/."""
