//! The reference queries, by name.

/// The source that all queries read.
pub(crate) fn source(brokers: &str, topic: &str) -> String {
    format!(
        "CREATE SOURCE clicks (user_id TEXT FROM 'userId', page_url TEXT FROM 'pageUrl', event_type TEXT FROM 'eventType', \
         ts TIMESTAMPTZ FROM 'timestamp', session_id TEXT FROM 'sessionId', ip_address TEXT FROM 'ipAddress', \
         WATERMARK FOR ts AS ts - INTERVAL '5 seconds') \
         WITH (connector = 'kafka', topic = '{topic}', brokers = '{brokers}', start = 'earliest') FORMAT PLAIN ENCODE JSON;"
    )
}

/// Name, what it is, and the view.
pub(crate) const QUERIES: [(&str, &str, &str); 6] = [
    (
        "filter",
        "filter and project, six fields",
        "CREATE MATERIALIZED VIEW v WITH (retention = '1 min') AS \
         SELECT user_id, page_url, event_type, ts, session_id, ip_address FROM clicks WHERE event_type = 'purchase';",
    ),
    (
        "tumble",
        "TUMBLE 1 min per page, count and distinct users",
        "CREATE MATERIALIZED VIEW v AS SELECT page_url, window_start, window_end, count(*) AS n, \
         count(DISTINCT user_id) AS users FROM TUMBLE(clicks, ts, INTERVAL '1 minute') \
         GROUP BY page_url, window_start, window_end;",
    ),
    (
        "hop",
        "HOP 5 min / 10 s per page, count",
        "CREATE MATERIALIZED VIEW v WITH (retention = '10 min') AS SELECT page_url, window_start, window_end, count(*) AS n \
         FROM HOP(clicks, ts, INTERVAL '10 seconds', INTERVAL '5 minutes') GROUP BY page_url, window_start, window_end;",
    ),
    (
        "tumble-count",
        "TUMBLE 1 min per page, count",
        "CREATE MATERIALIZED VIEW v AS SELECT page_url, window_start, window_end, count(*) AS n \
         FROM TUMBLE(clicks, ts, INTERVAL '1 minute') GROUP BY page_url, window_start, window_end;",
    ),
    (
        "hop-360",
        "HOP 1 h / 10 s per page, count",
        "CREATE MATERIALIZED VIEW v WITH (retention = '10 min') AS SELECT page_url, window_start, window_end, count(*) AS n \
         FROM HOP(clicks, ts, INTERVAL '10 seconds', INTERVAL '1 hour') GROUP BY page_url, window_start, window_end;",
    ),
    (
        "session",
        "SESSION 15 min per user, count",
        "CREATE MATERIALIZED VIEW v AS SELECT user_id, window_start, window_end, count(*) AS n \
         FROM SESSION(clicks PARTITION BY user_id, ts, INTERVAL '15 minutes') GROUP BY user_id, window_start, window_end;",
    ),
];
