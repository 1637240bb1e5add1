-- What is left of a notice when retention removed who was told by it: counts, no person. Times are milliseconds since 1970 UTC.

-- +goose Up
ALTER TABLE notice ADD COLUMN purged INTEGER NOT NULL DEFAULT 0; -- when; 0: it was not
ALTER TABLE notice ADD COLUMN left_over TEXT NOT NULL DEFAULT ''; -- people and outcomes as they were then, JSON

-- +goose Down
ALTER TABLE notice DROP COLUMN left_over;
ALTER TABLE notice DROP COLUMN purged;
