-- Public keys of signing keys, for the key set that gateways ask for. Everything else about keys is in the ledger. Times are milliseconds
-- since 1970 UTC.

-- +goose Up
CREATE TABLE key_public (
    realm TEXT    NOT NULL,
    key   TEXT    NOT NULL, -- the key id (kid)
    jwk   TEXT    NOT NULL, -- RFC 7517, public members only
    added INTEGER NOT NULL,
    adder TEXT    NOT NULL,
    until INTEGER,          -- of a retired key: when its last credential has expired; NULL: it is not retired
    ended INTEGER,          -- when it was killed: it is never served from then on; NULL: it was not
    PRIMARY KEY (realm, key)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE key_public;
