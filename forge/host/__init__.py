"""What this machine has: Debian's packages, Pythons, pip, namespaces. Installs nothing."""
