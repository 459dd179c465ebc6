//! Messages and their answers: the simple and the extended protocol, COPY out, errors, notices and settings.

use super::raw::{Raw, bind, close, describe, execute, flush, message, parse, query, server, sync};

#[tokio::test]
async fn statements_of_one_text_are_answered_one_after_another() {
    let (server, state) = server().await;
    let mut raw = Raw::open(&server).await;
    raw.query("rows 2; fail; rows 3").await;
    let answers = raw.until('Z').await;
    let kinds: String = answers.iter().map(|answer| answer.kind).collect();
    assert_eq!(kinds, "TDDCEZ");
    assert_eq!(
        answers[0].body,
        b"\0\x02id\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\0\
        name\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0"
    );
    assert_eq!(answers[2].body, b"\0\x02\0\0\0\x011\0\0\0\x06name 1");
    assert_eq!(answers[3].body, b"SELECT 2\0");
    let error = &answers[4];
    assert_eq!(error.sqlstate(), "42703");
    assert_eq!(error.field(b'H').unwrap(), "Try y.");
    assert_eq!(error.field(b'P').unwrap(), "11");
    assert_eq!(*state.executed.lock(), ["rows 2", "fail"]);
    assert_eq!(*state.batches.lock(), 1);
    // The first result is there while the second statement runs.
    raw.query("rows 1; sleep").await;
    assert_eq!(raw.until('C').await.len(), 3);
    raw.cancel(&server, &raw.key.clone()).await;
    assert_eq!(raw.kinds().await, "EZ");
}

#[tokio::test]
async fn a_syntax_error_anywhere_runs_nothing_and_has_its_place() {
    let (server, state) = server().await;
    let mut raw = Raw::open(&server).await;
    raw.query("rows 1;\n  syntax").await;
    let error = raw.expect('E').await;
    assert_eq!(
        (
            error.sqlstate().as_str(),
            error.field(b'P').unwrap().as_str()
        ),
        ("42601", "11")
    );
    raw.expect('Z').await;
    assert!(state.executed.lock().is_empty());
}

#[tokio::test]
async fn empty_texts_notices_settings_and_transactions() {
    let (server, _) = server().await;
    let mut raw = Raw::open(&server).await;
    for empty in ["", " ; ;"] {
        raw.query(empty).await;
        assert_eq!(raw.kinds().await, "IZ");
    }
    raw.query("notice look here").await;
    let notice = raw.expect('N').await;
    assert_eq!(
        (
            notice.field(b'M').unwrap().as_str(),
            notice.field(b'S').unwrap().as_str()
        ),
        ("look here", "NOTICE")
    );
    assert_eq!(raw.kinds().await, "CZ");
    raw.query("set application_name app").await;
    let answers = raw.until('Z').await;
    assert_eq!(answers[1].kind, 'S');
    assert_eq!(answers[1].texts(), ["application_name", "app"]);
    for (text, kinds, status) in [
        ("begin", "CZ", b"T"),
        ("fail", "EZ", b"E"),
        ("rows 1", "EZ", b"E"),
        ("rollback", "CZ", b"I"),
        ("begin; fail after 1", "CTDEZ", b"E"),
        ("rollback; begin; syntax", "EZ", b"E"),
        ("rollback", "CZ", b"I"),
    ] {
        raw.query(text).await;
        let answers = raw.until('Z').await;
        assert_eq!(
            answers.iter().map(|a| a.kind).collect::<String>(),
            kinds,
            "{text}"
        );
        assert_eq!(answers.last().unwrap().body, status, "{text}");
    }
}

#[tokio::test]
async fn tags_count_rows_where_postgres_does() {
    let (server, _) = server().await;
    let mut raw = Raw::open(&server).await;
    for (text, tag) in [
        ("rows 3", "SELECT 3"),
        ("show application_name", "SHOW"),
        ("copy rows 2", "COPY 2"),
    ] {
        raw.query(text).await;
        let answers = raw.until('Z').await;
        assert_eq!(answers[answers.len() - 2].texts(), [tag]);
    }
}

#[tokio::test]
async fn copy_out_in_text_and_csv() {
    let (server, _) = server().await;
    let mut raw = Raw::open(&server).await;
    raw.query("copy rows 2").await;
    let answers = raw.until('Z').await;
    assert_eq!(answers.iter().map(|a| a.kind).collect::<String>(), "HddcCZ");
    assert_eq!(answers[0].body, b"\0\0\x02\0\0\0\0");
    assert_eq!(answers[2].body, b"1\tname 1\n");
    raw.query("csv rows 1").await;
    let answers = raw.until('Z').await;
    assert_eq!(
        (&answers[1].body[..], &answers[2].body[..]),
        (&b"id,name\n"[..], &b"0,name 0\n"[..])
    );
    assert_eq!(answers[4].texts(), ["COPY 1"]);
    raw.query("copy fail after 2").await;
    assert_eq!(raw.kinds().await, "HddEZ");
}

#[tokio::test]
async fn many_rows_arrive_whole() {
    let (server, _) = server().await;
    let mut raw = Raw::open(&server).await;
    raw.query("rows 100000").await;
    let answers = raw.until('Z').await;
    assert_eq!(answers.len(), 100_003);
    assert!(answers[100_000].body.ends_with(b"name 99999"));
}

#[tokio::test]
async fn prepare_describe_bind_execute() {
    let (server, state) = server().await;
    let mut raw = Raw::open(&server).await;
    let script = [
        parse("s", "echo 2"),
        describe('S', "s"),
        bind("p", "s", &[Some(b"one"), None]),
        describe('P', "p"),
        execute("p", 0),
        close('P', "p"),
        close('S', "s"),
        sync(),
    ];
    raw.send(&script.concat()).await;
    let answers = raw.until('Z').await;
    assert_eq!(
        answers.iter().map(|a| a.kind).collect::<String>(),
        "1tT2TDC33Z"
    );
    assert_eq!(answers[1].body, b"\0\x02\0\0\0\x19\0\0\0\x19");
    assert_eq!(answers[5].body, b"\0\x02\0\0\0\x03one\xff\xff\xff\xff");
    assert_eq!(*state.batches.lock(), 1);
    raw.send(
        &[
            parse("", ""),
            describe('S', ""),
            bind("", "", &[]),
            execute("", 0),
            sync(),
        ]
        .concat(),
    )
    .await;
    assert_eq!(raw.kinds().await, "1tn2IZ");
    raw.send(
        &[
            parse("", "begin"),
            bind("", "", &[]),
            describe('P', ""),
            execute("", 0),
            execute("", 0),
            sync(),
        ]
        .concat(),
    )
    .await;
    let answers = raw.until('Z').await;
    assert_eq!(answers.iter().map(|a| a.kind).collect::<String>(), "12nCEZ");
    assert_eq!(answers[4].sqlstate(), "55000");
    assert_eq!(answers[5].body, b"E");
}

#[tokio::test]
async fn every_row_limit_is_safe() {
    let (server, _) = server().await;
    let mut raw = Raw::open(&server).await;
    for limit in [0, -1, i32::MIN, i32::MAX, 6] {
        raw.send(
            &[
                parse("", "rows 5"),
                bind("", "", &[]),
                execute("", limit),
                sync(),
            ]
            .concat(),
        )
        .await;
        assert_eq!(raw.kinds().await, "12DDDDDCZ", "{limit}");
    }
}

#[tokio::test]
async fn portals_are_suspended_and_resumed_side_by_side() {
    let (server, state) = server().await;
    let mut raw = Raw::open(&server).await;
    raw.send(
        &[
            query("begin"),
            parse("s", "rows 3"),
            bind("a", "s", &[]),
            bind("b", "s", &[]),
            sync(),
        ]
        .concat(),
    )
    .await;
    assert_eq!(raw.kinds().await + &raw.kinds().await, "CZ122Z");
    raw.send(&[execute("a", 2), execute("b", 1), sync()].concat())
        .await;
    assert_eq!(raw.kinds().await, "DDsDsZ");
    state.open_results(2).await;
    raw.send(
        &[
            execute("a", 2),
            execute("b", 2),
            execute("b", 1),
            execute("b", 1),
            sync(),
        ]
        .concat(),
    )
    .await;
    let answers = raw.until('Z').await;
    assert_eq!(
        answers.iter().map(|a| a.kind).collect::<String>(),
        "DCDDsCCZ"
    );
    assert_eq!(answers[1].texts(), ["SELECT 1"]);
    assert_eq!(answers[5].texts(), ["SELECT 0"]);
    state.open_results(0).await;
    raw.send(
        &[
            bind("c", "s", &[]),
            execute("c", 1),
            query("rollback"),
            execute("c", 1),
            sync(),
        ]
        .concat(),
    )
    .await;
    assert_eq!(raw.kinds().await, "2DsCZ");
    let answers = raw.until('Z').await;
    assert_eq!(answers[0].sqlstate(), "34000");
    state.open_results(0).await;
}

#[tokio::test]
async fn portals_end_at_sync_outside_a_transaction() {
    let (server, state) = server().await;
    let mut raw = Raw::open(&server).await;
    raw.send(
        &[
            parse("", "rows 3"),
            bind("p", "", &[]),
            execute("p", 1),
            sync(),
            execute("p", 1),
            sync(),
        ]
        .concat(),
    )
    .await;
    assert_eq!(raw.kinds().await, "12DsZ");
    assert_eq!(raw.until('Z').await[0].sqlstate(), "34000");
    state.open_results(0).await;
}

#[tokio::test]
async fn after_an_error_messages_are_skipped_up_to_sync() {
    let (server, state) = server().await;
    let mut raw = Raw::open(&server).await;
    let script = [
        parse("", "fail"),
        bind("", "", &[]),
        execute("", 0),
        parse("x", "rows 1"),
        query("rows 1"),
        sync(),
    ];
    raw.send(&script.concat()).await;
    let answers = raw.until('Z').await;
    assert_eq!(answers.iter().map(|a| a.kind).collect::<String>(), "12EZ");
    assert_eq!(answers[2].field(b'P').unwrap(), "3");
    raw.send(&[describe('S', "x"), sync()].concat()).await;
    assert_eq!(raw.until('Z').await[0].sqlstate(), "26000");
    assert_eq!(*state.executed.lock(), ["fail"]);
}

#[tokio::test]
async fn wrong_messages_have_the_states_of_postgres() {
    let (server, _) = server().await;
    let mut raw = Raw::open(&server).await;
    raw.send(&[parse("twice", "rows 1"), parse("two", "echo 2"), sync()].concat())
        .await;
    assert_eq!(raw.kinds().await, "11Z");
    let with_formats = |formats: &[i16]| {
        let mut body = b"\0twice\0\0\0\0\0".to_vec();
        body.extend(u16::try_from(formats.len()).unwrap().to_be_bytes());
        formats
            .iter()
            .for_each(|format| body.extend(format.to_be_bytes()));
        message(b'B', &body)
    };
    for (script, state, text) in [
        (
            parse("twice", "rows 1"),
            "42P05",
            "prepared statement \"twice\" already exists",
        ),
        (
            parse("", "rows 1; rows 2"),
            "42601",
            "cannot insert multiple commands into a prepared statement",
        ),
        (
            parse("", "syntax"),
            "42601",
            "syntax error at or near \"syntax\"",
        ),
        (
            parse("", "missing"),
            "42P01",
            "relation \"missing\" does not exist",
        ),
        (
            message(b'P', b"\0echo\0\0\x01\0\0\x27\x0f"),
            "0A000",
            "a parameter of the type with oid 9999 is not supported",
        ),
        (
            bind("", "nix", &[]),
            "26000",
            "prepared statement \"nix\" does not exist",
        ),
        (
            bind("", "two", &[None]),
            "08P01",
            "bind message supplies 1 parameters, but prepared statement \"two\" requires 2",
        ),
        (
            with_formats(&[0, 1, 0]),
            "08P01",
            "bind message has 3 result formats but query has 2 columns",
        ),
        (with_formats(&[7]), "22023", "unsupported format code: 7"),
        (
            bind("", "two", &[None, Some(b"\xff")]),
            "22021",
            "invalid byte sequence for encoding \"UTF8\" in a parameter",
        ),
        (execute("nix", 0), "34000", "portal \"nix\" does not exist"),
        (
            describe('P', "nix"),
            "34000",
            "portal \"nix\" does not exist",
        ),
        (
            message(b'P', b"\0\xff\0\0\0"),
            "22021",
            "invalid byte sequence for encoding \"UTF8\": 0xff",
        ),
    ] {
        raw.send(&[script, sync()].concat()).await;
        let error = raw.expect('E').await;
        assert_eq!(
            (
                error.sqlstate().as_str(),
                error.field(b'M').unwrap().as_str()
            ),
            (state, text)
        );
        raw.expect('Z').await;
    }
    raw.send(&[bind("p", "twice", &[]), bind("p", "twice", &[]), sync()].concat())
        .await;
    assert_eq!(raw.until('Z').await[1].sqlstate(), "42P03");
    raw.send(&message(b'F', b"\0\0\0\x01\0\0\0\0\0\0")).await;
    assert_eq!(raw.until('Z').await[0].sqlstate(), "0A000");
    raw.send(
        &[
            message(b'Q', b"\xff\0"),
            message(b'd', b"data"),
            message(b'c', b""),
        ]
        .concat(),
    )
    .await;
    assert_eq!(raw.until('Z').await[0].sqlstate(), "22021");
    raw.query("rows 1").await;
    assert_eq!(raw.kinds().await, "TDCZ");
}

#[tokio::test]
async fn statements_and_portals_are_limited() {
    let (server, _) = server().await;
    let mut raw = Raw::open(&server).await;
    let many: Vec<u8> = (0..1001)
        .flat_map(|i| parse(&format!("s{i}"), "rows 1"))
        .collect();
    raw.send(&[many, sync()].concat()).await;
    let answers = raw.until('Z').await;
    assert_eq!(answers.len(), 1002);
    assert_eq!(answers[1000].sqlstate(), "53400");
    let many: Vec<u8> = (0..101)
        .flat_map(|i| bind(&format!("p{i}"), "s1", &[]))
        .collect();
    raw.send(&[many, sync()].concat()).await;
    let answers = raw.until('Z').await;
    assert_eq!(
        (answers.len(), answers[100].sqlstate().as_str()),
        (102, "53400")
    );
}

#[tokio::test]
async fn flush_sends_answers_without_sync() {
    let (server, _) = server().await;
    let mut raw = Raw::open(&server).await;
    raw.send(&[parse("", "rows 1"), describe('S', ""), flush()].concat())
        .await;
    for kind in ['1', 't', 'T'] {
        raw.expect(kind).await;
    }
    raw.send(&sync()).await;
    raw.expect('Z').await;
}
