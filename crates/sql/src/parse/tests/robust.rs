//! No text, however long, deep or broken, ends the process.

use super::*;
use crate::refuse::check_query;

/// Parses, checks, copies, prints and drops; with a test's stack of 2 MiB.
fn survive(text: &str) {
    let Ok(parsed) = parse(text) else { return };
    for one in &parsed {
        if let Statement::Query(query) = &one.statement {
            let _ = check_query(query);
        }
    }
    let copy = parsed.clone();
    drop(copy);
}

#[test]
fn the_longest_and_deepest_that_pass() {
    let texts = [
        format!("SELECT 1{}", " + 1".repeat(195)),
        format!("SELECT a{}", " NOTNULL".repeat(195)),
        format!("SELECT a{}", "::int".repeat(195)),
        format!("SELECT a{}", "[1]".repeat(195)),
        format!("SELECT a{}", " AT TIME ZONE 'x'".repeat(195)),
        format!("SELECT a{}", " IS NULL".repeat(195)),
        format!("SELECT a{}", ".b".repeat(5_000)),
        format!("SELECT 1 WHERE a{}", " OR a".repeat(195)),
        format!("SELECT a{}", " BETWEEN 1 AND 2".repeat(98)),
        format!(
            "SELECT {}1{}",
            "(".repeat(13),
            " + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1)".repeat(13)
        ),
        format!("SELECT {} a", "NOT ".repeat(98)),
        format!("SELECT {} a", "- ".repeat(98)),
        format!("SELECT {}'1 s'", "INTERVAL ".repeat(195)),
        format!("SELECT 1{}", " UNION SELECT 1".repeat(50)),
        format!("SELECT {}1{}", "(".repeat(97), ")".repeat(97)),
        format!("SELECT {}1{}", "(SELECT ".repeat(48), ")".repeat(48)),
        format!(
            "SELECT * FROM {}t{}",
            "(t JOIN ".repeat(97),
            " ON true)".repeat(97)
        ),
        format!("SELECT * FROM t{}", ", t".repeat(5_000)),
        format!("SELECT * FROM t{}", " JOIN t ON true".repeat(5_000)),
        format!("SELECT {}1", "CASE WHEN a THEN b ELSE ".repeat(95)),
        format!("SELECT CAST(a AS INT{})", "[]".repeat(900)),
        format!(
            "SELECT CAST(a AS {}INT{})",
            "ARRAY<".repeat(8),
            ">".repeat(8)
        ),
        format!(
            "WITH a AS (SELECT 1){} SELECT 1",
            ", a AS (SELECT 1)".repeat(5_000)
        ),
        format!("INSERT INTO t VALUES (1){}", ", (1, 2, 'x')".repeat(5_000)),
        "SELECT 1;".repeat(5_000),
    ];
    for text in &texts {
        survive(text);
    }
}

#[test]
fn far_too_long_and_far_too_deep() {
    for piece in [
        "(",
        "[",
        "SELECT ",
        "NOT ",
        "CASE ",
        "f(",
        "a.",
        "1+",
        "ARRAY<",
        "a::",
        "x IS ",
        "INTERVAL ",
        "'a' ",
        "{",
    ] {
        survive(&format!("SELECT {}", piece.repeat(50_000)));
        survive(&piece.repeat(50_000));
        survive(&format!("CREATE TABLE t (a {}", piece.repeat(20_000)));
    }
}

/// xorshift64* (Vigna, 2016).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(bits).unwrap() % bound
    }
}

const SEEDS: [&str; 16] = [
    "CREATE SOURCE clicks (user_id TEXT FROM 'userId', ts TIMESTAMPTZ, WATERMARK FOR ts AS ts - INTERVAL '5 s') \
     INCLUDE KEY AS k WITH (connector = 'kafka', topic = 't', \"a.b\" = 1) FORMAT PLAIN ENCODE JSON",
    "CREATE TABLE t (a INT METADATA FROM 'offset' VIRTUAL, b TIMESTAMP(3) WITH LOCAL TIME ZONE) WITH ('connector'='kafka')",
    "CREATE MATERIALIZED VIEW v (a, b) WITH (x = 'y') AS SELECT a, count(*) FROM TUMBLE(t, ts, INTERVAL '1' MINUTE) \
     GROUP BY a EMIT ON UPDATE EVERY INTERVAL '1 s'",
    "SELECT * FROM TABLE(SESSION(TABLE c PARTITION BY u, v, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) AS t WHERE a > -1",
    "SELECT sum(a) FILTER (WHERE b) OVER (PARTITION BY c ORDER BY d ROWS 1 PRECEDING), E'x\\n', $1, $$y$$ FROM t, u",
    "SUBSCRIBE TO (SELECT * FROM t EMIT FINAL) WITH (snapshot = false, progress) EMIT CHANGES",
    "COPY (SUBSCRIBE v) TO STDOUT WITH (FORMAT csv, HEADER true); COPY t (a, b) TO STDOUT CSV HEADER",
    "INSERT INTO t (a, b) VALUES (1, 'x'), (-2, NULL) ON CONFLICT DO NOTHING; ADVANCE WATERMARK FOR t TO '2026-01-01'",
    "SET search_path = \"$user\", public; SET TIME ZONE -7; RESET ALL; SHOW TRANSACTION ISOLATION LEVEL; DISCARD ALL",
    "BEGIN ISOLATION LEVEL READ COMMITTED, READ ONLY; COMMIT AND NO CHAIN; ROLLBACK TO x; START TRANSACTION",
    "EXPLAIN (VERBOSE) WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT 2) TABLE x ORDER BY 1 LIMIT 2 OFFSET 3",
    "DROP MATERIALIZED VIEW IF EXISTS public.a, \"B\" CASCADE; SHOW CREATE SOURCE a; ALTER TABLE t ADD COLUMN b INT",
    "SELECT CASE WHEN a THEN 1 ELSE 2 END, CAST(a AS NUMERIC(10, 2)), a::text[], extract(day FROM b), x[1:2] FROM t",
    "SELECT a FROM t FOR SYSTEM_TIME AS OF now() JOIN u USING (x) MATCH_RECOGNIZE (PATTERN (A B+) DEFINE A AS a = 1)",
    "SELECT 'é', \"ü\" /* c /* d */ */ -- e\n, U&'x', X'1', B'0', N'a', 1e5, 1_000, .5 <> 2 >-1 || a ~* 'b' ^ 2",
    "SELECT * FROM JSON_TABLE('[]', '$' COLUMNS (a INT PATH '$.a')) j, XMLTABLE('a' PASSING b COLUMNS c INT), unnest(d)",
];

/// A text made of pieces of the seeds, cut at any character.
fn mutated(random: &mut Random) -> String {
    let mut text: Vec<char> = SEEDS[random.below(SEEDS.len())].chars().collect();
    for _ in 0..=random.below(4) {
        let at = random.below(text.len() + 1);
        match random.below(6) {
            0 => text.truncate(at),
            1 => {
                let end = (at + random.below(12)).min(text.len());
                text.drain(at..end);
            }
            2 => {
                let noise: Vec<char> = "()[]{}<>,;.'\"$@#`\\=:-+*/|~!?%^&\u{0}\u{a0}é0aA_ \n"
                    .chars()
                    .collect();
                text.insert(at, noise[random.below(noise.len())]);
            }
            3 => {
                let other: Vec<char> = SEEDS[random.below(SEEDS.len())].chars().collect();
                let from = random.below(other.len());
                let end = (from + random.below(30)).min(other.len());
                text.splice(at..at, other[from..end].iter().copied());
            }
            4 => {
                let words: Vec<&str> = SEEDS[random.below(SEEDS.len())].split(' ').collect();
                let word = format!(" {} ", words[random.below(words.len())]);
                text.splice(at..at, word.chars());
            }
            _ => {
                let end = (at + random.below(20)).min(text.len());
                let again: Vec<char> = text[at..end].to_vec();
                text.splice(at..at, again);
            }
        }
    }
    text.into_iter().collect()
}

#[test]
fn mutated_statements_give_a_result_or_an_error_inside_the_text() {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let text = mutated(&mut random);
        match parse(&text) {
            Ok(parsed) => {
                accepted += 1;
                for one in parsed {
                    assert!(text.contains(&one.text), "{text}");
                    if let Statement::Query(query) = &one.statement {
                        let _ = check_query(query);
                    }
                }
            }
            Err(error) => {
                let place = error
                    .location()
                    .unwrap_or_else(|| panic!("no place: {text}\n{error:?}"));
                assert!(
                    place.char_index(&text) <= text.chars().count() + 1,
                    "{place:?} in {text}\n{error:?}"
                );
                assert!(
                    [
                        "42601", "0A000", "42704", "22023", "22007", "22008", "42701", "42703",
                        "42804", "3F000", "54001"
                    ]
                    .contains(&error.state().0),
                    "{error:?}"
                );
            }
        }
    }
    assert!(accepted > 500, "only {accepted} were accepted");
}
