-- Statements that mean one thing in Flink SQL and another in clickmill: their rows must differ. Behind each stands the
-- statement with which clickmill gives the rows that Flink gives for the first. docs/flink.md says why.

-- average_of_integers
SELECT event_type, window_start, AVG(n) AS mean
FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '10' MINUTE))
GROUP BY event_type, window_start, window_end;

-- average_of_integers in clickmill
SELECT event_type, window_start, SUM(n) / COUNT(n) AS mean
FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '10' MINUTE))
GROUP BY event_type, window_start, window_end;

-- session_gap
SELECT user_id, window_start, window_end, COUNT(*) AS clicks
FROM TABLE(SESSION(TABLE clicks PARTITION BY user_id, DESCRIPTOR(ts), INTERVAL '20' SECOND))
GROUP BY user_id, window_start, window_end;

-- session_gap in clickmill
SELECT user_id, window_start, window_end - INTERVAL '1 millisecond' AS window_end, COUNT(*) AS clicks
FROM TABLE(SESSION(TABLE clicks PARTITION BY user_id, DESCRIPTOR(ts), INTERVAL '20.001' SECOND))
GROUP BY user_id, window_start, window_end;

-- order_of_nulls
SELECT id, n, window_start
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY n DESC, id ASC) AS place
  FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '10' MINUTE))
)
WHERE place <= 2;

-- order_of_nulls in clickmill
SELECT id, n, window_start
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY n DESC NULLS LAST, id ASC) AS place
  FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '10' MINUTE))
)
WHERE place <= 2;
