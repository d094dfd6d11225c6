-- The lists have an index for each of their filters (docs/decisions/0086). It keeps writers of calls waiting while it is made: a large installation
-- makes it before, with CREATE INDEX CONCURRENTLY.
--
-- Nobody reads organizations.settings, conversations.metadata, nor status and response_status of idempotency_keys any more. They stay until
-- no server can be running that does: an earlier build beside one that has migrated would fail on what is gone.
CREATE INDEX IF NOT EXISTS calls_list_by_direction ON calls (org_id, direction, created_at DESC, id DESC);
