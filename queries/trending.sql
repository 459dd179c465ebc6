-- What is trending? The ten busiest pages of the last ten minutes, every minute.
--
-- Two views, one on the other: page_minutes counts each page per minute, and trending adds up ten of those minutes and
-- ranks the sums. So every click is counted once, in its minute, and not in each of the ten windows that it falls into.
--
-- Worth typing:
--   SELECT rank, page_url, views FROM trending WHERE window_end = (SELECT max(window_end) FROM trending) ORDER BY rank;
--   SELECT window_end, views FROM page_minutes WHERE page_url = '/home' ORDER BY window_end DESC LIMIT 10;
--   SUBSCRIBE trending;

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

CREATE MATERIALIZED VIEW page_minutes WITH (retention = '1 hour') AS
SELECT page_url, COUNT(*) AS views, window_start, window_end, window_time
FROM TUMBLE(clicks, ts, INTERVAL '1 minute')
GROUP BY page_url, window_start, window_end, window_time;

CREATE MATERIALIZED VIEW trending AS
SELECT rank, page_url, views, window_start, window_end
FROM (
  SELECT
    page_url,
    views,
    window_start,
    window_end,
    ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY views DESC, page_url) AS rank
  FROM (
    SELECT page_url, SUM(views) AS views, window_start, window_end
    FROM HOP(page_minutes, window_time, INTERVAL '1 minute', INTERVAL '10 minutes')
    GROUP BY page_url, window_start, window_end
  ) AS totals
) AS ranked
WHERE rank <= 10;
