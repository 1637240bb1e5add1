-- What happened in incidents, in order. Nothing here is ever changed or removed. Times are milliseconds since 1970 UTC.

-- +goose Up
CREATE TABLE incident_event (
    incident INTEGER NOT NULL, -- 1, 2, 3 in order of opening
    number   INTEGER NOT NULL, -- 1, 2, 3 within the incident
    at       INTEGER NOT NULL, -- when it was recorded
    who      TEXT    NOT NULL,
    kind     TEXT    NOT NULL,
    json     TEXT    NOT NULL,
    hash     BLOB    NOT NULL, -- of the event and the hash of the one before
    PRIMARY KEY (incident, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX incident_event_kind ON incident_event (kind, incident);

-- Which events are in the ledger too, by their hash.
CREATE TABLE incident_anchor (
    incident INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (incident, number),
    FOREIGN KEY (incident, number) REFERENCES incident_event (incident, number)
) STRICT, WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER incident_event_stays BEFORE UPDATE ON incident_event BEGIN
    SELECT RAISE(ABORT, 'what happened in an incident is never changed: record what is true beside it');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER incident_event_remains BEFORE DELETE ON incident_event BEGIN
    SELECT RAISE(ABORT, 'what happened in an incident is never removed');
END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE incident_anchor;
DROP TABLE incident_event;
