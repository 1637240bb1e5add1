-- Findings, whom they were told, what people said about them. Times are milliseconds since 1970 UTC.

-- +goose Up
CREATE TABLE finding (
    id            TEXT    PRIMARY KEY, -- the finding's own id: a replay raises the same one
    number        INTEGER NOT NULL UNIQUE, -- 1, 2, 3 in order of raising; pages go by it
    realm         TEXT    NOT NULL,
    sequence      INTEGER NOT NULL, -- of the record that raised it; 0: not known
    time          INTEGER NOT NULL, -- event time of that record
    seen          INTEGER NOT NULL,
    detector      TEXT    NOT NULL,
    unit          TEXT    NOT NULL,
    json          TEXT    NOT NULL, -- the finding as the contract writes it
    raised_at     INTEGER NOT NULL, -- when this server first raised it
    state         TEXT    NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'harvest', 'explained', 'false')),
    suppressed_by INTEGER REFERENCES suppression (id)
) STRICT, WITHOUT ROWID;

CREATE INDEX finding_time ON finding (time);
CREATE INDEX finding_state ON finding (state, number);

-- Every judgement is kept; finding.state is that of the last one.
CREATE TABLE verdict (
    id      INTEGER PRIMARY KEY,
    finding TEXT    NOT NULL REFERENCES finding (id),
    kind    TEXT    NOT NULL CHECK (kind IN ('harvest', 'explained', 'false')),
    reason  TEXT    NOT NULL,
    who     TEXT    NOT NULL,
    at      INTEGER NOT NULL
) STRICT;

CREATE INDEX verdict_finding ON verdict (finding, id);

CREATE TABLE suppression (
    id       INTEGER PRIMARY KEY AUTOINCREMENT, -- a number is never used again
    detector TEXT    NOT NULL, -- '': any
    unit     TEXT    NOT NULL, -- '': any
    realm    TEXT,             -- NULL: any; '' is the realm without a name
    reason   TEXT    NOT NULL,
    who      TEXT    NOT NULL,
    since    INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    lifted   INTEGER,          -- when somebody ended it early
    lifter   TEXT,
    CHECK (until > since)
) STRICT;

-- One row for each channel that is to be told of a finding, made in the transaction that makes the finding.
CREATE TABLE delivery (
    finding  TEXT    NOT NULL REFERENCES finding (id),
    channel  TEXT    NOT NULL,
    number   INTEGER NOT NULL, -- the finding's
    made     INTEGER NOT NULL,
    due      INTEGER NOT NULL, -- a refused one is not to be tried before
    attempts INTEGER NOT NULL DEFAULT 0,
    state    TEXT    NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent')),
    refused  INTEGER NOT NULL DEFAULT 0, -- 1: the other side said no to this message, and will be asked again
    tried    INTEGER,          -- the last try
    sent     INTEGER,
    error    TEXT    NOT NULL DEFAULT '', -- of the last try, without secrets
    PRIMARY KEY (finding, channel)
) STRICT, WITHOUT ROWID;

CREATE INDEX delivery_pending ON delivery (channel, attempts, number) WHERE state = 'pending';
CREATE INDEX delivery_channel ON delivery (channel, state);

-- +goose Down
DROP TABLE delivery;
DROP TABLE verdict;
DROP TABLE finding;
DROP TABLE suppression;
