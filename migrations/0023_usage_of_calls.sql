-- What calls asked of providers, as these bill it, and what that costs (docs/decisions/0083).

-- A row for each media stream of a call: which server had it, and what it has used in all so far.
CREATE TABLE call_usage (
  org_id uuid NOT NULL,
  call_id uuid NOT NULL,
  instance_id uuid NOT NULL,
  -- Counts the media streams of that server.
  stream integer NOT NULL,
  -- Grows: what is written later, of an older count, changes nothing.
  seq integer NOT NULL,
  -- Nothing will be added to it.
  final boolean NOT NULL,
  usage jsonb NOT NULL CHECK (jsonb_typeof(usage) = 'object'),
  PRIMARY KEY (org_id, call_id, instance_id, stream),
  FOREIGN KEY (org_id, call_id) REFERENCES calls (org_id, id) ON DELETE CASCADE
);

ALTER TABLE call_usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE call_usage FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON call_usage TO bvrai_app
  USING (org_id = (SELECT nullif(current_setting('app.current_org_id', true), '')::uuid))
  WITH CHECK (org_id = (SELECT nullif(current_setting('app.current_org_id', true), '')::uuid));
GRANT SELECT, INSERT, UPDATE, DELETE ON call_usage TO bvrai_app;

ALTER TABLE calls
  -- The sum over its streams, each part with its cost, when the call has ended; null: not known.
  ADD COLUMN usage jsonb CHECK (jsonb_typeof(usage) = 'object');
