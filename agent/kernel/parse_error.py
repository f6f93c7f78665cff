"""The one error of every parser."""


class ParseError(ValueError):
    """Input that is not what its source claims to be.

    source: what was read ("netstat", "ss", "iperf3"); where: "line 3", "byte 120", "end.streams[0]";
    reason: what is wrong there; excerpt: the offending piece, at most 80 characters.
    """

    def __init__(self, source: str, where: str, reason: str, excerpt: str = "") -> None:
        self.source = source
        self.where = where
        self.reason = reason
        self.excerpt = excerpt[:80]
        shown = f": {self.excerpt!r}" if self.excerpt else ""
        super().__init__(f"{source}: {where}: {reason}{shown}")
