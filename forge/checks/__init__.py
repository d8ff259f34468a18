"""./inv test and ./inv lint: stages of checks, side by side."""
