-- Tables of the read model `directory`: the one place with readable personal data, for search and profiles. An erasure
-- empties it of a person, and nothing fills it again.

-- name: tables
-- Identifiers in their normalised spelling. Nothing of an erased evidence stands here.
CREATE TABLE identifiers (
    evidence uuid NOT NULL,
    node uuid NOT NULL,
    kind text NOT NULL,
    namespace text NOT NULL,
    value text NOT NULL,
    PRIMARY KEY (evidence, node)
);
CREATE INDEX identifiers_node ON identifiers (node);

-- What events claim of a person: one row per event and person in it (`place` 0: its `who`, n: its nth party).
-- `fields`: {field: value}, null where it was cleared. An amended event has the fields of the right content.
CREATE TABLE claims (
    name uuid NOT NULL,
    place smallint NOT NULL,
    evidence uuid NOT NULL,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    source text NOT NULL,
    fields jsonb NOT NULL,
    PRIMARY KEY (name, place)
);
CREATE INDEX claims_evidence ON claims (evidence, happened_at);

-- What a search looks through: names and identifiers of a person, folded (no case, no accents, single blanks). `kind`:
-- that of the identifier; `name`, and `turned` for a name with another of its words in front. A phone is its digits.
CREATE TABLE terms (
    evidence uuid NOT NULL,
    kind text NOT NULL,
    term text NOT NULL,
    PRIMARY KEY (evidence, kind, term)
);
CREATE INDEX terms_prefix ON terms (term text_pattern_ops, kind, evidence);
-- Among numbers everything is alike, and so are the hosts of addresses: only what stands before the @ is compared.
CREATE INDEX terms_alike ON terms USING gin (split_part(term, '@', 1) gin_trgm_ops) WHERE kind = 'email';

-- The words that names are made of, each once, so that one that half a town bears is compared once.
CREATE TABLE words (word text PRIMARY KEY);
CREATE INDEX words_alike ON words USING gin (word gin_trgm_ops);

-- Numbers of orders, invoices, tickets and deals, which are codes and personal to nobody.
CREATE TABLE codes (
    ref uuid PRIMARY KEY,
    kind text NOT NULL,
    namespace text NOT NULL,
    value text NOT NULL,
    term text NOT NULL
);
CREATE INDEX codes_prefix ON codes (term text_pattern_ops, ref);
