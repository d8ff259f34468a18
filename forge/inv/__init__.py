"""The program ./inv and those of its tasks that look into several rooms."""
