-- Windows with an offset, asked of Flink with a watermark that moves only when everything is read: Flink 2.2 passes buffered rows
-- on at multiples of the size, as if there were no offset, and loses them when their windows have closed before (FLINK-36664).

-- tumble_with_offset
SELECT event_type, window_start, window_end, window_time, SUM(n) AS total, MIN(n) AS least, MAX(n) AS most, COUNT(n) AS numbers
FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '20' SECOND))
GROUP BY event_type, window_start, window_end, window_time;

-- tumble_days_with_offset
SELECT page_url, window_start, window_end, COUNT(*) AS clicks, COUNT(DISTINCT n) AS numbers
FROM TABLE(TUMBLE(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' DAY, INTERVAL '8' HOUR))
GROUP BY page_url, window_start, window_end;

-- hop_with_offset
SELECT event_type, window_start, window_end, SUM(n) AS total, MAX(price) AS dearest, MIN(id) AS first_id
FROM TABLE(HOP(TABLE clicks, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '5' MINUTE, INTERVAL '7' SECOND))
GROUP BY event_type, window_start, window_end;
