-- Standing decisions of the guard, and their order of events for those who follow them. Times are milliseconds since 1970 UTC.

-- +goose Up
CREATE TABLE guard_decision (
    id       TEXT    PRIMARY KEY,
    action   TEXT    NOT NULL CHECK (action IN ('mask', 'step_up', 'throttle', 'deny')),
    filter   TEXT    NOT NULL, -- as the contract writes it
    mask     TEXT    NOT NULL, -- JSON list of field names; of the action mask
    reason   TEXT    NOT NULL,
    who      TEXT    NOT NULL,
    finding  TEXT,             -- the finding it came from: one decision for each, even after it was undone
    made     INTEGER NOT NULL,
    expires  INTEGER NOT NULL,
    undone   INTEGER,          -- when somebody ended it early
    undoer   TEXT,
    why      TEXT,
    recorded INTEGER NOT NULL DEFAULT 0, -- sequence of its record in the ledger; 0: not there yet
    unrecord INTEGER NOT NULL DEFAULT 0, -- the same for its end
    CHECK (expires > made)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX guard_decision_finding ON guard_decision (finding) WHERE finding IS NOT NULL;
CREATE INDEX guard_decision_expires ON guard_decision (expires);

-- What a follower has seen is a number; a number is never used again.
CREATE TABLE guard_event (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    decision TEXT    NOT NULL REFERENCES guard_decision (id),
    kind     TEXT    NOT NULL CHECK (kind IN ('add', 'remove')),
    at       INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE guard_event;
DROP TABLE guard_decision;
