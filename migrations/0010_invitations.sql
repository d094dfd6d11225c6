-- Invitations: the right to join an organization, for whoever holds the token and the invited address's password.

CREATE TABLE invitations (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
  email text NOT NULL CHECK (email = lower(email) AND length(email) BETWEEN 3 AND 320),
  role text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'viewer')),
  -- Shown once, kept as a hash, like a refresh token.
  token_hash text NOT NULL,
  invited_by uuid REFERENCES users (id) ON DELETE SET NULL,
  expires_at timestamptz(3) NOT NULL,
  accepted_at timestamptz(3),
  created_at timestamptz(3) NOT NULL DEFAULT now(),
  CONSTRAINT invitations_token_hash_key UNIQUE (token_hash),
  UNIQUE (org_id, id)
);
CREATE INDEX invitations_list ON invitations (org_id, created_at DESC, id DESC);
CREATE INDEX invitations_invited_by ON invitations (invited_by);

ALTER TABLE invitations ENABLE ROW LEVEL SECURITY;
ALTER TABLE invitations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON invitations TO bvrai_app
  USING (org_id = (SELECT nullif(current_setting('app.current_org_id', true), '')::uuid))
  WITH CHECK (org_id = (SELECT nullif(current_setting('app.current_org_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON invitations TO bvrai_app;

GRANT SELECT (id, org_id, email, role, token_hash, expires_at, accepted_at) ON invitations TO bvrai_lookup;
GRANT SELECT (name) ON organizations TO bvrai_lookup;
CREATE POLICY lookup ON invitations FOR SELECT TO bvrai_lookup USING (true);

-- Whoever accepts is no member yet.
CREATE FUNCTION lookup_invitation(wanted_hash text)
RETURNS TABLE (id uuid, org_id uuid, org_name text, email text, role text, expires_at timestamptz, accepted_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT i.id, i.org_id, o.name, i.email, i.role, i.expires_at, i.accepted_at
  FROM invitations i JOIN organizations o ON o.id = i.org_id AND o.status = 'active'
  WHERE i.token_hash = wanted_hash
$$;

GRANT CREATE ON SCHEMA public TO bvrai_lookup;
ALTER FUNCTION lookup_invitation(text) OWNER TO bvrai_lookup;
REVOKE CREATE ON SCHEMA public FROM bvrai_lookup;
REVOKE ALL ON FUNCTION lookup_invitation(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lookup_invitation(text) TO bvrai_app;
