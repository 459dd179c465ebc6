//! The small table that streams are joined to.

use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::random::Random;

/// Rows (id, g); some come when the stream has been read for a while.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) first: Vec<TableRow>,
    pub(super) more: Vec<TableRow>,
    /// The later rows come after this many records.
    pub(super) more_after: i64,
}

/// A row of the table.
pub(super) type TableRow = (Option<String>, Option<i64>);

impl Table {
    pub(super) fn random(random: &mut Random, records: usize, grows: bool) -> Self {
        let mut row = |_| {
            let id = match random.below(12) {
                0 => None,
                1 => Some("last".to_owned()),
                other => Some(char::from(b'a' + other as u8 % 6).to_string()),
            };
            (id, random.chance(85).then(|| random.between(-4, 30)))
        };
        let first = (0..6).map(&mut row).collect();
        let more = (0..4).map(&mut row).collect();
        Self {
            first,
            more: if grows { more } else { Vec::new() },
            more_after: random.between(1, records.max(1) as i64),
        }
    }

    pub(super) fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Utf8, true),
            Field::new("g", DataType::Int64, true),
        ]))
    }

    /// Rows as a batch.
    pub(super) fn batch(rows: &[TableRow]) -> Result<RecordBatch, String> {
        let ids: StringArray = rows.iter().map(|(id, _)| id.as_deref()).collect();
        let values: Int64Array = rows.iter().map(|(_, g)| *g).collect();
        RecordBatch::try_new(Self::schema(), vec![Arc::new(ids), Arc::new(values)])
            .map_err(|e| e.to_string())
    }
}
