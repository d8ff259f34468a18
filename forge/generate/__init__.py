"""Files that are made from the relay's schema: tables in docs, LuCI's options, the router's option table."""
