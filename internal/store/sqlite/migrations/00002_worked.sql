-- Findings are worked: who has one, how it grew, and what of that is told. Times are milliseconds since 1970 UTC.

-- +goose Up
ALTER TABLE finding ADD COLUMN owner TEXT NOT NULL DEFAULT ''; -- who has it; '': nobody
ALTER TABLE finding ADD COLUMN assigned INTEGER;               -- since when
ALTER TABLE finding ADD COLUMN nagged INTEGER;                 -- when somebody was last reminded of it
ALTER TABLE finding ADD COLUMN grown TEXT;                     -- the last step, as the contract writes a finding; NULL: none

CREATE TABLE assignment (
    id      INTEGER PRIMARY KEY,
    finding TEXT    NOT NULL REFERENCES finding (id),
    owner   TEXT    NOT NULL, -- '': it was given back
    who     TEXT    NOT NULL, -- who said so
    reason  TEXT    NOT NULL,
    at      INTEGER NOT NULL
) STRICT;

CREATE INDEX assignment_finding ON assignment (finding, id);

-- A step by which a finding grew. A replay gives the same ones.
CREATE TABLE growth (
    finding  TEXT    NOT NULL REFERENCES finding (id),
    sequence INTEGER NOT NULL, -- of the record at which it grew
    kind     TEXT    NOT NULL,
    unit     TEXT    NOT NULL, -- where it shows
    json     TEXT    NOT NULL,
    PRIMARY KEY (finding, sequence, kind, unit)
) STRICT, WITHOUT ROWID;

-- A channel is told of a finding once, of its growth by updates, and reminded of it. An update that is not told yet is replaced by the next.
CREATE TABLE delivery_kinds (
    finding  TEXT    NOT NULL REFERENCES finding (id),
    channel  TEXT    NOT NULL,
    kind     TEXT    NOT NULL DEFAULT 'finding' CHECK (kind IN ('finding', 'update', 'reminder')),
    serial   INTEGER NOT NULL DEFAULT 1, -- how many of the kind were made so far
    number   INTEGER NOT NULL, -- the finding's
    made     INTEGER NOT NULL,
    due      INTEGER NOT NULL, -- a refused one is not to be tried before
    attempts INTEGER NOT NULL DEFAULT 0,
    state    TEXT    NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent')),
    refused  INTEGER NOT NULL DEFAULT 0, -- 1: the other side said no to this message, and will be asked again
    tried    INTEGER,          -- the last try
    sent     INTEGER,
    error    TEXT    NOT NULL DEFAULT '', -- of the last try, without secrets
    PRIMARY KEY (finding, channel, kind)
) STRICT, WITHOUT ROWID;

INSERT INTO delivery_kinds (finding, channel, number, made, due, attempts, state, refused, tried, sent, error)
    SELECT finding, channel, number, made, due, attempts, state, refused, tried, sent, error FROM delivery;
DROP TABLE delivery;
ALTER TABLE delivery_kinds RENAME TO delivery;

CREATE INDEX delivery_pending ON delivery (channel, attempts, number) WHERE state = 'pending';
CREATE INDEX delivery_channel ON delivery (channel, state);
CREATE INDEX finding_open ON finding (raised_at) WHERE state = 'open' AND owner = '';

-- +goose Down
DROP INDEX finding_open;
CREATE TABLE delivery_one (
    finding  TEXT    NOT NULL REFERENCES finding (id),
    channel  TEXT    NOT NULL,
    number   INTEGER NOT NULL,
    made     INTEGER NOT NULL,
    due      INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    state    TEXT    NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent')),
    refused  INTEGER NOT NULL DEFAULT 0,
    tried    INTEGER,
    sent     INTEGER,
    error    TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (finding, channel)
) STRICT, WITHOUT ROWID;
INSERT INTO delivery_one SELECT finding, channel, number, made, due, attempts, state, refused, tried, sent, error FROM delivery WHERE kind = 'finding';
DROP TABLE delivery;
ALTER TABLE delivery_one RENAME TO delivery;
CREATE INDEX delivery_pending ON delivery (channel, attempts, number) WHERE state = 'pending';
CREATE INDEX delivery_channel ON delivery (channel, state);
DROP TABLE growth;
DROP TABLE assignment;
ALTER TABLE finding DROP COLUMN grown;
ALTER TABLE finding DROP COLUMN nagged;
ALTER TABLE finding DROP COLUMN assigned;
ALTER TABLE finding DROP COLUMN owner;
