-- What do visitors see, without the people who run the shop?
--
-- public_views holds every page view except those of the pages under /admin, with the length of the page's address.
-- filter_stats is one row that is kept up to date: how many events there were, how many of them are on public pages
-- and how many are not.
--
-- Worth typing:
--   SELECT * FROM filter_stats;
--   SELECT page_url, page_length, ts FROM public_views ORDER BY ts DESC LIMIT 10;
--   SUBSCRIBE public_views;

CREATE SOURCE IF NOT EXISTS clicks (
  user_id    TEXT        FROM 'userId',
  page_url   TEXT        FROM 'pageUrl',
  event_type TEXT        FROM 'eventType',
  ts         TIMESTAMPTZ FROM 'timestamp',
  session_id TEXT        FROM 'sessionId',
  ip_address TEXT        FROM 'ipAddress',
  WATERMARK FOR ts AS ts - INTERVAL '5 seconds'
) WITH (
  connector = 'kafka',
  topic     = '${TOPIC:click-stream}',
  brokers   = '${BROKERS:127.0.0.1:9092}',
  start     = 'earliest'
) FORMAT PLAIN ENCODE JSON;

CREATE MATERIALIZED VIEW public_views WITH (retention = '10 minutes') AS
SELECT ts, user_id, page_url, length(page_url) AS page_length, session_id
FROM clicks
WHERE event_type = 'page_view' AND page_url NOT LIKE '/admin%';

CREATE MATERIALIZED VIEW filter_stats AS
SELECT
  COUNT(*) AS events,
  COUNT(*) FILTER (WHERE page_url NOT LIKE '/admin%') AS processed,
  COUNT(*) FILTER (WHERE page_url LIKE '/admin%') AS filtered,
  AVG(length(page_url)) FILTER (WHERE page_url NOT LIKE '/admin%') AS average_page_length
FROM clicks;
