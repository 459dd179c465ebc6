-- Which pages are busy right now, and how many people are on them?
--
-- Per page, a window of five minutes that moves on every ten seconds: all events of the page (views, clicks, carts and
-- purchases alike) and how many different users they came from. A window's rows appear once, when it is over.
--
-- Worth typing:
--   SELECT page_url, view_count, unique_users, window_end FROM page_views ORDER BY window_end DESC, view_count DESC LIMIT 10;
--   SELECT window_end, sum(view_count) AS events FROM page_views GROUP BY window_end ORDER BY window_end DESC LIMIT 10;
--   SUBSCRIBE (SELECT * FROM page_views WHERE page_url = '/home');

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

CREATE MATERIALIZED VIEW page_views WITH (retention = '1 hour') AS
SELECT
  page_url,
  COUNT(*) AS view_count,
  COUNT(DISTINCT user_id) AS unique_users,
  window_start,
  window_end
FROM HOP(clicks, ts, INTERVAL '10 seconds', INTERVAL '5 minutes')
GROUP BY page_url, window_start, window_end;
