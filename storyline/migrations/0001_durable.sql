-- The durable tables of the first release. Read models are not here: each lives in a schema of its own, and a
-- rebuild makes it anew.

-- How far each consumer has come: the offset that it wants next. Moved by compare-and-set on (next_offset, epoch);
-- whoever takes a partition raises its epoch, so that the one before is refused.
CREATE TABLE storyline.positions (
    consumer text NOT NULL,
    log_id text NOT NULL,
    log_partition integer NOT NULL,
    next_offset bigint NOT NULL DEFAULT 0,
    epoch bigint NOT NULL DEFAULT 0,
    moved_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, log_id, log_partition)
) WITH (fillfactor = 50);

-- Which content a name keeps after a name clash; asked by every rebuild, so that it rules as live did.
CREATE TABLE storyline.rulings (
    name uuid PRIMARY KEY,
    digest uuid NOT NULL,
    ruled_at timestamptz NOT NULL DEFAULT now()
);

-- What could not be applied, sealed under the parking key of its day, until it is redriven or discarded.
-- `id` is a hash of where it came from, so that the same trouble met twice is parked once.
CREATE TABLE storyline.dead_letters (
    id uuid PRIMARY KEY,
    consumer text NOT NULL,
    reason text NOT NULL,
    detail text NOT NULL,
    origin text NOT NULL,
    origin_partition integer,
    origin_offset bigint,
    source text,
    type text,
    parked_at timestamptz NOT NULL DEFAULT now(),
    key_id uuid NOT NULL,
    sealed bytea NOT NULL,
    status text NOT NULL DEFAULT 'parked' CHECK (status IN ('parked', 'redriven', 'discarded')),
    status_at timestamptz NOT NULL DEFAULT now(),
    status_why text
);
CREATE INDEX dead_letters_parked ON storyline.dead_letters (parked_at, id) WHERE status = 'parked';

-- Keys of those who may call the API. Only a hash of the secret is kept.
CREATE TABLE storyline.api_keys (
    key_id text PRIMARY KEY,
    secret_hash bytea NOT NULL UNIQUE,
    label text NOT NULL,
    scopes text[] NOT NULL,
    sources text[] NOT NULL,
    types text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz
);

-- Which version of each read model serves, and the hash of the SQL that made it.
CREATE TABLE storyline.read_models (
    name text PRIMARY KEY,
    version integer NOT NULL,
    sql_hash text NOT NULL,
    built_at timestamptz NOT NULL DEFAULT now()
);
