//! Laws that hold for any text.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::*;
use crate::config::Place;

/// Pieces that lie about in configurations, put together at random.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(CONNECTION.to_owned()),
        Just(STORAGE.to_owned()),
        Just(SQLITE.to_owned()),
        Just(POSTGRES.to_owned()),
        Just(EVENT_STREAM_SERVER.to_owned()),
        "[a-z_]{1,12} = (-?[0-9]{1,25}|\"[^\"\n]{0,9}\"|true|\\[\\]|\\{\\})\n",
        "\\[{1,2}(connections|storage|storage\\.sqlite_config|rest_server|admin_server|x)\\]{1,2}\n",
        "(port|sse_port|storage_path|connections|storage|address) = (0|70000|\"\"|\"\u{e9}\"|\\[1\\]|\\{a=1\\}|1\\.5)\n",
        "(?s).{0,9}",
    ]
}

/// That `text` is told of without a panic, and each problem has a place within it.
fn check(text: &str) -> TestCaseResult {
    let problems = match parse(text) {
        Ok(Loaded { warnings, .. }) => warnings.into_iter().map(|warning| warning.0).collect(),
        Err(ConfigError::Invalid { errors, warnings, .. }) => {
            prop_assert!(!errors.is_empty());
            errors.into_iter().chain(warnings.into_iter().map(|warning| warning.0)).collect::<Vec<_>>()
        }
        Err(error) => return Err(TestCaseError::fail(error.to_string())),
    };
    for problem in problems {
        if let Place::Line { line, column, .. } = problem.place {
            let found = text.split('\n').nth(line - 1);
            prop_assert!(found.is_some_and(|found| column <= found.chars().count() + 1), "{line}:{column}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_told_of_without_a_panic(text in "(?s).{0,200}") {
        check(&text)?;
    }

    #[test]
    fn any_mixture_of_pieces_is_told_of_without_a_panic(pieces in prop::collection::vec(piece(), 0..12)) {
        check(&pieces.concat())?;
    }

    #[test]
    fn a_right_file_with_a_slip_of_the_pen_is_told_of_without_a_panic(at in any::<prop::sample::Index>(), slip in any::<char>()) {
        let mut text: Vec<char> = whole().chars().collect();
        let at = at.index(text.len());
        text[at] = slip;
        check(&text.into_iter().collect::<String>())?;
    }

    #[test]
    fn any_unknown_field_is_warned_of(name in "[a-z][a-z0-9_-]{0,20}x", section in 0..7_usize) {
        let headings =
            ["\n[[connections]]\n", "\n[storage]\n", "\n[storage.sqlite_config]\n", "\n[event_stream_server]\n", "\n[rest_server]\n", "\n[admin_server]\n"];
        let field = format!("{name} = 1\n");
        let text = match headings.get(section) {
            Some(heading) => whole().replacen(heading, &format!("{heading}{field}"), 1),
            None => format!("{field}{}", whole()),
        };
        let line = text.lines().position(|line| line == field.trim_end()).map(|index| index + 1);
        let Loaded { config, warnings } = parse(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(config, parse(&whole()).expect("a right file").config);
        prop_assert_eq!(warnings.len(), 1);
        let Problem { place, message } = &warnings[0].0;
        prop_assert!(message.starts_with(&format!("unknown field {name}")), "{}", message);
        prop_assert!(matches!(place, Place::Line { line: at, column: 1, .. } if Some(*at) == line), "{}", place);
    }

    /// What `--check-config` shows can be put into a file and means the same.
    #[test]
    fn the_effective_configuration_reads_back(
        host in "[a-z]{1,9}(\\.[a-z]{1,9})?",
        path in "[^\u{0}-\u{1f}\u{7f}-\u{9f}]{1,20}",
        // Above the ports that they replace, one after the other.
        ports in prop::sample::subsequence((20_000..=u16::MAX).collect::<Vec<_>>(), 3),
        count in 1..=u32::MAX,
    ) {
        prop_assume!(!path.trim().is_empty());
        let text = whole()
            .replace("127.0.0.1", &host)
            .replace("\"data\"", &toml::Value::from(path).to_string())
            .replace("port = 19999", &format!("address = \"::\"\nport = {}\nmax_concurrent_subscribers = {count}", ports[0]))
            .replace("port = 18888", &format!("port = {}\nrequest_timeout_in_seconds = {count}", ports[1]))
            .replace("port = 18887", &format!("port = {}", ports[2]));
        let config = parse(&text).map_err(|error| TestCaseError::fail(error.to_string()))?.config;
        let again = parse(&config.to_string()).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(again.config, config);
        prop_assert_eq!(again.warnings, []);
    }
}
