-- What channels are told beside findings: deadlines of incidents. Times are milliseconds since 1970 UTC.

-- +goose Up
CREATE TABLE note (
    id     TEXT    PRIMARY KEY,
    number INTEGER NOT NULL UNIQUE, -- 1, 2, 3 in order
    json   TEXT    NOT NULL,        -- the message
    made   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What was noted once and is not noted again: "1 kr-pipa-34/authority half …".
CREATE TABLE note_key (
    key  TEXT PRIMARY KEY,
    note TEXT NOT NULL REFERENCES note (id)
) STRICT, WITHOUT ROWID;

CREATE TABLE note_delivery (
    note     TEXT    NOT NULL REFERENCES note (id),
    channel  TEXT    NOT NULL,
    number   INTEGER NOT NULL, -- the note's
    made     INTEGER NOT NULL,
    due      INTEGER NOT NULL, -- a refused one is not to be tried before
    attempts INTEGER NOT NULL DEFAULT 0,
    state    TEXT    NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent')),
    refused  INTEGER NOT NULL DEFAULT 0,
    tried    INTEGER,
    sent     INTEGER,
    error    TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (note, channel)
) STRICT, WITHOUT ROWID;

CREATE INDEX note_delivery_pending ON note_delivery (channel, attempts, number) WHERE state = 'pending';

-- +goose Down
DROP TABLE note_delivery;
DROP TABLE note_key;
DROP TABLE note;
