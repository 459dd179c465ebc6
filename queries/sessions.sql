-- How long do visits last, and how much happens in them?
--
-- A visit is everything that one user does without a break of 15 minutes. Its row appears when the break is certain,
-- 15 minutes after its last event. window_end is that moment: the last event and the gap behind it.
--
-- Worth typing:
--   SELECT user_id, events, first_event, last_event, duration FROM sessions ORDER BY events DESC LIMIT 10;
--   SELECT events, count(*) AS sessions FROM sessions GROUP BY events ORDER BY events;
--   SUBSCRIBE (SELECT user_id, events, duration FROM sessions WHERE events >= 20);

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

CREATE MATERIALIZED VIEW sessions WITH (retention = '1 hour') AS
SELECT
  user_id,
  COUNT(*) AS events,
  MIN(ts) AS first_event,
  MAX(ts) AS last_event,
  MAX(ts) - MIN(ts) AS duration,
  window_start,
  window_end
FROM SESSION(clicks PARTITION BY user_id, ts, INTERVAL '15 minutes')
GROUP BY user_id, window_start, window_end;
