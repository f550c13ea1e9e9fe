-- What is asked of the embedded server before it has a schema?

-- name: data_directory
-- Whose server is it? Another program may have taken our port.
SHOW data_directory;

-- name: has_database
-- Was the database made already?
SELECT EXISTS (SELECT FROM pg_database WHERE datname = 'storyline');

-- name: create_database
-- Once, after the cluster was made.
CREATE DATABASE storyline;
