-- Rebuilds of single read models, in parallel, that go on wherever they were cut off; and builds that are kept for
-- rollback know where they stood.

-- Of a build kept for rollback: when it was switched out, and the positions of live then, {log: {partition: offset}}.
ALTER TABLE storyline.read_models ADD COLUMN switched_at timestamptz, ADD COLUMN stood jsonb;

-- The rebuild that is under way, or was cut off; there is one at a time. `source`: `log`, or `timeline`. `stood`: up to
-- where its tables hold what live holds, {partition: offset}; while they are filled, where live stood when that began.
-- `step`: filling, unless the tables are complete but for what live brings meanwhile (`near`). `later`: statements that
-- make what is left out while rows are copied, each [table, statement]. `run_at`, `run_share`: when somebody last began to
-- work on it, and how much was done by then.
CREATE TABLE storyline.rebuilds (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    models text[] NOT NULL,
    source text NOT NULL CHECK (source IN ('log', 'timeline')),
    log_id text NOT NULL,
    step text NOT NULL DEFAULT 'filling',
    stood jsonb NOT NULL,
    later jsonb NOT NULL DEFAULT '[]',
    begun_at timestamptz NOT NULL DEFAULT now(),
    run_at timestamptz NOT NULL DEFAULT now(),
    run_share float8 NOT NULL DEFAULT 0
);

-- Its parts. Who works on one holds its row to the end of the transaction, so that any number of processes share them and
-- a killed one leaves nothing behind. `stage`: parts of a later one wait for all of an earlier one. `reached` of `total`,
-- in whatever the part counts; `weight`: how much of the whole it is.
CREATE TABLE storyline.rebuild_parts (
    part text PRIMARY KEY,
    stage integer NOT NULL,
    reached bigint NOT NULL DEFAULT 0,
    total bigint NOT NULL,
    weight float8 NOT NULL,
    state text NOT NULL DEFAULT '',
    moved_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- Has a row while tables of a rebuild are unlogged. A crash of Postgres empties those, and this one with them: so it is
-- noticed.
CREATE UNLOGGED TABLE storyline.rebuild_marks (begun_at timestamptz PRIMARY KEY);
