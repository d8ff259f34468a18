"""The name `localhost` for tests of what is done with a server's name: a machine without /etc/hosts knows none.

Everything else is asked of the machine, a name in text among it: the relay hands over bytes, and nothing else will do.
"""

LOCALHOST = """
import socket
def answer(host, *rest, ask=socket.getaddrinfo):
    return ask(b"127.0.0.1" if host == b"localhost" else host, *rest)
socket.getaddrinfo = answer
"""
