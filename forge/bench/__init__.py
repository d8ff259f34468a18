"""./inv bench: the relay beside Postfix, and on a guest."""
