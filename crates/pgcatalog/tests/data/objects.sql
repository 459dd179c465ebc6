-- The objects of the sample snapshot (src/tests/sample.rs), for a real PostgreSQL 15: see record.py.
CREATE FOREIGN DATA WRAPPER kafka;
CREATE SERVER kafka FOREIGN DATA WRAPPER kafka;
CREATE FOREIGN TABLE clicks (
    user_id bigint NOT NULL,
    url text,
    event_time timestamptz,
    amount numeric(10,2),
    tags text[]
) SERVER kafka OPTIONS (topic 'click-stream', format 'json');
CREATE TABLE pages (
    page text NOT NULL,
    section text,
    weight double precision,
    visits integer,
    active boolean,
    added date,
    opens time,
    payload bytea
);
CREATE VIEW recent AS SELECT user_id, url FROM clicks;
CREATE MATERIALIZED VIEW page_views AS
    SELECT url AS page, count(*) AS views, sum(amount) AS amount, max(event_time) AS last FROM clicks GROUP BY 1
    WITH NO DATA;
COMMENT ON TABLE pages IS 'what the site has';
-- What PostgreSQL has and clickmill has not.
DROP EXTENSION plpgsql;
ALTER SCHEMA public OWNER TO clickmill;
UPDATE pg_namespace SET nspacl = NULL;
DELETE FROM pg_description WHERE objoid = 'public'::regnamespace;
