-- Blocks of five minutes with data that was not judged yet, or came after it was. version: how often data came.
CREATE TABLE pending_block (
    start_s INTEGER PRIMARY KEY,
    version INTEGER NOT NULL
);

WITH RECURSIVE at(start_s) AS (
    SELECT max(start_s) / 300 * 300 FROM minute
    UNION ALL
    SELECT start_s - 300 FROM at WHERE start_s > (SELECT max(start_s) FROM minute) - 604800
)
INSERT INTO pending_block
SELECT start_s, 1 FROM at
WHERE start_s >= 0 AND EXISTS (
    SELECT 1 FROM minute WHERE minute.start_s >= at.start_s AND minute.start_s < at.start_s + 300
);

-- What was found in a block: who was heard, which paths left their usual ways. Compressed JSON.
CREATE TABLE judged_block (
    start_s INTEGER PRIMARY KEY,
    found BLOB NOT NULL
);

-- end_s: NULL while it lasts. body: the incident; pairs: every path that its cause would break. Compressed JSON.
CREATE TABLE incident (
    id TEXT PRIMARY KEY,
    start_s INTEGER NOT NULL,
    end_s INTEGER,
    body BLOB NOT NULL,
    pairs BLOB NOT NULL
) WITHOUT ROWID;

CREATE INDEX incident_start ON incident (start_s);
