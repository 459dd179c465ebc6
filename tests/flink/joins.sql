-- Window joins in the same words.

-- join_windows
SELECT l.window_start, l.window_end, l.user_id, l.seen, r.purchases
FROM (
  SELECT window_start, window_end, user_id, COUNT(*) AS seen
  FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '5' MINUTE))
  WHERE event_type = 'view'
  GROUP BY window_start, window_end, user_id
) AS l
JOIN (
  SELECT window_start, window_end, user_id, COUNT(*) AS purchases
  FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '5' MINUTE))
  WHERE event_type = 'purchase'
  GROUP BY window_start, window_end, user_id
) AS r
ON l.user_id = r.user_id AND l.window_start = r.window_start AND l.window_end = r.window_end;

-- full_join_of_rows
SELECT l.id AS click_id, r.id AS purchase_id, COALESCE(l.page_url, r.page_url) AS page_url,
  COALESCE(l.window_start, r.window_start) AS window_start, COALESCE(l.window_end, r.window_end) AS window_end
FROM (
  SELECT * FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) WHERE event_type = 'click'
) AS l
FULL JOIN (
  SELECT * FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) WHERE event_type = 'purchase'
) AS r
ON l.page_url = r.page_url AND l.window_start = r.window_start AND l.window_end = r.window_end;
