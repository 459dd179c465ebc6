-- The results of the page views, as records of another topic: for whoever reads Kafka and not SQL.
--
-- One record for each page and minute, once the minute is over. The key is the page, the record's timestamp the minute's last
-- millisecond. With --data-dir and a broker that has transactions, set DELIVERY=exactly_once; the embedded broker has none, there
-- it is at_least_once.
--
-- Worth typing:
--   SELECT * FROM clickmill.sinks;
-- Worth running beside it:
--   kcat -C -b 127.0.0.1:9092 -t analytics-results -X isolation.level=read_committed -f '%T %k %s\n'

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

CREATE SINK analytics_results AS
SELECT
  page_url,
  COUNT(*) AS view_count,
  COUNT(DISTINCT user_id) AS unique_users,
  window_start,
  window_end
FROM TUMBLE(clicks, ts, INTERVAL '1 minute')
WHERE event_type = 'page_view'
GROUP BY page_url, window_start, window_end
WITH (
  connector  = 'kafka',
  topic      = '${RESULTS:analytics-results}',
  brokers    = '${BROKERS:127.0.0.1:9092}',
  partitions = 4,
  key        = 'page_url',
  key.format = 'raw',
  delivery   = '${DELIVERY:at_least_once}'
) FORMAT PLAIN ENCODE JSON;
