"""STAMP, the Simple Two-way Active Measurement Protocol (RFC 8762): packets, reflector, what a sender learns. Pure."""
