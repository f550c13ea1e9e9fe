-- How does who is in which segment follow from what a batch brought?

-- name: none
-- No segment is asked about yet.
SELECT true;
