"""Installed packages: hashes of their archives, and known vulnerabilities."""
