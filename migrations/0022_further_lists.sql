-- Lists that read through all rows of a tenant to find few. Each index keeps writers of its table waiting while it is made: a large installation
-- makes them before, with CREATE INDEX CONCURRENTLY (docs/decisions/0078).
CREATE INDEX IF NOT EXISTS calls_list_by_channel ON calls (org_id, channel, created_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS conversations_list_by_status ON conversations (org_id, status, created_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS audit_log_by_resource_id ON audit_log (org_id, resource_id, created_at DESC, id DESC);
