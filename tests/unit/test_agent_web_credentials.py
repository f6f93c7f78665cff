"""Passwords: right ones pass, all others do not, none of it stalls the loop or tells who exists."""

import asyncio
import base64
import time

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.web.credentials import MOST_WAITING, BusyError, Credentials, basic_credentials


def hashed(password, cost=4):
    return bcrypt.hashpw(password, bcrypt.gensalt(cost)).decode()


async def test_only_the_right_password_of_a_user_passes():
    """Not another's, not a longer one that bcrypt would cut, not that of a user who is gone, not the old one."""
    long = b"x" * 72
    users = {"a": hashed(b"one"), "b": hashed(b"two"), "long": hashed(long)}
    credentials = Credentials()
    for _ in range(2):
        assert await credentials.check(users, "a", b"one")
        assert not await credentials.check(users, "a", b"two")
        assert not await credentials.check(users, "c", b"one")
        assert not await credentials.check(users, "a", b"")
        assert await credentials.check(users, "long", long)
        assert not await credentials.check(users, "long", long + b"y")
    changed = {"a": hashed(b"new"), "b": users["b"]}
    assert not await credentials.check(changed, "a", b"one")
    assert await credentials.check(changed, "a", b"new")
    assert not await credentials.check({"b": users["b"]}, "a", b"new")
    credentials.close()


async def seconds(credentials, users, name, password):
    began = time.perf_counter()
    await credentials.check(users, name, password)
    return time.perf_counter() - began


async def test_a_right_password_is_worked_on_once_and_an_unknown_name_as_long_as_a_known_one():
    """The second scrape costs next to nothing; how long a refusal takes does not tell whether the user exists."""
    users, credentials = {"a": hashed(b"one", 10)}, Credentials()
    first = await seconds(credentials, users, "a", b"one")
    again = min([await seconds(credentials, users, "a", b"one") for _ in range(3)])
    assert again < first / 10
    wrong = min([await seconds(credentials, users, "a", b"x") for _ in range(3)])
    nobody = min([await seconds(credentials, users, "nobody", b"x") for _ in range(3)])
    assert wrong / 3 < nobody < wrong * 3
    credentials.close()


async def test_the_loop_turns_while_a_password_is_worked_on():
    """A ticker beside a check of hundreds of milliseconds is late by a fraction of it."""
    users, credentials = {"a": hashed(b"one", 12)}, Credentials()
    check = asyncio.create_task(seconds(credentials, users, "a", b"two"))
    late = []
    while not check.done():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        late.append(time.perf_counter() - before)
    assert len(late) > 5
    assert sorted(late)[len(late) // 2] < await check / 5
    credentials.close()


async def test_a_flood_of_guesses_is_turned_away():
    """Beyond the bound they are told to come again; whoever was right before still passes at once."""
    users, credentials = {"a": hashed(b"one", 8)}, Credentials()
    assert await credentials.check(users, "a", b"one")
    guesses = [asyncio.create_task(credentials.check(users, "a", b"%d" % n)) for n in range(MOST_WAITING + 5)]
    await asyncio.sleep(0)
    assert await credentials.check(users, "a", b"one")
    ended = await asyncio.gather(*guesses, return_exceptions=True)
    assert [each for each in ended if each is not False and not isinstance(each, BusyError)] == []
    assert sum(isinstance(each, BusyError) for each in ended) == 5
    credentials.close()


def header(text):
    return "Basic " + base64.b64encode(text).decode()


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (header(b"user:pass:word"), ("user", b"pass:word")),
        (header("ü:ß".encode()), ("ü", "ß".encode())),
        ("basic  " + base64.b64encode(b"a:").decode(), ("a", b"")),
        (header(b"nocolon"), None),
        (header(b"\xff:x"), None),
        ("Basic !!!", None),
        ("Basic", None),
        ("Bearer abc", None),
        ("", None),
    ],
)
def test_basic_headers(value, found):
    """RFC 7617: the password may have colons, names are UTF-8; anything else is nobody."""
    assert basic_credentials(value) == found


@given(st.text())
def test_any_header_is_somebody_or_nobody(value):
    """Never an exception."""
    basic_credentials(value)
    basic_credentials("Basic " + value)
