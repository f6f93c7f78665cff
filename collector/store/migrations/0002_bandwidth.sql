-- Leases of bandwidth tests. bytes: reserved when leased, settled when the test has ended; a test whose end nobody
-- told keeps what was reserved. Nodes by name: a node may be leased before it has sent its first batch.
CREATE TABLE bandwidth_lease (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    client TEXT NOT NULL,
    server TEXT NOT NULL,
    leased_s INTEGER NOT NULL,
    outcome TEXT,
    reason TEXT,
    bytes INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX bandwidth_lease_by_time ON bandwidth_lease (leased_s);
