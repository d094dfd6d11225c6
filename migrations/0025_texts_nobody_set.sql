-- Texts that nobody has set are no longer stored, but those of the agent's language (docs/decisions/0090). Until now their English defaults
-- were written into every version; what is equal to one is taken for not set. An earlier build fills the same defaults in again.

-- Whoever migrates may be bound by the policy.
ALTER TABLE agent_versions NO FORCE ROW LEVEL SECURITY;
UPDATE agent_versions SET config = config - 'goodbye_message'
  WHERE config -> 'goodbye_message' = '"Thank you for calling. Goodbye."';
UPDATE agent_versions SET config = config - 'end_call_phrases'
  WHERE config -> 'end_call_phrases' = '["goodbye", "bye bye", "thank you goodbye"]';
UPDATE agent_versions SET config = config #- '{silence,reminder_message}'
  WHERE config #> '{silence,reminder_message}' = '"Are you still there?"';
ALTER TABLE agent_versions FORCE ROW LEVEL SECURITY;
