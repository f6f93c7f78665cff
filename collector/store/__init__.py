"""The embedded store: one SQLite file, one writer thread, readers beside it. Layout and reasons are in schema.py."""
