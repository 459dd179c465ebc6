//! What is refused: state, message, and where. The cases are in `refused.txt`.

use super::*;

#[test]
fn every_case_of_the_list() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in include_str!("refused.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (expected, text) = case
            .split_once(" <- ")
            .unwrap_or_else(|| panic!("no text: {case}"));
        let text = text.replace("\\n", "\n");
        let found = match parse(&text) {
            Ok(_) => "accepted".to_owned(),
            Err(error) => {
                let place = error
                    .location()
                    .map_or((0, 0), |place| (place.line, place.column));
                format!(
                    "{}:{} {} {}",
                    place.0,
                    place.1,
                    error.state().0,
                    error.message()
                )
            }
        };
        if found != expected {
            wrong.push(format!("{text}\n  expected {expected}\n  found    {found}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 200, "{count} cases");
}

#[test]
fn hints_and_details() {
    let cases = [
        (
            "CREATE TABLE t (user TEXT)",
            "user is a reserved word",
            "as a name it must be quoted: \"user\"",
        ),
        ("SELECT a,, b", "expected an expression", ""),
        (
            "SELECT 1 EMIT CHANGES",
            "",
            "SUBSCRIBE (SELECT …) EMIT … gives rows as they come; CREATE MATERIALIZED VIEW … EMIT … keeps them",
        ),
        (
            "CREATE TABLE t (a NUMERIC)",
            "",
            "give precision and scale, as in NUMERIC(18, 2)",
        ),
        (
            "DECLARE c CURSOR FOR SELECT 1",
            "",
            "use SUBSCRIBE, or COPY (SUBSCRIBE …) TO STDOUT",
        ),
    ];
    for (text, detail, hint) in cases {
        let error = parse(text).unwrap_err();
        assert_eq!(error.detail_text().unwrap_or_default(), detail, "{text}");
        assert_eq!(error.hint_text().unwrap_or_default(), hint, "{text}");
    }
}

#[test]
fn too_complex() {
    let deep = format!("SELECT {}1{}", "(SELECT ".repeat(60), ")".repeat(60));
    let long = format!("SELECT 1{}", " + 1".repeat(2_000));
    for text in [deep, long] {
        let error = parse(&text).unwrap_err();
        assert_eq!(error.state(), source::TOO_COMPLEX, "{}", &text[..30]);
        assert!(error.location().is_some());
    }
}
