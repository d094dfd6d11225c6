-- What a call was begun with, and what is known of its end beside the reason.

ALTER TABLE calls
  -- What `{{name}}` in the agent's texts stands for in this call.
  ADD COLUMN variables jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(variables) = 'object'),
  -- In words, for people: what the carrier said when it refused, say.
  ADD COLUMN end_detail text,
  -- The highest SequenceNumber of Twilio's status callbacks so far.
  ADD COLUMN twilio_sequence integer CHECK (twilio_sequence >= 0);
