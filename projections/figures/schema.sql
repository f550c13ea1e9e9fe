-- Tables of the read model `figures`: what the company's figures stand on beside the facts of customers and the items of
-- `work`. Only public fields are in it. Rows of events that were retracted are gone, those of amended ones tell the
-- right content.

-- name: tables
-- Lines of purchases and refunds, one row each. `amount`: what the line comes to, negative when given back; null where
-- the event does not say. `place`: which line of the event it is, from 0.
CREATE TABLE lines (
    name uuid NOT NULL,
    place integer NOT NULL,
    happened_at timestamptz NOT NULL,
    product text,
    category text,
    quantity numeric NOT NULL,
    amount numeric,
    currency text NOT NULL,
    refund boolean NOT NULL,
    PRIMARY KEY (name, place)
);
CREATE INDEX lines_product ON lines (product, happened_at);

-- Scores that customers gave: answers of surveys, and reviews (`measure` is `review` then). `best`: the best that could
-- be given, null where the event does not say. `code`: of the survey, or of the site of a review.
CREATE TABLE scores (
    name uuid PRIMARY KEY,
    evidence uuid,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    measure text NOT NULL,
    score numeric,
    best numeric,
    code text,
    product text,
    channel text,
    actor text
);
CREATE INDEX scores_happened ON scores (happened_at);
CREATE INDEX scores_evidence ON scores (evidence, happened_at) WHERE evidence IS NOT NULL;

-- What was derived from the text of touchpoints, one row for each enrichment. `target`: the touchpoint, by its name.
CREATE TABLE moods (
    name uuid PRIMARY KEY,
    target uuid NOT NULL,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    language text,
    sentiment numeric,
    topics text[] NOT NULL,
    method text
);
CREATE INDEX moods_target ON moods (target);

-- Which touchpoints speak of which products, by ref or by a public field; lines of orders are in `lines`.
CREATE TABLE mentions (
    name uuid NOT NULL,
    product text NOT NULL,
    evidence uuid,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    type text NOT NULL,
    channel text,
    direction text,
    category text,
    PRIMARY KEY (name, product)
);
CREATE INDEX mentions_product ON mentions (product, happened_at);
CREATE INDEX mentions_happened ON mentions (happened_at);
CREATE INDEX mentions_evidence ON mentions (evidence) WHERE evidence IS NOT NULL;

-- What is said of products and campaigns; of each thing and field the last that says something of it counts. `fields`:
-- public ones.
CREATE TABLE things (
    name uuid PRIMARY KEY,
    kind text NOT NULL,
    ref text NOT NULL,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    fields jsonb NOT NULL
);
CREATE INDEX things_ref ON things (kind, ref, happened_at);

-- Quarters of an hour (UTC) in which a batch brought, took away or changed something since their sums were made; a row
-- for each batch, so that a batch that is not committed yet is never taken for summed.
CREATE TABLE touched (
    mark bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    quarters timestamptz[] NOT NULL
);

-- Sums of sales by time and by one dimension; derived, so no hash is made of them. `level`: how long the time is that begins
-- `at`: q (a quarter of an hour), h, d or m (by UTC). `dimension`: '' for all, else what `value` is of; '' where an event
-- does not say it. Only trades that count are in it. `orders`: those whose one purchase that counts lies there; `several`:
-- the keys of the others, so that none is counted twice.
CREATE TABLE sales_sums (
    level "char" NOT NULL,
    dimension text NOT NULL,
    at timestamptz NOT NULL,
    value text NOT NULL,
    currency text NOT NULL,
    purchases bigint NOT NULL,
    returns bigint NOT NULL,
    revenue numeric NOT NULL,
    refunds numeric NOT NULL,
    units numeric NOT NULL,
    orders bigint NOT NULL,
    several uuid[],
    PRIMARY KEY (level, dimension, at, value, currency)
);
CREATE INDEX sales_sums_value ON sales_sums (level, dimension, value, at);

-- Touchpoints by time, channel and direction ('' where an event says none), likewise.
CREATE TABLE contact_sums (
    level "char" NOT NULL,
    at timestamptz NOT NULL,
    channel text NOT NULL,
    direction text NOT NULL,
    touchpoints bigint NOT NULL,
    PRIMARY KEY (level, at, channel, direction)
);

-- The sentiment of what customers wrote by time, in all ('') or by a dimension, likewise: of each text what was derived last.
-- `value` '' where a text says none; a text that speaks of several products is in the sums of each.
CREATE TABLE mood_sums (
    level "char" NOT NULL,
    dimension text NOT NULL,
    at timestamptz NOT NULL,
    value text NOT NULL,
    texts bigint NOT NULL,
    total numeric NOT NULL,
    negative bigint NOT NULL,
    positive bigint NOT NULL,
    PRIMARY KEY (level, dimension, at, value)
);

-- What scores come to by time, in all ('') or by a dimension, likewise; by product by day and month alone. What counts as what is
-- in docs/analytics.md; `ces`, `reviews`: how many, `…_total`: their sum, `…_best`: how many say the best that there is,
-- `…_best_total`: the sum of their parts of it.
CREATE TABLE score_sums (
    level "char" NOT NULL,
    dimension text NOT NULL,
    at timestamptz NOT NULL,
    value text NOT NULL,
    csat bigint NOT NULL,
    satisfied bigint NOT NULL,
    nps bigint NOT NULL,
    promoters bigint NOT NULL,
    detractors bigint NOT NULL,
    ces bigint NOT NULL,
    ces_total numeric,
    ces_best bigint NOT NULL,
    ces_best_total numeric,
    reviews bigint NOT NULL,
    review_total numeric,
    review_best bigint NOT NULL,
    review_best_total numeric,
    PRIMARY KEY (level, dimension, at, value)
);

-- Events that speak against a product by day or month: how many, and how many of those by a bad review, as a refund, and by a
-- bad mood. Tickets are in `work`.
CREATE TABLE complaint_sums (
    level "char" NOT NULL,
    at timestamptz NOT NULL,
    product text NOT NULL,
    complaints bigint NOT NULL,
    reviews bigint NOT NULL,
    refunds bigint NOT NULL,
    moods bigint NOT NULL,
    PRIMARY KEY (level, at, product)
);

-- Customers of whom a batch changed what they bought since it was summed up, a row for each batch, as in `touched`: by
-- evidences of trades, by customers that evidences came to or went from, and by the keys of orders. `voices`: evidences of
-- those who answered a campaign or spoke of a product, which changes nothing of what they bought.
CREATE TABLE touched_buyers (
    mark bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    evidences uuid[] NOT NULL,
    customers uuid[] NOT NULL,
    orders uuid[] NOT NULL,
    voices uuid[] NOT NULL
);

-- How what customers bought is summed up (one row, or none where it is not): by days of which zone, in which currency and
-- by which edges their scores of RFM are told, and by which table of who is who (its oid: other rules of identity make
-- another one).
CREATE TABLE buyers_kept (
    zone text NOT NULL,
    currency text NOT NULL,
    frequency numeric[] NOT NULL,
    monetary numeric[] NOT NULL,
    people oid NOT NULL
);

-- How far they are summed up anew, and how (one row while that goes on): all customers up to this one are.
CREATE TABLE buyers_filling (LIKE buyers_kept, customer uuid NOT NULL);

-- Where each customer stands who bought, by counted trades: derived, as all that follows. `orders`: different ones, of any
-- currency; `revenue`, `refunds`: in the one of `buyers_kept`; `scores`: 10 times that of frequency, and that of the
-- monetary value.
CREATE TABLE buyers (
    customer uuid PRIMARY KEY,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    orders bigint NOT NULL,
    revenue numeric NOT NULL,
    refunds numeric NOT NULL,
    scores integer NOT NULL
);
CREATE INDEX buyers_last ON buyers (last_at);

-- On which days each of them bought, an entry for each day and currency, the earliest first: as it went into
-- `buyer_sums`, so that it can be taken out again. `counts`: orders that one purchase alone tells of. `second_on`: the
-- day of the second order, infinity where there is none.
CREATE TABLE buyer_days (
    customer uuid PRIMARY KEY,
    second_on date NOT NULL,
    days date[] NOT NULL,
    currencies text[] NOT NULL,
    counts bigint[] NOT NULL,
    amounts numeric[] NOT NULL
);

-- Purchases of orders of which several tell, so that none is counted twice. `first_on`: the day of the customer's first
-- purchase.
CREATE TABLE buyer_repeats (
    customer uuid NOT NULL,
    bought_on date NOT NULL,
    first_on date NOT NULL,
    currency text NOT NULL,
    order_key uuid NOT NULL
);
CREATE INDEX buyer_repeats_customer ON buyer_repeats (customer);
CREATE INDEX buyer_repeats_bought ON buyer_repeats (bought_on);

-- How many customers bought in each time (`level`: d or m, which begins `at`), with their orders and amounts. `kind` a: by
-- the day of their first purchase (`since`), in a currency (of a month also in all: ''). `kind` b: by the day of their last purchase
-- before that time (`since`, -infinity for none), and by the day of their second order (`second`) where that came
-- later, else -infinity; `fresh`: 1 whose first purchase lies in the same month, 2 in the same week, 3 in both. `kind` c
-- (revenue) and d (refunds): by the day of their last purchase, with all of each customer; `fresh`: the `scores`.
CREATE TABLE buyer_sums (
    level "char" NOT NULL,
    kind "char" NOT NULL,
    at date NOT NULL,
    since date NOT NULL,
    second date NOT NULL,
    fresh integer NOT NULL,
    currency text NOT NULL,
    customers bigint NOT NULL,
    orders bigint NOT NULL,
    amount numeric NOT NULL,
    PRIMARY KEY (level, kind, at, since, second, fresh, currency)
);
CREATE INDEX buyer_sums_empty ON buyer_sums (at) WHERE customers = 0;

-- What of a purchase falls to a campaign that its customer answered before, or to the channel of the answer (`by`: which of both
-- the `key` is of), by each model of attribution, within the usual days; kept up as `buyers`, and right where that is.
CREATE TABLE credits (
    customer uuid NOT NULL,
    at timestamptz NOT NULL,
    by text NOT NULL,
    key text,
    currency text NOT NULL,
    first numeric NOT NULL,
    last numeric NOT NULL,
    linear numeric NOT NULL,
    position numeric NOT NULL,
    time_decay numeric NOT NULL
);
CREATE INDEX credits_customer ON credits (customer);
CREATE INDEX credits_at ON credits (by, at);

-- What that comes to by time (`level`: d or m, which begins `at`, by UTC) and model: of how many purchases, how much.
CREATE TABLE credit_sums (
    level "char" NOT NULL,
    model text NOT NULL,
    by text NOT NULL,
    at timestamptz NOT NULL,
    key text,
    currency text NOT NULL,
    purchases bigint NOT NULL,
    amount numeric NOT NULL,
    UNIQUE NULLS NOT DISTINCT (level, model, by, at, key, currency)
);
CREATE INDEX credit_sums_empty ON credit_sums (at) WHERE purchases = 0;

-- What customers asked of products (`at`) that they bought for the first time (`first_at`) after that; likewise.
CREATE TABLE questions (
    customer uuid NOT NULL,
    product text NOT NULL,
    at timestamptz NOT NULL,
    first_at timestamptz NOT NULL
);
CREATE INDEX questions_customer ON questions (customer);
CREATE INDEX questions_at ON questions (at);

-- What the deployment's own metrics come to by quarter of an hour and by their dimensions (in the order of their codes).
-- `version`: the hash of the definition. `told`: how many events had a value. `evidences`: where customers are counted.
CREATE TABLE metric_sums (
    metric text NOT NULL,
    version text NOT NULL,
    at timestamptz NOT NULL,
    dimensions jsonb NOT NULL,
    events bigint NOT NULL,
    total numeric,
    least numeric,
    most numeric,
    told bigint NOT NULL,
    evidences uuid[],
    PRIMARY KEY (metric, version, at, dimensions)
);

-- Days and months whose sums are older than those of the quarters in them.
CREATE TABLE stale_sums (
    level "char" NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (level, at)
);

-- How far the past was counted by each definition of a metric: from `begun_at` to before `next_at`; all of it from `until`
-- on.
CREATE TABLE metric_fills (
    metric text NOT NULL,
    version text NOT NULL,
    begun_at timestamptz NOT NULL,
    next_at timestamptz NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (metric, version)
);
