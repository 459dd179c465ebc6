//! Aggregates of random queries: each gives on both sides the same, in whatever order rows come and states are merged.

use super::random::Random;

/// Aggregates over the stream. Where the order of rows matters it is that of (partition, offset), which no two share;
/// what is an estimate is asked only where it is exact.
const AGGREGATES: &[&str] = &[
    "count(n)",
    "count(k)",
    "count(DISTINCT k)",
    "count(DISTINCT n)",
    "count(DISTINCT n % 4)",
    "sum(n)",
    "min(n)",
    "max(n)",
    "avg(n)",
    "sum(x)",
    "min(x)",
    "max(x)",
    "avg(x)",
    "min(k)",
    "max(upper(k))",
    "min(ts)",
    "max(ts)",
    "count(*) FILTER (WHERE n > 0)",
    "sum(n) FILTER (WHERE k IS NOT NULL)",
    "avg(x) FILTER (WHERE k = 'a')",
    "count(DISTINCT k) FILTER (WHERE n IS NOT NULL)",
    "sum(DISTINCT n) FILTER (WHERE k <> 'b')",
    "sum(DISTINCT n)",
    "avg(DISTINCT n)",
    "sum(n * 2 + 1)",
    "max(n) - min(n)",
    "count(*) * 2 + count(n)",
    "sum(CASE WHEN k = 'a' THEN 1 ELSE 0 END)",
    "bool_and(n > 0)",
    "bool_or(n > 7)",
    "bool_and(n > -3) FILTER (WHERE k = 'a')",
    "coalesce(sum(n), -1)",
    "stddev(x)",
    "stddev_pop(n)",
    "var_samp(n)",
    "var_pop(x)",
    "covar_samp(n, x)",
    "covar_pop(n, x)",
    "corr(n, x)",
    "regr_count(n, x)",
    "bit_and(n)",
    "bit_or(n)",
    "bit_xor(n)",
    "bit_xor(DISTINCT n)",
    "median(n)",
    "median(x)",
    "approx_distinct(k)",
    "approx_distinct(n)",
    "CASE WHEN count(x) <= 40 THEN approx_percentile_cont(0.3) WITHIN GROUP (ORDER BY x) END",
    "CASE WHEN count(x) <= 40 THEN approx_percentile_cont(0.9) WITHIN GROUP (ORDER BY x DESC) END",
    "CASE WHEN count(x) <= 40 THEN approx_median(x) END",
    "percentile_cont(0.25) WITHIN GROUP (ORDER BY x)",
    "percentile_cont(0.75) WITHIN GROUP (ORDER BY n DESC)",
    "array_agg(n ORDER BY p, o)",
    "array_agg(k ORDER BY p DESC, o)",
    "array_agg(DISTINCT n ORDER BY n)",
    "string_agg(k, '|' ORDER BY p, o)",
    "first_value(n ORDER BY ts, p, o)",
    "first_value(k ORDER BY ts DESC, p, o)",
    "last_value(n ORDER BY ts, p, o)",
    "last_value(k ORDER BY p, o) FILTER (WHERE n > 0)",
];

/// Aggregates over a stream that a table with a column `g` has been joined to.
const JOINED: &[&str] = &["sum(g)", "max(g)", "count(g)", "count(DISTINCT g)"];

/// Aggregates over a view with a count `c` and a sum `s`.
const SECOND: &[&str] = &[
    "count(*)",
    "sum(s)",
    "max(c)",
    "min(c)",
    "avg(s)",
    "count(DISTINCT k)",
    "count(DISTINCT c)",
    "sum(c) FILTER (WHERE s > 0)",
    "max(k)",
];

/// Some aggregates with names; the first is the number of rows.
pub(super) fn aggregates(random: &mut Random, joined: bool) -> Vec<String> {
    let mut chosen = some("count(*)", AGGREGATES, random);
    if joined {
        chosen.push((*random.pick(JOINED)).to_owned());
    }
    named(chosen)
}

/// Some aggregates over the rows of a view.
pub(super) fn second_aggregates(random: &mut Random) -> Vec<String> {
    named(some("sum(c)", SECOND, random))
}

fn some(first: &str, choices: &[&str], random: &mut Random) -> Vec<String> {
    let mut chosen = vec![first.to_owned()];
    chosen.extend((0..random.below(5)).map(|_| (*random.pick(choices)).to_owned()));
    chosen
}

fn named(chosen: Vec<String>) -> Vec<String> {
    let named = chosen.iter().enumerate();
    named.map(|(i, sql)| format!("{sql} AS a{i}")).collect()
}
