-- The lists have an index for each of their filters, and nothing is kept that nobody reads (docs/decisions/0086). The index keeps writers of calls
-- waiting while it is made: a large installation makes it before, with CREATE INDEX CONCURRENTLY.
CREATE INDEX IF NOT EXISTS calls_list_by_direction ON calls (org_id, direction, created_at DESC, id DESC);

-- Under row-level security `@>` comes after the tenant, so that no query of the application could use these (0001, matching_calls).
DROP INDEX agents_metadata;
DROP INDEX voice_configurations_metadata;
DROP INDEX phone_numbers_metadata;
DROP INDEX conversations_metadata;

ALTER TABLE organizations DROP COLUMN settings;
ALTER TABLE conversations DROP COLUMN metadata;
-- A key exists exactly when its answer does; that holds the status.
ALTER TABLE idempotency_keys DROP COLUMN status, DROP COLUMN response_status;
