-- Who gets one notice, and what became of each: a file for each notice, as its people are millions. Nothing here names or reaches a person: ids and
-- outcomes only. Times are seconds since 1970 UTC.

-- +goose Up
CREATE TABLE what (
    id     INTEGER PRIMARY KEY,
    realm  TEXT    NOT NULL,
    other  INTEGER NOT NULL, -- 1: somebody in address books, no customer
    fields TEXT    NOT NULL, -- shown in clear, sorted, with a vertical bar between
    people INTEGER NOT NULL,
    UNIQUE (realm, other, fields)
) STRICT;

CREATE TABLE lang (
    id  INTEGER PRIMARY KEY,
    tag TEXT NOT NULL UNIQUE
) STRICT;

-- A row is some 30 bytes: ids that are numbers are kept as numbers.
CREATE TABLE person (
    row      INTEGER PRIMARY KEY, -- 0, 1, 2: part of the code
    subject  ANY     NOT NULL,
    what     INTEGER NOT NULL,
    outcome  INTEGER NOT NULL,
    tries    INTEGER NOT NULL,
    at       INTEGER, -- last tried
    reply    INTEGER, -- what the relay answered
    lang     INTEGER,
    due      INTEGER, -- to be tried again
    exported INTEGER  -- last handed over for another channel
) STRICT;

CREATE INDEX person_due ON person (due) WHERE due IS NOT NULL;
CREATE INDEX person_unsure ON person (outcome, row) WHERE outcome IN (1, 7);

-- Kept with each change, so that counting costs nothing.
CREATE TABLE tally (
    outcome INTEGER PRIMARY KEY,
    people  INTEGER NOT NULL
) STRICT;

CREATE TABLE mark (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT;

-- Only while the list is made: people in address books, each once.
CREATE TABLE entry (
    other  INTEGER NOT NULL,
    realm  TEXT    NOT NULL,
    id     ANY     NOT NULL,
    fields TEXT    NOT NULL,
    PRIMARY KEY (other, realm, id)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE entry;
DROP TABLE mark;
DROP TABLE tally;
DROP TABLE person;
DROP TABLE lang;
DROP TABLE what;
