-- How do rows of the directory stand in Postgres before they are told apart from those that are there? Of every
-- projector's session one set of tables, emptied by every commit.

-- name: create
-- Staging tables of a session.
CREATE TEMP TABLE IF NOT EXISTS staged_identifiers (
    evidence uuid NOT NULL,
    node uuid NOT NULL,
    kind text NOT NULL,
    namespace text NOT NULL,
    value text NOT NULL
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS staged_claims (
    name uuid NOT NULL,
    place smallint NOT NULL,
    evidence uuid NOT NULL,
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    source text NOT NULL,
    fields jsonb NOT NULL
) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS staged_terms (evidence uuid NOT NULL, kind text NOT NULL, term text NOT NULL)
ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS staged_codes (
    ref uuid NOT NULL,
    kind text NOT NULL,
    namespace text NOT NULL,
    value text NOT NULL,
    term text NOT NULL
) ON COMMIT DELETE ROWS;

-- name: copy_identifiers
-- Identifiers of evidences that the reader has not met since it started.
COPY staged_identifiers FROM STDIN (FORMAT BINARY);

-- name: copy_claims
-- What events claim of people.
COPY staged_claims FROM STDIN (FORMAT BINARY);

-- name: copy_terms
-- Terms of both.
COPY staged_terms FROM STDIN (FORMAT BINARY);

-- name: copy_codes
-- Numbers of orders, invoices, tickets and deals.
COPY staged_codes FROM STDIN (FORMAT BINARY);

-- name: empty
-- Make room for further rows in the same transaction.
DELETE FROM staged_identifiers;
DELETE FROM staged_claims;
DELETE FROM staged_terms;
DELETE FROM staged_codes;
