from collector.store.schema import open_writer
from collector.store.tokens import enroll, node_of_token, revoke


def test_a_token_names_its_node_until_it_is_replaced_or_revoked(tmp_path):
    """One token per node: the newest works, the one before and a revoked one do not."""
    connection = open_writer(tmp_path / "store.db")
    first, other = enroll(connection, "ams", 1), enroll(connection, "fra", 1)
    assert (node_of_token(connection, first), node_of_token(connection, other)) == ("ams", "fra")
    second = enroll(connection, "ams", 2)
    assert node_of_token(connection, first) is None
    assert node_of_token(connection, second) == "ams"
    assert revoke(connection, "ams") is True
    assert revoke(connection, "ams") is False
    assert node_of_token(connection, second) is None
    assert node_of_token(connection, other) == "fra"
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
    assert [node_of_token(connection, token) for token in ("", "x", "\udcff", "' OR 1=1 --")] == [None] * 4
    connection.close()
