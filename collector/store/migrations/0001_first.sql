-- The first layout. A released migration never changes; the next one is a new file.

CREATE TABLE node (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    last_batch_s INTEGER,
    last_window_s INTEGER
);

CREATE TABLE token (
    node INTEGER PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE,
    created_s INTEGER NOT NULL
);

CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    node INTEGER NOT NULL,
    destination TEXT NOT NULL,
    probe TEXT NOT NULL,
    family TEXT NOT NULL,
    time_source TEXT NOT NULL,
    UNIQUE (node, destination, probe, family, time_source)
);

-- What was stored already: a repeat changes nothing. newest_s: start of its latest window.
CREATE TABLE batch (
    node INTEGER NOT NULL,
    boot BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    newest_s INTEGER NOT NULL,
    PRIMARY KEY (node, boot, sequence)
) WITHOUT ROWID;

CREATE INDEX batch_newest ON batch (newest_s);

-- 2097152 = 2^21 and 1125899906842624 = 2^50: see MOST_SAMPLES_PER_MINUTE and MOST_SUM_NS_PER_MINUTE.
CREATE TABLE minute (
    start_s INTEGER NOT NULL,
    series INTEGER NOT NULL,
    spoiled INTEGER NOT NULL,
    count INTEGER NOT NULL CHECK (count <= 2097152),
    sum_ns INTEGER NOT NULL CHECK (sum_ns BETWEEN 0 AND 1125899906842624),
    min_ns INTEGER,
    max_ns INTEGER,
    judged INTEGER NOT NULL,
    over_limit INTEGER NOT NULL,
    limit_low_ns INTEGER,
    limit_high_ns INTEGER,
    ok INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    timeout INTEGER NOT NULL,
    unreachable INTEGER NOT NULL,
    syn_retransmitted INTEGER NOT NULL,
    invalid INTEGER NOT NULL,
    unresolved INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    unavailable INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    quality TEXT,
    histogram BLOB NOT NULL,
    PRIMARY KEY (start_s, series, spoiled)
) WITHOUT ROWID;

CREATE TABLE hour (
    start_s INTEGER NOT NULL,
    series INTEGER NOT NULL,
    spoiled INTEGER NOT NULL,
    count INTEGER NOT NULL,
    sum_ns INTEGER NOT NULL,
    min_ns INTEGER,
    max_ns INTEGER,
    judged INTEGER NOT NULL,
    over_limit INTEGER NOT NULL,
    limit_low_ns INTEGER,
    limit_high_ns INTEGER,
    ok INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    timeout INTEGER NOT NULL,
    unreachable INTEGER NOT NULL,
    syn_retransmitted INTEGER NOT NULL,
    invalid INTEGER NOT NULL,
    unresolved INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    unavailable INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    minutes INTEGER NOT NULL,
    measured INTEGER NOT NULL,
    available INTEGER NOT NULL,
    judged_minutes INTEGER NOT NULL,
    judged_squared INTEGER NOT NULL,
    judged_times_over INTEGER NOT NULL,
    over_squared INTEGER NOT NULL,
    quality TEXT,
    histogram BLOB NOT NULL,
    PRIMARY KEY (start_s, series, spoiled)
) WITHOUT ROWID;

CREATE TABLE day (
    start_s INTEGER NOT NULL,
    series INTEGER NOT NULL,
    spoiled INTEGER NOT NULL,
    count INTEGER NOT NULL,
    sum_ns INTEGER NOT NULL,
    min_ns INTEGER,
    max_ns INTEGER,
    judged INTEGER NOT NULL,
    over_limit INTEGER NOT NULL,
    limit_low_ns INTEGER,
    limit_high_ns INTEGER,
    ok INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    timeout INTEGER NOT NULL,
    unreachable INTEGER NOT NULL,
    syn_retransmitted INTEGER NOT NULL,
    invalid INTEGER NOT NULL,
    unresolved INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    unavailable INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    minutes INTEGER NOT NULL,
    measured INTEGER NOT NULL,
    available INTEGER NOT NULL,
    judged_minutes INTEGER NOT NULL,
    judged_squared INTEGER NOT NULL,
    judged_times_over INTEGER NOT NULL,
    over_squared INTEGER NOT NULL,
    quality TEXT,
    histogram BLOB NOT NULL,
    PRIMARY KEY (start_s, series, spoiled)
) WITHOUT ROWID;

-- What a probe measures beside its round-trip time. kind: time (a histogram), counter (value adds up), gauge
-- (value is the latest, low and high what it was between).
CREATE TABLE minute_measure (
    start_s INTEGER NOT NULL,
    series INTEGER NOT NULL,
    spoiled INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value REAL,
    low REAL,
    high REAL,
    count INTEGER NOT NULL,
    sum_ns INTEGER NOT NULL,
    min_ns INTEGER,
    max_ns INTEGER,
    histogram BLOB NOT NULL,
    PRIMARY KEY (start_s, series, spoiled, kind, name)
) WITHOUT ROWID;

CREATE TABLE hour_measure (
    start_s INTEGER NOT NULL,
    series INTEGER NOT NULL,
    spoiled INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value REAL,
    low REAL,
    high REAL,
    count INTEGER NOT NULL,
    sum_ns INTEGER NOT NULL,
    min_ns INTEGER,
    max_ns INTEGER,
    histogram BLOB NOT NULL,
    PRIMARY KEY (start_s, series, spoiled, kind, name)
) WITHOUT ROWID;

CREATE TABLE day_measure (
    start_s INTEGER NOT NULL,
    series INTEGER NOT NULL,
    spoiled INTEGER NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value REAL,
    low REAL,
    high REAL,
    count INTEGER NOT NULL,
    sum_ns INTEGER NOT NULL,
    min_ns INTEGER,
    max_ns INTEGER,
    histogram BLOB NOT NULL,
    PRIMARY KEY (start_s, series, spoiled, kind, name)
) WITHOUT ROWID;

-- Hours and days of one node's series that have to be merged anew.
CREATE TABLE touched (
    tier TEXT NOT NULL,
    start_s INTEGER NOT NULL,
    node INTEGER NOT NULL,
    PRIMARY KEY (tier, start_s, node)
) WITHOUT ROWID;

-- Rows of the tier before start_s are deleted, or may be at any moment.
CREATE TABLE horizon (
    tier TEXT PRIMARY KEY,
    start_s INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO horizon VALUES ('minute', 0), ('hour', 0), ('day', 0);

CREATE TABLE fact (
    node INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    source TEXT NOT NULL,
    reason TEXT,
    changed_s INTEGER NOT NULL,
    seen_s INTEGER NOT NULL,
    PRIMARY KEY (node, name)
) WITHOUT ROWID;

CREATE TABLE fact_change (
    node INTEGER NOT NULL,
    name TEXT NOT NULL,
    time_s INTEGER NOT NULL,
    value TEXT NOT NULL,
    source TEXT NOT NULL,
    reason TEXT,
    PRIMARY KEY (node, name, time_s)
) WITHOUT ROWID;

CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    node INTEGER NOT NULL,
    time_s INTEGER NOT NULL,
    kind TEXT NOT NULL,
    destination TEXT,
    family TEXT,
    detail TEXT NOT NULL
);

CREATE INDEX event_path ON event (node, destination, time_s);

CREATE INDEX event_time ON event (time_s);
