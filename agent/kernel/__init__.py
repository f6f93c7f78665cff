"""Parsers of what the kernel and its tools print: text or bytes in, typed value out. No IO in here."""
