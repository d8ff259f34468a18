"""Host tooling: what the tasks in tasks.py are made of. Nothing in here ever runs on a router."""
