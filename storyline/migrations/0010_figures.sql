-- The deployment's own metrics: which definitions are summed. What they come to stands in the read model `figures`, from which
-- it can be made anew; so this is all that has to last.

-- `version`: the hash of what the figures hang on; a changed definition stands beside the one before until it is summed.
CREATE TABLE storyline.metrics (
    metric text NOT NULL,
    version text NOT NULL,
    definition jsonb NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (metric, version)
);
