//! How long a catalog statement takes with a hundred relations.

use std::time::{Duration, Instant};

use super::{rows, sample};

/// Far above what it takes, and far below what a person notices: machines that run tests are busy.
const LIMIT: Duration = Duration::from_millis(500);

#[tokio::test]
async fn statements_over_a_hundred_relations_are_quick() {
    let snapshot = sample::many(100);
    let list = "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c \
                LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                WHERE c.relkind IN ('r','p','v','m','S','f','') AND n.nspname <> 'pg_catalog' \
                AND n.nspname !~ '^pg_toast' AND n.nspname <> 'information_schema' \
                AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1,2";
    let columns = "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), \
                   (SELECT c.collname FROM pg_catalog.pg_collation c, pg_catalog.pg_type t WHERE c.oid = a.attcollation \
                   AND t.oid = a.atttypid AND a.attcollation <> t.typcollation) FROM pg_catalog.pg_attribute a \
                   WHERE a.attrelid = '16400' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
    for (sql, count) in [(list, 100), (columns, 10)] {
        // The first run reads the tables of types and relations.
        rows(&snapshot, sql).await;
        let start = Instant::now();
        assert_eq!(rows(&snapshot, sql).await.len(), count);
        let took = start.elapsed();
        assert!(took < LIMIT, "took {took:?}: {sql}");
    }
}
