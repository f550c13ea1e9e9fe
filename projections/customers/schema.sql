-- Tables of the read model `customers`: what is known of each evidence, to be folded per customer when it is read.
-- Only public fields are in it, so that an erased history still adds up. Rows of events that were retracted are
-- gone, those of amended ones tell the right content.

-- name: tables
-- Touchpoints by type, channel and direction ('' where an event says none). Sums per evidence.
CREATE TABLE contacts (
    evidence uuid NOT NULL,
    type text NOT NULL,
    channel text NOT NULL,
    direction text NOT NULL,
    touchpoints bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (evidence, type, channel, direction)
) WITH (fillfactor = 60);

-- What was bought and given back, also by nobody that is known (`evidence` is null then). `order_key`: what makes two
-- reports one order, a hash of its order ref, else of its invoice ref, else the event's name; `ref`: that ref in clear.
-- `amount`: positive when bought, negative when given back. `campaign`: the lowest campaign ref, in clear. `counts`: of
-- what several sources tell of one order of a customer only what that source tells counts which told of it first.
CREATE TABLE trades (
    name uuid PRIMARY KEY,
    evidence uuid,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    order_key uuid NOT NULL,
    ref text,
    refund boolean NOT NULL,
    amount numeric NOT NULL,
    currency text NOT NULL,
    source text NOT NULL,
    type text NOT NULL,
    channel text,
    country text,
    actor text,
    campaign text,
    counts boolean NOT NULL
);
CREATE INDEX trades_evidence ON trades (evidence, happened_at) WHERE evidence IS NOT NULL;
CREATE INDEX trades_order ON trades (order_key);
CREATE INDEX trades_happened ON trades (happened_at);

-- What the trades of an evidence that count come to. `doubtful`: it has a purchase whose order another purchase tells of,
-- whoever's that is, so that to count orders is to look at the trades; once it is, it may stay so.
CREATE TABLE trade_sums (
    evidence uuid NOT NULL,
    currency text NOT NULL,
    purchases bigint NOT NULL,
    revenue numeric NOT NULL,
    refunds numeric NOT NULL,
    doubtful boolean NOT NULL,
    PRIMARY KEY (evidence, currency)
) WITH (fillfactor = 60);

-- What a person allowed and took back. `channel` '' is every channel.
CREATE TABLE consents (
    name uuid PRIMARY KEY,
    evidence uuid NOT NULL,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    purpose text NOT NULL,
    channel text NOT NULL,
    granted boolean NOT NULL,
    type text NOT NULL
);
CREATE INDEX consents_evidence ON consents (evidence, happened_at);

-- Which campaigns a person answered, and on which channel.
CREATE TABLE answers (
    name uuid PRIMARY KEY,
    evidence uuid NOT NULL,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    campaign text NOT NULL,
    channel text
);
CREATE INDEX answers_evidence ON answers (evidence, happened_at);
