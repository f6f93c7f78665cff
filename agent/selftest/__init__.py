"""`lightfloor-agent selftest`: what works on this host, what does not and why, before anybody waits for a minute of data."""
