-- Are two builds of the facts the same? One hash per table over its declared columns, in any order of rows, of the
-- schema that stands first in the search path.

-- name: contacts
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s %%s %%s %%s %%s', evidence, type, channel, direction,
    touchpoints, extract(epoch FROM first_at), extract(epoch FROM last_at)), 0)::numeric), 0)
FROM contacts;

-- name: trades
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(format(repeat('%%s ', 16), name, evidence,
    extract(epoch FROM happened_at), extract(epoch FROM recorded_at), order_key, ref, refund, amount, currency,
    source, type, channel, country, actor, campaign, counts), 0)::numeric), 0)
FROM trades;

-- name: trades_republished
-- The same between two publications of one history, each of which is recorded anew.
SELECT count(*), coalesce(sum(hashtextextended(format(repeat('%%s ', 15), name, evidence,
    extract(epoch FROM happened_at), order_key, ref, refund, amount, currency, source, type, channel, country, actor,
    campaign, counts), 0)::numeric), 0)
FROM trades;

-- name: trade_sums
-- Every column but `doubtful`, which tells what was met on the way; nor whether there is a row of nothing, or how many
-- zeros an amount ends with.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s %%s %%s', evidence, currency, purchases,
    trim_scale(revenue), trim_scale(refunds)), 0)::numeric), 0)
FROM trade_sums WHERE purchases <> 0 OR revenue <> 0 OR refunds <> 0;

-- name: consents
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s %%s %%s %%s %%s %%s', name, evidence,
    extract(epoch FROM happened_at), extract(epoch FROM recorded_at), purpose, channel, granted, type), 0)::numeric),
    0)
FROM consents;

-- name: consents_republished
-- The same between two publications of one history.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s %%s %%s %%s %%s', name, evidence,
    extract(epoch FROM happened_at), purpose, channel, granted, type), 0)::numeric), 0)
FROM consents;

-- name: answers
-- Every column.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s %%s %%s %%s', name, evidence,
    extract(epoch FROM happened_at), extract(epoch FROM recorded_at), campaign, channel), 0)::numeric), 0)
FROM answers;

-- name: answers_republished
-- The same between two publications of one history.
SELECT count(*), coalesce(sum(hashtextextended(format('%%s %%s %%s %%s %%s', name, evidence,
    extract(epoch FROM happened_at), campaign, channel), 0)::numeric), 0)
FROM answers;
