import sqlite3

from collector.store.schema import MIGRATIONS, open_writer
from collector.store.tokens import enroll, enrolments, node_of_token, revoke


def test_a_token_names_its_node_until_it_is_replaced_or_revoked(tmp_path):
    """One token per node: the newest works, the one before and a revoked one do not."""
    connection = open_writer(tmp_path / "store.db")
    first, other = enroll(connection, "ams", 1), enroll(connection, "fra", 1)
    assert (node_of_token(connection, first, 3), node_of_token(connection, other, 3)) == ("ams", "fra")
    second = enroll(connection, "ams", 2)
    assert node_of_token(connection, first, 3) is None
    assert node_of_token(connection, second, 3) == "ams"
    assert revoke(connection, "ams") is True
    assert revoke(connection, "ams") is False
    assert node_of_token(connection, second, 3) is None
    assert node_of_token(connection, other, 3) == "fra"
    connection.close()


def test_the_file_does_not_hold_the_token(tmp_path):
    """Whoever reads the database cannot write as a node."""
    path = tmp_path / "store.db"
    connection = open_writer(path)
    token = enroll(connection, "ams", 1)
    connection.close()
    assert token.encode() not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert len(token) >= 43


def test_nonsense_is_nobody(tmp_path):
    """An empty token, or one that is no valid text, belongs to no node."""
    connection = open_writer(tmp_path / "store.db")
    enroll(connection, "ams", 1)
    assert [node_of_token(connection, token, 3) for token in ("", "x", "\udcff", "' OR 1=1 --")] == [None] * 4
    connection.close()


def test_after_a_rotation_both_tokens_work_until_the_overlap_ends(tmp_path):
    """An agent can change over without a gap; from the stated second on the old token is nobody's."""
    connection = open_writer(tmp_path / "store.db")
    old = enroll(connection, "ams", 100)
    new = enroll(connection, "ams", 200, overlap_seconds=60)
    assert [node_of_token(connection, old, now_s) for now_s in (200, 259, 260)] == ["ams", "ams", None]
    assert [node_of_token(connection, new, now_s) for now_s in (200, 260, 10**9)] == ["ams"] * 3
    assert [(each.created_s, each.expires_s) for each in enrolments(connection, 259)] == [
        (200, None),
        (100, 260),
    ]
    assert [each.created_s for each in enrolments(connection, 260)] == [200]
    connection.close()


def test_a_later_rotation_never_lengthens_an_older_overlap(tmp_path):
    """A token that was to end at once, because it had leaked, ends then whatever comes after."""
    connection = open_writer(tmp_path / "store.db")
    first = enroll(connection, "ams", 100)
    second = enroll(connection, "ams", 200, overlap_seconds=10)
    enroll(connection, "ams", 205, overlap_seconds=1000)
    assert node_of_token(connection, first, 211) is None
    assert node_of_token(connection, second, 211) == "ams"
    enroll(connection, "ams", 300)
    assert len(enrolments(connection, 300)) == 1
    assert connection.execute("SELECT count(*) FROM token").fetchone() == (1,)
    connection.close()


def test_a_store_of_before_keeps_its_tokens(tmp_path):
    """Agents enrolled by an older version go on without a new token."""
    path = tmp_path / "store.db"
    before = MIGRATIONS[: next(i for i, script in enumerate(MIGRATIONS) if "enrolled_token" in script)]
    connection = open_writer(path, before)
    connection.execute("INSERT INTO node (id, name) VALUES (1, 'ams')")
    digest = bytes.fromhex("3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0")  # of "token"
    connection.execute("INSERT INTO token VALUES (1, ?, 100)", (sqlite3.Binary(digest),))
    connection.close()
    connection = open_writer(path)
    assert node_of_token(connection, "token", 10**9) == "ams"
    connection.close()
