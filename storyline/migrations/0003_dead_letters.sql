-- Dead letters as an operator needs them: by kind, with who did what, and without their content once they are settled.

-- A letter's content is kept while it waits and not a moment longer.
ALTER TABLE storyline.dead_letters ALTER COLUMN sealed DROP NOT NULL;
UPDATE storyline.dead_letters SET sealed = NULL WHERE status <> 'parked';
ALTER TABLE storyline.dead_letters
    ADD CONSTRAINT dead_letters_sealed_while_parked CHECK ((sealed IS NULL) = (status <> 'parked')),
    -- Who settled it: `cli`, or the id of an API key.
    ADD COLUMN status_by text,
    -- Letters of one kind have one cause and one remedy: same consumer, reason, origin and type.
    ADD COLUMN kind uuid NOT NULL GENERATED ALWAYS AS (
        md5(consumer || E'\x1f' || reason || E'\x1f' || origin || E'\x1f' || coalesce(type, ''))::uuid
    ) STORED;

-- Each list that an operator asks for is a walk along one of these, however many letters there are.
CREATE INDEX dead_letters_kinds ON storyline.dead_letters (kind, parked_at, id) WHERE status = 'parked';
CREATE INDEX dead_letters_reasons ON storyline.dead_letters (reason, parked_at, id) WHERE status = 'parked';
CREATE INDEX dead_letters_settled ON storyline.dead_letters (status, parked_at, id) WHERE status <> 'parked';
CREATE INDEX dead_letters_all ON storyline.dead_letters (parked_at, id);

-- What was done with a dead letter, by whom and why. Never holds its content.
CREATE TABLE storyline.dead_letter_history (
    step bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    letter_id uuid NOT NULL REFERENCES storyline.dead_letters (id) ON DELETE CASCADE,
    did text NOT NULL CHECK (did IN ('unsealed', 'stayed', 'redriven', 'amended', 'discarded')),
    at timestamptz NOT NULL,
    by text NOT NULL,
    why text
);
CREATE INDEX dead_letter_history_of ON storyline.dead_letter_history (letter_id, step);

-- The parking key of each day, so that it can be destroyed when nothing of that day waits any more.
CREATE TABLE storyline.parking_keys (
    key_id uuid PRIMARY KEY,
    day date NOT NULL,
    destroyed_at timestamptz
);
CREATE INDEX parking_keys_kept ON storyline.parking_keys (day) WHERE destroyed_at IS NULL;
INSERT INTO storyline.parking_keys (key_id, day)
SELECT key_id, min((parked_at AT TIME ZONE 'UTC')::date) FROM storyline.dead_letters GROUP BY key_id;
