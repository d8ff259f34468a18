"""What everything stands on: errors, paths, programs, the console, the command line's grammar. Knows no other room."""
