-- What does each user do, minute by minute?
--
-- Per user and minute: how many events, of which kinds, and on how many different pages.
--
-- Worth typing:
--   SELECT * FROM user_activity ORDER BY window_end DESC, events DESC LIMIT 10;
--   SELECT user_id, sum(purchases) AS purchases FROM user_activity GROUP BY user_id ORDER BY purchases DESC, user_id LIMIT 5;
--   SUBSCRIBE (SELECT user_id, events, window_end FROM user_activity WHERE purchases > 1);

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

CREATE MATERIALIZED VIEW user_activity WITH (retention = '1 hour') AS
SELECT
  user_id,
  COUNT(*) AS events,
  COUNT(*) FILTER (WHERE event_type = 'page_view') AS page_views,
  COUNT(*) FILTER (WHERE event_type = 'click') AS clicks,
  COUNT(*) FILTER (WHERE event_type = 'add_to_cart') AS add_to_carts,
  COUNT(*) FILTER (WHERE event_type = 'purchase') AS purchases,
  COUNT(DISTINCT page_url) AS pages,
  window_start,
  window_end
FROM TUMBLE(clicks, ts, INTERVAL '1 minute')
GROUP BY user_id, window_start, window_end;
