-- How a call is about to end, because a server was asked for it that does not run it: the one that does sees only its stream end.
ALTER TABLE calls ADD COLUMN asked_end text CHECK (asked_end IN ('transferred', 'agent-hung-up'));

-- Invitations that nobody accepted in time go as well, a month after they expired: until then their inviters see what became of them.
-- Accepted ones stay: they say how somebody came to be a member.
CREATE INDEX invitations_expiry ON invitations (expires_at) WHERE accepted_at IS NULL;
GRANT DELETE ON invitations TO bvrai_lookup;
CREATE POLICY purge ON invitations FOR DELETE TO bvrai_lookup USING (accepted_at IS NULL AND expires_at < now());

GRANT CREATE ON SCHEMA public TO bvrai_lookup;
SET LOCAL ROLE bvrai_lookup;

-- As before (0012), and invitations.
CREATE OR REPLACE FUNCTION purge_expired(max_rows integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  purged bigint := 0;
  step bigint;
BEGIN
  IF NOT pg_try_advisory_xact_lock(hashtextextended('purge_expired', 0)) THEN
    RETURN 0;
  END IF;
  DELETE FROM refresh_tokens WHERE id IN (
    SELECT t.id FROM refresh_tokens t WHERE t.expires_at < now() ORDER BY t.expires_at LIMIT max_rows);
  GET DIAGNOSTICS step = ROW_COUNT;
  purged := purged + step;
  DELETE FROM idempotency_keys WHERE (org_id, key) IN (
    SELECT k.org_id, k.key FROM idempotency_keys k WHERE k.expires_at < now() ORDER BY k.expires_at LIMIT max_rows);
  GET DIAGNOSTICS step = ROW_COUNT;
  purged := purged + step;
  DELETE FROM invitations WHERE id IN (
    SELECT i.id FROM invitations i WHERE i.accepted_at IS NULL AND i.expires_at < now() - interval '30 days'
    ORDER BY i.expires_at LIMIT max_rows);
  GET DIAGNOSTICS step = ROW_COUNT;
  purged := purged + step;
  -- As long as a call of theirs is open they are needed to close it (lookup_call_owners).
  DELETE FROM instances WHERE id IN (
    SELECT i.id FROM instances i WHERE i.heartbeat_at < now() - interval '1 day'
      AND NOT EXISTS (SELECT FROM calls c WHERE c.instance_id = i.id AND c.ended_at IS NULL) LIMIT max_rows);
  GET DIAGNOSTICS step = ROW_COUNT;
  RETURN purged + step;
END $$;

RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM bvrai_lookup;
