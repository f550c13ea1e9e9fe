-- How does a comparison of a rule stand in SQL? Fragments, which `compiling_values.py` fills: `x` is what was found,
-- `wanted` what it is compared with. None of them is ever null.

-- name: known
-- Something was found.
({x} IS NOT NULL)

-- name: equal
-- Of two values of one type.
({x} IS NOT DISTINCT FROM {wanted})

-- name: ordered
-- Of two values of one type that have an order.
coalesce({x} {operator} {wanted}, false)

-- name: text_known
-- A text that is not empty.
(coalesce({x}, '') <> '')

-- name: text_contains
-- As it is, small letters and capitals apart.
(coalesce(strpos({x}, {wanted}), 0) > 0)

-- name: text_starts
-- A text begins so.
coalesce(starts_with({x}, {wanted}), false)

-- name: text_ends
-- A text ends so.
coalesce(right({x}, length({wanted})) = {wanted}, false)

-- name: any_of
-- Of a list of texts one fulfils it.
EXISTS (SELECT FROM unnest({x}) AS one (value) WHERE {holds})

-- name: list_known
-- A list has something in it.
(cardinality(coalesce({x}, '{{}}')) > 0)

-- name: day_of
-- The day of a moment where the deployment is.
(({x}) AT TIME ZONE %(zone)s)::date

-- name: midnight
-- When a day begins where the deployment is.
(({x})::timestamp AT TIME ZONE %(zone)s)

-- name: within_last
-- A moment has just been.
coalesce({x} > %(now)s::timestamptz - {length} AND {x} <= %(now)s::timestamptz, false)

-- name: more_than_ago
-- A moment has been for so long.
coalesce({x} <= %(now)s::timestamptz - {length}, false)

-- name: within_next
-- A moment will be soon.
coalesce({x} > %(now)s::timestamptz AND {x} <= %(now)s::timestamptz + {length}, false)

-- name: length
-- A length of elapsed time, whatever clocks do meanwhile.
make_interval(secs => {seconds})

-- name: later
-- A moment, if it is still to come.
CASE WHEN {x} > %(now)s::timestamptz THEN {x} END

-- name: json_known
-- A JSON value that says something; 0 and false do.
(coalesce({x}, 'null') NOT IN ('null', '""', '[]', '{{}}'))

-- name: json_text
-- The text that a JSON value is; null for any other.
CASE WHEN jsonb_typeof({x}) = 'string' THEN {x} #>> '{{}}' END

-- name: json_number
-- The number that a JSON value is, or that its text spells; null for any other.
CASE
    WHEN jsonb_typeof({x}) = 'number' THEN ({x})::numeric
    WHEN jsonb_typeof({x}) = 'string' AND {x} #>> '{{}}' ~ '^-?[0-9]{{1,30}}(\.[0-9]{{1,30}})?$' THEN ({x} #>> '{{}}')::numeric
END

-- name: json_only_number
-- The number that a JSON value is by itself; null for any other.
CASE WHEN jsonb_typeof({x}) = 'number' THEN ({x})::numeric END

-- name: text_day
-- The day that a text tells, or that its moment is on where it was told; null for any other.
CASE
    WHEN {x} ~ '^[0-9]{{4}}-[0-9][0-9]-[0-9][0-9]([T ][0-9][0-9]:[0-9][0-9](:[0-9][0-9](\.[0-9]{{1,6}})?)?(Z|[+-][0-9][0-9]:?[0-9][0-9]))?$'
        AND pg_input_is_valid({x}, 'timestamptz') AND pg_input_is_valid(left({x}, 10), 'date') THEN left({x}, 10)::date
END

-- name: text_moment
-- The moment that a text tells; null for any other.
CASE
    WHEN {x} ~ '^[0-9]{{4}}-[0-9][0-9]-[0-9][0-9][T ][0-9][0-9]:[0-9][0-9](:[0-9][0-9](\.[0-9]{{1,6}})?)?(Z|[+-][0-9][0-9]:?[0-9][0-9])$'
        AND pg_input_is_valid({x}, 'timestamptz') THEN ({x})::timestamptz
END

-- name: text_only_day
-- The day that a text tells; null for any other, and for moments.
CASE WHEN {x} ~ '^[0-9]{{4}}-[0-9][0-9]-[0-9][0-9]$' AND pg_input_is_valid({x}, 'date') THEN ({x})::date END

-- name: text_ordered
-- Texts in the order of their code points.
coalesce({x} COLLATE "C" {operator} {wanted} COLLATE "C", false)

-- name: first_known
-- By the first of several ways of reading it that can read it.
CASE WHEN {x} IS NOT NULL THEN {holds} ELSE {otherwise} END

-- name: json_list_has
-- A JSON list has a value.
CASE jsonb_typeof({x})
    WHEN 'array' THEN EXISTS (SELECT FROM jsonb_array_elements({x}) AS one (value) WHERE {holds})
    ELSE {otherwise}
END

-- name: next_return
-- The first yearly return of a day that is not over where the deployment is; 29 February returns on 28 February where
-- there is none.
(
    SELECT CASE
        WHEN this_year >= (%(now)s::timestamptz AT TIME ZONE %(zone)s)::date THEN this_year
        ELSE (one.day + make_interval(years => one.years + 1))::date
    END
    FROM (
        SELECT again.day, again.years, (again.day + make_interval(years => again.years))::date AS this_year
        FROM (
            SELECT born.day, (
                extract(year FROM %(now)s::timestamptz AT TIME ZONE %(zone)s) - extract(year FROM born.day)
            )::integer AS years
            FROM (SELECT {day} AS day OFFSET 0) AS born
        ) AS again
        OFFSET 0
    ) AS one
)

-- name: returns
-- A day is near that comes round.
coalesce(%(now)s::timestamptz >= {begins} - {length}, false)

-- name: returns_at
-- When it begins to be near, or else is over.
CASE WHEN %(now)s::timestamptz >= {begins} - {length} THEN {ends} ELSE {begins} - {length} END

-- name: day_after
-- The day after one.
({day} + 1)

-- name: among
-- A text is one of several.
coalesce({x} = ANY ({wanted}), false)
