-- Tokens for one purpose each: send records, or ask the guard. The role ingest goes on doing both. Times are milliseconds since 1970 UTC.

-- +goose Up
CREATE TABLE token_roles (
    id      TEXT    PRIMARY KEY,
    name    TEXT    NOT NULL, -- what people call it
    role    TEXT    NOT NULL CHECK (role IN ('ingest', 'send', 'door', 'read', 'admin', 'lookup')),
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
DELETE FROM token WHERE role IN ('send', 'door');
