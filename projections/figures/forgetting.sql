-- How are the sums of some times taken away, so that they are made anew? Tables are of the build that stands first in the search
-- path.

-- name: forget
-- Time by time along the index: where the planner knows nothing of a table yet, it would hold all of its rows against all of the
-- times.
DELETE FROM {table} WHERE ctid = ANY (ARRAY(
    SELECT old.ctid
    FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS r (start, until)
    CROSS JOIN LATERAL (
        SELECT s.ctid FROM {table} AS s WHERE {which} AND s.at >= r.start AND s.at < r.until
        OFFSET 0
    ) AS old
));

-- name: of_level
-- Those of one level.
s.level = %(level)s::"char"

-- name: of_dimensions
-- Those of one level, by some dimensions.
s.level = %(level)s::"char" AND s.dimension = ANY (%(dimensions)s::text[])

-- name: of_metric
-- Those of a definition of a metric.
s.metric = %(metric)s AND s.version = %(version)s
