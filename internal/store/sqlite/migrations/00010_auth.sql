-- Who may ask and send: tokens of programs, one-time links and sessions of people. Times are milliseconds since 1970 UTC.
-- No secret is here, only the SHA-256 of each: what is drawn from 256 random bits needs no slower hash.

-- +goose Up
CREATE TABLE token (
    id      TEXT    PRIMARY KEY,
    name    TEXT    NOT NULL, -- what people call it
    role    TEXT    NOT NULL CHECK (role IN ('ingest', 'read', 'admin')),
    sources TEXT    NOT NULL, -- JSON list of source names that it may send; ["*"]: any
    types   TEXT    NOT NULL, -- JSON list of record types that it may send
    hash    BLOB    NOT NULL,
    made    INTEGER NOT NULL,
    maker   TEXT    NOT NULL,
    expires INTEGER,          -- NULL: never
    ended   INTEGER,          -- when it was revoked
    ender   TEXT,
    used    INTEGER           -- the last use, to the minute
) STRICT, WITHOUT ROWID;

-- Names are free again when a token was revoked.
CREATE UNIQUE INDEX token_name ON token (name) WHERE ended IS NULL;

CREATE TABLE link (
    hash    BLOB    PRIMARY KEY,
    made    INTEGER NOT NULL,
    maker   TEXT    NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    hash    BLOB    PRIMARY KEY,
    who     TEXT    NOT NULL,
    role    TEXT    NOT NULL CHECK (role IN ('read', 'admin')),
    made    INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE session;
DROP TABLE link;
DROP TABLE token;
