//! The command line itself: version, help, and what makes no sense.

use std::path::Path;

use crate::process::clickmill;

fn here(words: &[&str]) -> crate::process::Ended {
    clickmill(Path::new("."), words)
}

#[test]
fn the_version_is_data() {
    let ended = here(&["--version"]);
    let expected = format!("clickmill {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((ended.code, ended.stdout), (Some(0), expected));
    assert_eq!(ended.stderr, "");
}

#[test]
fn help_is_data_and_names_the_commands() {
    let ended = here(&["--help"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    for command in ["demo", "serve", "run", "produce"] {
        assert!(
            ended.stdout.contains(&format!("\n  {command} ")),
            "{ended:?}"
        );
        let help = here(&[command, "--help"]);
        assert!(help.stdout.contains("Usage: clickmill"), "{help:?}");
    }
}

#[test]
fn what_makes_no_sense_has_exit_code_2_and_says_why() {
    let cases: [(&[&str], &str); 10] = [
        (&[], "Usage: clickmill <COMMAND>"),
        (&["dmeo"], "similar subcommand exists: 'demo'"),
        (&["demo", "--rat", "5"], "similar argument exists: '--rate'"),
        (&["demo", "--rate", "0"], "0 is not in 1..=1000000"),
        (&["run"], "<FILE.sql>"),
        (&["run", "--connect", "nowhere", "x.sql"], "x.sql"),
        (
            &["produce", "--mix", "views=1"],
            "there are page_view, click",
        ),
        (&["serve", "--no-sync"], "--data-dir <DIR>"),
        (
            &["serve", "--data-dir", "d", "--checkpoint-interval", "0"],
            "it is not a number and a unit",
        ),
        (&["serve", "--pg-host", "0.0.0.0"], "--trust-remote"),
    ];
    for (words, reason) in cases {
        let ended = here(words);
        let code = if words.contains(&"nowhere") { 1 } else { 2 };
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (Some(code), ""),
            "{words:?}"
        );
        assert!(ended.stderr.contains(reason), "{words:?}: {}", ended.stderr);
    }
}
