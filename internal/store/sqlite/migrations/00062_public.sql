-- The public pages. Times are milliseconds since 1970 UTC.

-- +goose Up
-- When a posted notice could last be read, as far as somebody looked.
CREATE TABLE posting_seen (
    incident INTEGER NOT NULL,
    event    INTEGER NOT NULL, -- the one that posted it
    seen     INTEGER NOT NULL,
    PRIMARY KEY (incident, event),
    FOREIGN KEY (incident, event) REFERENCES incident_event (incident, number)
) STRICT, WITHOUT ROWID;

-- Tokens of the shop's own programs that hand look-up secrets to its customers, and do nothing else.
CREATE TABLE token_roles (
    id      TEXT    PRIMARY KEY,
    name    TEXT    NOT NULL, -- what people call it
    role    TEXT    NOT NULL CHECK (role IN ('ingest', 'read', 'admin', 'lookup')),
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
INSERT INTO token_roles (id, name, role, sources, types, hash, made, maker, expires, ended, ender, used)
    SELECT id, name, role, sources, types, hash, made, maker, expires, ended, ender, used FROM token;
DROP TABLE token;
ALTER TABLE token_roles RENAME TO token;
CREATE UNIQUE INDEX token_name ON token (name) WHERE ended IS NULL;

-- +goose Down
DELETE FROM token WHERE role = 'lookup';
DROP TABLE posting_seen;
