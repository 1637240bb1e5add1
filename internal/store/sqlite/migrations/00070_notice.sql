-- Notices to people: one row a notice. Who gets it, and what became of each, is in a file of its own. Times are milliseconds since 1970 UTC.

-- +goose Up
CREATE TABLE notice (
    number   INTEGER PRIMARY KEY, -- part of the codes
    incident INTEGER NOT NULL,
    version  INTEGER NOT NULL, -- of the scope
    since    INTEGER NOT NULL, -- the scope version whose people, with the fields they had then, are left out; 0: none
    state    TEXT    NOT NULL,
    why      TEXT    NOT NULL, -- it stands still
    made_at  INTEGER NOT NULL,
    made_by  TEXT    NOT NULL,
    hash     TEXT    NOT NULL, -- of the texts that were approved
    letter   TEXT    NOT NULL, -- those texts, JSON
    approved_by TEXT NOT NULL,
    quota    INTEGER NOT NULL, -- how many people may have been tried: the waves so far
    rate     REAL    NOT NULL, -- notices a second; 0: as fast as it goes
    secret   BLOB    NOT NULL  -- codes and message ids come from it
) STRICT;

-- +goose Down
DROP TABLE notice;
