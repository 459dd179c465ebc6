-- Window statements that Flink SQL and clickmill are asked in the same words, over the same topic: their rows must be equal.
-- A statement begins with its name behind two dashes and ends with a semicolon.

-- tumble
SELECT page_url, window_start, window_end, COUNT(*) AS clicks, COUNT(DISTINCT user_id) AS users
FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
GROUP BY page_url, window_start, window_end;

-- tumble_named_arguments
SELECT window_start, window_end, MIN(page_url) AS first_page, MAX(user_id) AS last_user, AVG(price) AS mean, SUM(price) AS total,
  MIN(ts) AS first_time, MAX(ts) AS last_time
FROM TABLE(TUMBLE(DATA => TABLE clicks, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '2' MINUTE))
GROUP BY window_start, window_end;

-- tumble_filter_having
SELECT user_id, window_start, window_end, COUNT(*) FILTER (WHERE event_type = 'view') AS seen,
  COUNT(DISTINCT page_url) FILTER (WHERE n > 0) AS pages, SUM(price) FILTER (WHERE event_type = 'purchase') AS spent
FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '5' MINUTE))
GROUP BY user_id, window_start, window_end
HAVING COUNT(*) > 3 AND SUM(n) > -20;

-- tumble_rows
SELECT id, user_id, price, ts, window_start, window_end
FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '10' SECOND))
WHERE event_type = 'purchase';

-- hop
SELECT page_url, window_start, window_end, COUNT(*) AS clicks, COUNT(DISTINCT user_id) AS users
FROM TABLE(HOP(TABLE clicks, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '1' MINUTE))
GROUP BY page_url, window_start, window_end;

-- cumulate
SELECT page_url, window_start, window_end, COUNT(*) AS clicks, COUNT(DISTINCT user_id) AS users, SUM(n) AS total
FROM TABLE(CUMULATE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '10' MINUTE))
GROUP BY page_url, window_start, window_end;

-- session
SELECT user_id, window_start, window_end, COUNT(*) AS clicks, MIN(ts) AS first_time, MAX(ts) AS last_time
FROM TABLE(SESSION(TABLE clicks PARTITION BY user_id, DESCRIPTOR(ts), INTERVAL '60.001' SECOND))
GROUP BY user_id, window_start, window_end;

-- session_of_two_keys
SELECT user_id, page_url, window_start, window_end, window_time, COUNT(DISTINCT event_type) AS events,
  COUNT(*) FILTER (WHERE price > 1) AS priced, SUM(n) AS total
FROM TABLE(SESSION(TABLE clicks PARTITION BY (user_id, page_url), DESCRIPTOR(ts), INTERVAL '90.001' SECOND))
GROUP BY user_id, page_url, window_start, window_end, window_time;

-- group_tumble
SELECT page_url, TUMBLE_START(ts, INTERVAL '1' MINUTE) AS wstart, TUMBLE_END(ts, INTERVAL '1' MINUTE) AS wend,
  TUMBLE_ROWTIME(ts, INTERVAL '1' MINUTE) AS wtime, COUNT(*) AS clicks, SUM(n) AS total
FROM clicks
GROUP BY TUMBLE(ts, INTERVAL '1' MINUTE), page_url;

-- group_hop
SELECT HOP_START(ts, INTERVAL '40' SECOND, INTERVAL '1' MINUTE) AS wstart, HOP_END(ts, INTERVAL '40' SECOND, INTERVAL '1' MINUTE) AS wend,
  event_type, COUNT(DISTINCT user_id) AS users, AVG(price) AS mean
FROM clicks
WHERE n IS NOT NULL
GROUP BY HOP(ts, INTERVAL '40' SECOND, INTERVAL '1' MINUTE), event_type;

-- group_session
SELECT user_id, SESSION_START(ts, INTERVAL '45.001' SECOND) AS wstart, SESSION_END(ts, INTERVAL '45.001' SECOND) AS wend,
  COUNT(*) AS clicks, MIN(n) AS least
FROM clicks
GROUP BY SESSION(ts, INTERVAL '45.001' SECOND), user_id;

-- grouping_sets
SELECT window_start, window_end, page_url, event_type, CAST(GROUPING(page_url) AS BIGINT) AS all_pages,
  CAST(GROUPING(event_type) AS BIGINT) AS all_events, COUNT(*) AS clicks, SUM(n) AS total
FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '5' MINUTE))
GROUP BY window_start, window_end, GROUPING SETS ((page_url), (event_type), ());

-- rollup
SELECT window_start, window_end, page_url, event_type, COUNT(*) AS clicks, COUNT(DISTINCT user_id) AS users
FROM TABLE(HOP(TABLE clicks, DESCRIPTOR(ts), INTERVAL '5' MINUTE, INTERVAL '10' MINUTE))
GROUP BY window_start, window_end, ROLLUP (page_url, event_type);

-- cube
SELECT window_start, window_end, page_url, event_type, MAX(n) AS most, SUM(price) AS total
FROM TABLE(CUMULATE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '5' MINUTE, INTERVAL '15' MINUTE))
GROUP BY window_start, window_end, CUBE (page_url, event_type);

-- top_of_groups
SELECT window_start, window_end, user_id, clicks, place
FROM (
  SELECT window_start, window_end, user_id, clicks,
    ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY clicks DESC, user_id ASC NULLS LAST) AS place
  FROM (
    SELECT window_start, window_end, user_id, COUNT(*) AS clicks
    FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '2' MINUTE))
    GROUP BY window_start, window_end, user_id
  )
)
WHERE place <= 3;

-- top_of_rows
SELECT id, page_url, n, window_start, window_end
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, page_url ORDER BY n DESC NULLS LAST, id ASC) AS place
  FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '3' MINUTE))
)
WHERE place <= 2;

-- deduplicate
SELECT user_id, ts, window_start, window_end
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, user_id ORDER BY ts DESC) AS place
  FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
)
WHERE place = 1;

-- cascade
WITH minutes AS (
  SELECT page_url, window_time AS minute_time, COUNT(*) AS clicks, SUM(n) AS total
  FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
  GROUP BY page_url, window_start, window_end, window_time
)
SELECT page_url, window_start, window_end, SUM(clicks) AS clicks, MAX(total) AS most, COUNT(*) AS minutes
FROM TABLE(HOP(TABLE minutes, DESCRIPTOR(minute_time), INTERVAL '2' MINUTE, INTERVAL '6' MINUTE))
GROUP BY page_url, window_start, window_end;

-- filtered_subquery
WITH known AS (
  SELECT UPPER(page_url) AS page, n * 2 AS twice, ts FROM clicks WHERE user_id IS NOT NULL AND event_type <> 'view'
)
SELECT page, window_start, window_end, COUNT(*) AS clicks, SUM(twice) AS total
FROM TABLE(CUMULATE(TABLE known, DESCRIPTOR(ts), INTERVAL '30' SECOND, INTERVAL '3' MINUTE))
GROUP BY page, window_start, window_end;
