"""Bandwidth tests before they run: who, when, how many bytes, at what price. Pure."""
