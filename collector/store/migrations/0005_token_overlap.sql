-- A node's token may have a successor beside it: after a rotation the old one is good until expires_s.
CREATE TABLE enrolled_token (
    sha256 BLOB PRIMARY KEY,
    node INTEGER NOT NULL,
    created_s INTEGER NOT NULL,
    expires_s INTEGER
) WITHOUT ROWID;

INSERT INTO enrolled_token (sha256, node, created_s) SELECT sha256, node, created_s FROM token;

DROP TABLE token;

ALTER TABLE enrolled_token RENAME TO token;

CREATE INDEX token_node ON token (node);
