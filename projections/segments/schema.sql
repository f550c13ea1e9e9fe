-- Tables of the read model `segments`: who is in which segment as of this moment.

-- name: tables
-- Customers that something was found out about, by their ids. Whoever finds out something anew of a customer's whole story
-- holds the row, so that of two the second sees what the first brought. `wake_at`: from when on time alone may change a
-- membership; never later than it does; the epoch where it was not found out yet. `why`: what woke her, if not time.
CREATE TABLE subjects (
    customer uuid PRIMARY KEY,
    wake_at timestamptz,
    why text
) WITH (fillfactor = 60);
CREATE INDEX subjects_wake ON subjects (wake_at) WHERE wake_at IS NOT NULL;

-- Who is in a segment, by the version of its rule.
CREATE TABLE memberships (
    segment text NOT NULL,
    version integer NOT NULL,
    customer uuid NOT NULL,
    PRIMARY KEY (segment, version, customer)
);
CREATE INDEX memberships_customer ON memberships (customer);

-- One row once all memberships of this build were found out, by the definitions of that generation. Until then batches
-- only wake whom they touch, and nothing is announced. `noted`: every customer is a subject, so that who is none is new.
CREATE TABLE kept (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    generation bigint NOT NULL,
    noted boolean NOT NULL DEFAULT false
);
