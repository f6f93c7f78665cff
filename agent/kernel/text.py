"""The two steps every text parser begins with: bytes to text, digits to a number."""

from agent.kernel.parse_error import ParseError

MAX_DIGITS = 20  # 2**64 − 1 has 20


def text_of(source: str, data: bytes) -> str:
    """The bytes as text, or ParseError: kernel and tools print UTF-8 (interface aliases, model names) or ASCII."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ParseError(
            source, f"byte {error.start}", "not UTF-8 text", repr(data[error.start : error.start + 20])
        ) from None


def number(source: str, where: str, word: str) -> int:
    """A decimal number of at most 64 bits, with an optional minus sign, as the kernel prints it; or ParseError."""
    digits = word.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= MAX_DIGITS):
        raise ParseError(source, where, "a decimal number was expected", word)
    return int(word)
