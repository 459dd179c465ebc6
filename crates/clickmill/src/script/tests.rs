//! Tests of variables, places and splitting.

use super::*;

fn variables(set: &[(&str, &str)]) -> Variables {
    let mut variables = Variables::default();
    for (name, value) in set {
        variables.set(name, *value);
    }
    variables
}

fn script(text: &str, set: &[(&str, &str)]) -> Result<Script, Report> {
    Script::new("q.sql", text, &variables(set))
}

fn put_in(text: &str, set: &[(&str, &str)]) -> String {
    script(text, set).unwrap().text().to_owned()
}

fn refused(text: &str) -> (String, (usize, usize)) {
    let report = script(text, &[]).unwrap_err();
    let place = report.place.expect("errors of variables have a place");
    (report.message, (place.line, place.column))
}

/// The place in the file of the first `mark` in the text, as line and column.
fn found(script: &Script, mark: &str) -> (usize, usize) {
    let at = script.text().find(mark).unwrap();
    let before = &script.text()[..at];
    let location = Location {
        line: before.matches('\n').count() as u64 + 1,
        column: before.rsplit('\n').next().unwrap().chars().count() as u64 + 1,
    };
    let place = script.place(location);
    assert_eq!(place, script.place_behind(0, before.chars().count() + 1));
    (place.line, place.column)
}

#[test]
fn variables_and_defaults_are_put_in() {
    let set = [("TOPIC", "clicks"), ("EMPTY", "")];
    assert_eq!(put_in("a ${TOPIC} b", &set), "a clicks b");
    assert_eq!(put_in("'${TOPIC:other}'${TOPIC}", &set), "'clicks'clicks");
    assert_eq!(put_in("${B:127.0.0.1:9092}", &set), "127.0.0.1:9092");
    assert_eq!(put_in("[${X:}]", &set), "[]");
    assert_eq!(put_in("[${EMPTY:default}]", &set), "[]");
    assert_eq!(put_in("-- ${TOPIC}\n", &set), "-- clicks\n");
    assert_eq!(put_in("", &set), "");
}

#[test]
fn a_value_is_not_looked_at_again() {
    assert_eq!(put_in("${A}", &[("A", "${B} \\${")]), "${B} \\${");
}

#[test]
fn a_backslash_keeps_the_characters() {
    assert_eq!(put_in(r"\${TOPIC} \$x $1 \n", &[]), r"${TOPIC} \$x $1 \n");
    assert_eq!(put_in(r"\${${A}\${", &[("A", "1")]), "${1${");
}

#[test]
fn what_is_no_variable_is_refused_with_its_place() {
    let missing = "variable TOPIC has no value and no default";
    assert_eq!(refused("a\n  b ${TOPIC}"), (missing.to_owned(), (2, 5)));
    for (text, message) in [
        ("${}", "${ is not followed by a name and }"),
        ("${1A}", "${ is not followed by a name and }"),
        ("${A-B}", "${ is not followed by a name and }"),
        ("${:x}", "${ is not followed by a name and }"),
        ("${A", "${ has no closing }"),
        ("${A:b", "${ has no closing }"),
        ("${", "${ is not followed by a name and }"),
    ] {
        assert_eq!(refused(text), (message.to_owned(), (1, 1)), "{text}");
    }
}

#[test]
fn the_environment_is_read_unless_a_value_is_set() {
    let mut variables = Variables::environment();
    assert!(variables.get("PATH").unwrap().is_some());
    variables.set("PATH", "mine");
    assert_eq!(variables.get("PATH"), Ok(Some("mine".to_owned())));
    assert_eq!(Variables::default().get("PATH"), Ok(None));
}

#[test]
fn places_are_found_again_in_the_file() {
    let text = "SELECT 'é', ${LONG:1} AS a,\n  \\${x ${TWO} here\nlast";
    let script = script(text, &[("LONG", "a\nlong\nvalue"), ("TWO", "2")]).unwrap();
    assert_eq!(found(&script, "SELECT"), (1, 1));
    assert_eq!(
        found(&script, "long"),
        (1, 13),
        "inside a value: its variable"
    );
    assert_eq!(found(&script, "AS a"), (1, 23));
    assert_eq!(found(&script, "${x"), (2, 4));
    assert_eq!(found(&script, "2"), (2, 8));
    assert_eq!(found(&script, "here"), (2, 15));
    assert_eq!(found(&script, "last"), (3, 1));
}

#[test]
fn places_outside_the_text_are_at_its_end() {
    let script = script("ab\ncd", &[]).unwrap();
    let place = |line, column| {
        let place = script.place(Location { line, column });
        (place.line, place.column, place.text)
    };
    assert_eq!(place(1, 99), (1, 3, "ab".to_owned()));
    assert_eq!(place(9, 9), (2, 3, "cd".to_owned()));
    assert_eq!(place(0, 0), (1, 1, "ab".to_owned()));
}

fn statements(text: &str) -> Vec<(String, String)> {
    let script = Script::new("q.sql", text.replace("${", "\\${"), &Variables::default()).unwrap();
    let statements = script.statements();
    let text = |s: &Statement| script.text()[s.range.clone()].to_owned();
    statements
        .iter()
        .map(|s| (s.verb.clone(), text(s)))
        .collect()
}

fn texts(text: &str) -> Vec<String> {
    statements(text).into_iter().map(|(_, text)| text).collect()
}

#[test]
fn statements_end_at_semicolons() {
    let text = "-- first\nselect 1;; /* ; */\n Create\tview v as x ; (SELECT 2)\n-- end";
    let expected = [
        ("SELECT", "select 1"),
        ("CREATE", "Create\tview v as x"),
        ("", "(SELECT 2)"),
    ];
    let expected = expected.map(|(verb, text)| (verb.to_owned(), text.to_owned()));
    assert_eq!(statements(text), expected);
    assert!(statements(" ; -- nothing\n/* ; */ ;").is_empty());
}

#[test]
fn semicolons_in_strings_names_and_comments_end_nothing() {
    for one in [
        "a ';' b",
        "a 'it''s;' b",
        r"a '\' || ';'",
        r"a E'\';' b",
        r"a E'\''';x' b",
        "a \"x;\"\"y;\" b",
        "a $$ ; $x$ $$ b",
        "a $tag$ ; $$ $tag$ b",
        "a /* ; /* ; */ ; */ b",
        "a -- ;\n b",
        "a 'é;' b",
    ] {
        assert_eq!(texts(&format!("{one}; c")), [one, "c"], "{one}");
    }
    assert_eq!(texts("a $1; b$c$; d$c$"), ["a $1", "b$c$", "d$c$"]);
    assert_eq!(texts("nE'\\'; b"), ["nE'\\'", "b"]);
    assert_eq!(texts("a 'open; b"), ["a 'open; b"]);
    assert_eq!(texts("a /* open; b"), ["a"]);
}
