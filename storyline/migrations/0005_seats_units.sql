-- Members share fairly among those that know the same partitions: one on a log that was left, or with other channels,
-- would otherwise count for a share that it never takes. And each says how long it may be unseen, so that one with a
-- shorter lease does not throw out the others.
ALTER TABLE storyline.seats
    ADD COLUMN units text NOT NULL DEFAULT '',
    ADD COLUMN lease double precision NOT NULL DEFAULT 10;
