-- Followed logs and how far each generation of them was read. Times are milliseconds since 1970 UTC.

-- +goose Up
CREATE TABLE follow_log (
    source TEXT    PRIMARY KEY,
    began  INTEGER NOT NULL, -- rotated files last written up to then (nanoseconds) were there before the log was followed
    path   TEXT    NOT NULL,
    since  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A generation is what a writer wrote from one rotation to the next, whatever file holds it now. Hashes, not text: the
-- log's lines are personal data.
CREATE TABLE follow_generation (
    source      TEXT    NOT NULL REFERENCES follow_log (source) ON DELETE CASCADE,
    id          INTEGER NOT NULL,
    path        TEXT    NOT NULL, -- where it was last
    device      INTEGER NOT NULL,
    inode       INTEGER NOT NULL,
    start       INTEGER NOT NULL, -- NUL bytes before the first line
    offset      INTEGER NOT NULL, -- what is before it is in the ledger; the beginning of a line
    lines       INTEGER NOT NULL, -- line feeds before offset
    head_length INTEGER NOT NULL,
    head        BLOB    NOT NULL, -- SHA-256 of the first head_length bytes after start
    tail_length INTEGER NOT NULL,
    tail        BLOB    NOT NULL, -- SHA-256 of the last tail_length bytes before offset
    final       INTEGER NOT NULL, -- its size, decompressed, when nothing more was expected; -1: not yet
    seen        INTEGER NOT NULL, -- when it was last found
    PRIMARY KEY (source, id)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE follow_generation;
DROP TABLE follow_log;
