-- Announced work, and who may announce it over the API. Rows of maintenance are never deleted or changed but for their
-- removal: they are the record of what was left out of a verdict, on whose word and when. scope: JSON, as the API has it.
CREATE TABLE maintenance (
    id INTEGER PRIMARY KEY,
    start_s INTEGER NOT NULL,
    end_s INTEGER NOT NULL,
    reason TEXT NOT NULL,
    scope TEXT NOT NULL,
    origin TEXT NOT NULL,
    uid TEXT,
    added_s INTEGER NOT NULL,
    added_by TEXT NOT NULL,
    removed_s INTEGER,
    removed_by TEXT
);

CREATE INDEX maintenance_by_time ON maintenance (start_s);

CREATE INDEX maintenance_by_event ON maintenance (uid);

CREATE TABLE operator (
    name TEXT PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE,
    created_s INTEGER NOT NULL
) WITHOUT ROWID;
