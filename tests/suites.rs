//! The suites.

mod architecture;
mod connectors;
mod documents;
mod flink;
mod kafka;
mod oracle;
mod psql;
mod recovery;
mod slt;

use libtest_mimic::Trial;

/// Every test of every suite; the suite is the name's first part.
pub(crate) fn all() -> Vec<Trial> {
    let suites = [
        architecture::trials(),
        documents::trials(),
        flink::trials(),
        slt::trials(),
        psql::trials(),
        kafka::trials(),
        connectors::trials(),
        recovery::trials(),
        oracle::trials(),
    ];
    suites.into_iter().flatten().collect()
}
