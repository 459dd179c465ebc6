//! Tests of a sink's options: what is refused, and that nothing shows the password.

use arrow::datatypes::{DataType, Field, Schema};
use dataflow::schema::Encoding;

use super::super::*;
use crate::sink_testing::{declared, request, sink};

const URL: &str = "postgres://me:s%40cret@localhost/db";

#[test]
fn a_sink_is_known_by_its_table_and_its_password_is_not_shown() {
    for (url, table) in [
        (URL, "t"),
        ("host=localhost,other password='s@cret' user=me", "s.t"),
        ("postgresql:///db?host=/tmp&sslmode=disable", "S.T"),
    ] {
        let pairs = [("url", url), ("table", table)];
        let sink = sink(&PostgresConnector, &pairs, &declared(Encoding::Json)).unwrap();
        assert_eq!(sink.target(), table);
        assert_eq!(format!("{sink:?}"), format!("postgres {table}"));
        assert_eq!(sink.delivery(), Delivery::ExactlyOnce);
        sink.open(request("mill.out")).unwrap();
    }
}

#[test]
fn wrong_options_are_refused_without_a_word_of_the_password() {
    for (url, message) in [
        ("mysql://me:secret@h/db", "is not an address of PostgreSQL"),
        (
            "host=h password=my secret",
            "is not an address of PostgreSQL",
        ),
        ("postgres://me:my@secret@h/db", "has an \"@\" too many"),
        (
            "postgres://me:a@b:secret@h/db",
            "has a value of \"port\" that is none",
        ),
        ("postgres://me:secret@/db", "names no host"),
        ("user=me password=secret", "names no host"),
    ] {
        let pairs = [("url", url), ("table", "t")];
        let error = sink(&PostgresConnector, &pairs, &declared(Encoding::Json)).unwrap_err();
        assert_eq!(error.state().0, "22023");
        assert_eq!(error.message(), format!("option \"url\" {message}"));
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
    for mode in ["require", "verify-full"] {
        let url = format!("{URL}?sslmode={mode}");
        let pairs = [("url", &*url), ("table", "t")];
        let error = sink(&PostgresConnector, &pairs, &declared(Encoding::Json)).unwrap_err();
        assert_eq!(error.state().0, "0A000");
        assert!(error.message().contains("sslmode"), "{error}");
    }
    for table in ["", "a.", "a.b.c", "\"a\""] {
        let pairs = [("url", URL), ("table", table)];
        let error = sink(&PostgresConnector, &pairs, &declared(Encoding::Json)).unwrap_err();
        assert_eq!(error.state().0, "22023", "{table}");
    }
    for pairs in [
        &[("url", URL)][..],
        &[("table", "t")],
        &[("url", URL), ("table", "t"), ("mode", "x")],
    ] {
        let error = sink(&PostgresConnector, pairs, &declared(Encoding::Json)).unwrap_err();
        assert_eq!(error.state().0, "22023", "{pairs:?}");
    }
}

#[test]
fn sinks_that_a_table_cannot_hold_are_refused() {
    let pairs = [("url", URL), ("table", "t")];
    let refused = |declared: &SinkDeclaration| {
        let error = sink(&PostgresConnector, &pairs, declared).unwrap_err();
        assert_eq!(error.state().0, "0A000");
        error.message().to_owned()
    };
    let mut updating = declared(Encoding::Json);
    updating.updating = true;
    assert_eq!(
        refused(&updating),
        "FORMAT PLAIN for a sink of rows that are taken back is not supported"
    );
    updating.format = SinkFormat::Upsert;
    assert_eq!(
        refused(&updating),
        "FORMAT UPSERT for a sink without a key is not supported"
    );
    updating.key = vec![0];
    sink(&PostgresConnector, &pairs, &updating).unwrap();
    let item = Field::new_list_field(DataType::Int64, true);
    let list = Field::new("l", DataType::List(Arc::new(item)), true);
    updating.schema = Arc::new(Schema::new(vec![list]));
    assert!(refused(&updating).starts_with("column \"l\" of type "));
    let mut options = Options::new(Vec::new()).unwrap();
    let error = PostgresConnector.source(&mut options).unwrap_err();
    assert_eq!(error.state().0, "0A000");
}
