"""The relay and Debian's Postfix as processes of their own on loopback, for demo, tests and bench."""
