-- Since when an organization claims a number, which its row alone forgets when it is removed and added again (docs/decisions/0077).
CREATE TABLE phone_number_claims (
  org_id uuid NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
  number text NOT NULL,
  claimed_at timestamptz(3) NOT NULL DEFAULT now(),
  -- Null: the number is among those of the organization.
  given_up_at timestamptz(3),
  PRIMARY KEY (org_id, number)
);
CREATE INDEX phone_number_claims_number ON phone_number_claims (number, claimed_at);
ALTER TABLE phone_number_claims ENABLE ROW LEVEL SECURITY;
ALTER TABLE phone_number_claims FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON phone_number_claims TO bvrai_app
  USING (org_id = (SELECT nullif(current_setting('app.current_org_id', true), '')::uuid))
  WITH CHECK (org_id = (SELECT nullif(current_setting('app.current_org_id', true), '')::uuid));
CREATE POLICY lookup ON phone_number_claims FOR SELECT TO bvrai_lookup USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON phone_number_claims TO bvrai_app;
GRANT SELECT (org_id, number, claimed_at) ON phone_number_claims TO bvrai_lookup;

-- Whoever migrates may be bound by the policy.
ALTER TABLE phone_number_claims NO FORCE ROW LEVEL SECURITY;
ALTER TABLE phone_numbers NO FORCE ROW LEVEL SECURITY;
INSERT INTO phone_number_claims (org_id, number, claimed_at) SELECT org_id, number, created_at FROM phone_numbers;
ALTER TABLE phone_numbers FORCE ROW LEVEL SECURITY;
ALTER TABLE phone_number_claims FORCE ROW LEVEL SECURITY;

CREATE FUNCTION keep_claim_of_number() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    UPDATE phone_number_claims SET given_up_at = now() WHERE org_id = OLD.org_id AND number = OLD.number;
  ELSE
    -- After so long it was given up in earnest, and may be another's by now.
    INSERT INTO phone_number_claims AS claim (org_id, number, claimed_at) VALUES (NEW.org_id, NEW.number, NEW.created_at)
    ON CONFLICT (org_id, number) DO UPDATE SET given_up_at = NULL,
      claimed_at = CASE WHEN claim.given_up_at < now() - interval '30 days' THEN excluded.claimed_at ELSE claim.claimed_at END;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER keep_claim_of_number AFTER INSERT OR DELETE ON phone_numbers FOR EACH ROW EXECUTE FUNCTION keep_claim_of_number();

GRANT CREATE ON SCHEMA public TO bvrai_lookup;
SET LOCAL ROLE bvrai_lookup;

-- The oldest claim of those that have somebody answer: whoever claims a number later cannot take its calls, nor silence it.
CREATE OR REPLACE FUNCTION lookup_phone_number(wanted_number text)
RETURNS TABLE (id uuid, org_id uuid, agent_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
  SELECT n.id, n.org_id, n.agent_id
  FROM phone_numbers n JOIN organizations o ON o.id = n.org_id AND o.status = 'active'
  LEFT JOIN phone_number_claims c ON c.org_id = n.org_id AND c.number = n.number
  WHERE n.number = wanted_number
  ORDER BY n.agent_id IS NULL, coalesce(c.claimed_at, n.created_at), n.id LIMIT 1
$$;

RESET ROLE;
REVOKE CREATE ON SCHEMA public FROM bvrai_lookup;
