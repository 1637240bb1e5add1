-- What people built on the pages: filters and customers behind opaque handles, saved versions of scopes, who took a finding.
-- Times are milliseconds since 1970 UTC. Filters and subjects hold ids of customers: they stand here so that no address does.

-- +goose Up
CREATE TABLE console_handle (
    id   TEXT    PRIMARY KEY, -- drawn at random: it says nothing of what it stands for
    kind TEXT    NOT NULL CHECK (kind IN ('filter', 'subject')),
    text TEXT    NOT NULL,    -- the filter, or the subject with its realm, as JSON
    made INTEGER NOT NULL,
    used INTEGER NOT NULL,    -- to the day; what nobody used for long goes
    UNIQUE (kind, text)
) STRICT, WITHOUT ROWID;

CREATE TABLE console_version (
    name     TEXT    NOT NULL, -- of the scope
    number   INTEGER NOT NULL, -- 1, 2, 3
    handle   TEXT    NOT NULL REFERENCES console_handle (id),
    as_of    INTEGER NOT NULL, -- sequence: the same count again, whatever came since
    subjects INTEGER NOT NULL,
    exact    INTEGER NOT NULL, -- 0: a gap touches it
    note     TEXT    NOT NULL, -- why it was made
    who      TEXT    NOT NULL,
    made     INTEGER NOT NULL,
    PRIMARY KEY (name, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX console_version_handle ON console_version (handle);

CREATE TABLE console_take (
    finding TEXT    PRIMARY KEY,
    owner   TEXT    NOT NULL,
    who     TEXT    NOT NULL, -- who said so
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE console_take;
DROP TABLE console_version;
DROP TABLE console_handle;
