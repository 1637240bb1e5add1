-- A finding makes a decision for each place to which it spreads; their ids keep each from being made twice.

-- +goose Up
DROP INDEX guard_decision_finding;
CREATE INDEX guard_decision_finding ON guard_decision (finding) WHERE finding IS NOT NULL;

-- +goose Down
DROP INDEX guard_decision_finding;
CREATE UNIQUE INDEX guard_decision_finding ON guard_decision (finding) WHERE finding IS NOT NULL;
