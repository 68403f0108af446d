"""Rejects and records every connection to another machine; `test_pipeline.py` puts this folder on PYTHONPATH."""

import ipaddress
import os
import socket
import sys
from pathlib import Path

_connect, _connect_ex, _getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo


def _is_local(host):
    if not host or host in ("localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _refuse(host):
    with Path(os.environ["SEGUE_REFUSED"]).open("a") as refused:
        refused.write(f"{host} by {' '.join(sys.orig_argv[:6])}\n")
    raise OSError(f"the test rejects connections to {host}")


def _check(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address[0]):
        _refuse(address[0])


def connect(self, address):
    _check(self, address)
    return _connect(self, address)


def connect_ex(self, address):
    _check(self, address)
    return _connect_ex(self, address)


def getaddrinfo(host, *arguments, **named):
    if not _is_local(host.decode() if isinstance(host, bytes) else host):
        _refuse(host)
    return _getaddrinfo(host, *arguments, **named)


if os.environ.get("SEGUE_REFUSED"):
    socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo = connect, connect_ex, getaddrinfo
