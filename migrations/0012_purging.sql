-- What has expired is removed in bounded steps, by one server at a time; rows of servers that are long gone too.

-- A call's instance matters while the call lives: whose it is to close. Afterwards it is only a name, which may outlive its
-- row; and a server that was thought dead for a day must be able to write the calls that it took meanwhile.
ALTER TABLE calls DROP CONSTRAINT calls_instance_id_fkey;

GRANT SELECT (heartbeat_at), DELETE ON instances TO bvrai_lookup;
GRANT SELECT (org_id, key) ON idempotency_keys TO bvrai_lookup;

GRANT CREATE ON SCHEMA public TO bvrai_lookup;
SET LOCAL ROLE bvrai_lookup;
DROP FUNCTION purge_expired();

-- Removes at most so many rows of each kind, over all tenants; returns how many those were. 0 while another server does it.
CREATE FUNCTION purge_expired(max_rows integer) RETURNS bigint
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
  -- As long as a call of theirs is open they are needed to close it (lookup_call_owners).
  DELETE FROM instances WHERE id IN (
    SELECT i.id FROM instances i WHERE i.heartbeat_at < now() - interval '1 day'
      AND NOT EXISTS (SELECT FROM calls c WHERE c.instance_id = i.id AND c.ended_at IS NULL) LIMIT max_rows);
  GET DIAGNOSTICS step = ROW_COUNT;
  RETURN purged + step;
END $$;

REVOKE ALL ON FUNCTION purge_expired(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION purge_expired(integer) TO bvrai_app;
RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM bvrai_lookup;
