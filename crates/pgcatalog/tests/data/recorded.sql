-- The objects over which client-statements.jsonl was recorded: see record.py.
CREATE TABLE clicks (user_id bigint NOT NULL, url text, event_time timestamptz, amount numeric(10,2), tags text[]);
CREATE MATERIALIZED VIEW mv AS SELECT user_id, count(*) AS n FROM clicks GROUP BY 1;
CREATE VIEW v AS SELECT * FROM clicks;
-- What PostgreSQL has and clickmill has not.
DROP EXTENSION plpgsql;
ALTER SCHEMA public OWNER TO clickmill;
UPDATE pg_namespace SET nspacl = NULL;
DELETE FROM pg_description WHERE objoid = 'public'::regnamespace;
