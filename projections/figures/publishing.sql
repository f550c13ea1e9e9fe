-- How do the views of BI tools come to stand on the tables that serve, and who may read them?

-- name: create
-- The schema that the views are made in.
CREATE SCHEMA {};

-- name: within
-- Views are made in this schema.
SET LOCAL search_path TO {}, public, pg_temp;

-- name: path
-- Where names were looked up before.
SELECT current_setting('search_path');

-- name: back
-- There again.
SELECT set_config('search_path', %(path)s, true);

-- name: exists
-- Is the schema there already?
SELECT to_regnamespace(%(name)s) IS NOT NULL;

-- name: rename
-- Views that stood on other tables make room. Who reads them at this moment reads on.
ALTER SCHEMA {} RENAME TO {};

-- name: explain
-- What the schema is for, and, after it, which views of which tables are in it.
COMMENT ON SCHEMA {schema} IS {told};

-- name: explained
-- What the schema is said to be for.
SELECT obj_description(to_regnamespace(%(name)s), 'pg_namespace');

-- name: tables
-- The tables that serve: which they are does not change while they do.
SELECT string_agg(c.oid::text, ',' ORDER BY c.oid) FROM pg_class AS c
WHERE c.relkind = 'r' AND c.relnamespace = ANY (
    SELECT to_regnamespace(m) FROM unnest(%(models)s::text[]) AS m WHERE to_regnamespace(m) IS NOT NULL
);

-- name: gone
-- Schemas of views that were replaced.
SELECT nspname FROM pg_namespace WHERE nspname ^@ 'analytics_gone_' ORDER BY nspname;

-- name: patience
-- How long to wait for those who read what is gone; what was set before comes back with the third statement.
SELECT current_setting('lock_timeout');

-- name: hurry
-- Not long.
SELECT set_config('lock_timeout', %(time)s, true);

-- name: drop
-- Nobody reads it any more.
DROP SCHEMA {} CASCADE;

-- name: role
-- The role that BI tools are members of, where this user may make roles.
DO $$
BEGIN
    IF to_regrole('storyline_bi') IS NULL THEN
        CREATE ROLE storyline_bi NOLOGIN;
    END IF;
EXCEPTION WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN
    NULL;
END
$$;

-- name: has_role
-- Is it there?
SELECT to_regrole('storyline_bi') IS NOT NULL;

-- name: grant
-- It may read the views, and nothing else.
GRANT USAGE ON SCHEMA {schema} TO storyline_bi; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO storyline_bi;
