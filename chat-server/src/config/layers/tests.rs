//! Tests of the layers, and of the template that shows every setting.

use std::time::Duration;

use super::*;
use crate::config::Limits;

const TEMPLATE: &str = include_str!("../../../../templates/server.toml");

fn file(text: &str) -> Result<Settings, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.toml");
    std::fs::write(&path, text).unwrap();
    let result = Layers { file: Some(path), ..Layers::default() }.resolve();
    // The directory has another name each time.
    result.map_err(|mut error| {
        for mistake in &mut error.mistakes {
            mistake.found = mistake.found.replace(&format!("{}/", directory.path().display()), "");
        }
        error
    })
}

fn environment(variables: &[(&str, &str)]) -> Layers {
    let environment = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    Layers { environment, ..Layers::default() }
}

fn mistakes(result: Result<Settings, ConfigError>) -> Vec<String> {
    result.unwrap_err().mistakes.iter().map(ToString::to_string).collect()
}

/// The template with the `#` taken off every setting, which the comments proper have a space after.
fn uncommented() -> String {
    let line = |line: &'static str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest,
        _ => line,
    };
    TEMPLATE.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_template_sets_nothing_but_the_defaults_and_leaves_none_out() {
    assert_eq!(file(TEMPLATE).unwrap(), Settings::default());
    assert_eq!(file(&uncommented()).unwrap(), Settings::default());
    let table: toml::Table = uncommented().parse().unwrap();
    for key in KEYS {
        let place = key
            .name
            .split('.')
            .try_fold(&toml::Value::Table(table.clone()), |value, name| value.get(name))
            .is_some();
        assert!(place, "{} is missing from the template", key.name);
    }
}

#[test]
fn what_check_config_prints_can_be_read_back() {
    let mut settings = Settings { port: 0, ..Settings::default() };
    settings.limits.exempt.clear();
    settings.packet_log = Some("/tmp/log \"quoted\".txt".into());
    settings.limits.idle_timeout = Duration::ZERO;
    assert_eq!(file(&settings.to_toml()).unwrap(), settings);
}

#[test]
fn flags_go_before_environment_before_file_before_defaults() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.toml");
    std::fs::write(&path, "port = 1\nhost = '10.0.0.1'\n[limits]\nmax_connections = 1\nmax_name_bytes = 1\n")
        .unwrap();
    let settings = Layers {
        flags: vec![("port", "3".into())],
        file: Some(path),
        ..environment(&[("CHAT_PORT", "2"), ("CHAT_LIMITS_MAX_CONNECTIONS", "2"), ("CHAT_HOST", "")])
    }
    .resolve()
    .unwrap();
    assert_eq!((settings.port, settings.host.to_string().as_str()), (3, "10.0.0.1"));
    assert_eq!((settings.limits.max_connections, settings.limits.max_name_bytes), (2, 1));
    assert_eq!(settings.limits.outbox_bytes, Settings::default().limits.outbox_bytes);
}

#[test]
fn every_mistake_in_every_layer_is_reported_with_what_is_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.toml");
    std::fs::write(
        &path,
        "host = 'localhost'\nprot = 1\n[limits]\nexempt = ['::1', 'home']\nmax_conections = 2\n",
    )
    .unwrap();
    let layers = Layers {
        flags: vec![("port", "65536".into()), ("log.format", "xml".into())],
        file: Some(path.clone()),
        ..environment(&[
            ("CHAT_LOG", "inof"),
            ("CHAT_LIMITS_MAX", "1"),
            ("CHAT_DEPLOY_X", "1"),
            ("CHAT_PORT", "+1"),
        ])
    };
    let path = path.display();
    assert_eq!(
        mistakes(layers.resolve()),
        [
            format!("host = \"localhost\" in {path}: must be a literal address such as 127.0.0.1, 0.0.0.0 or ::1 (names are not looked up)"),
            format!("limits.exempt = [\"::1\", \"home\"] in {path}: must be a list of addresses or ranges such as 192.0.2.1, 198.51.100.0/24 or 2001:db8::/32"),
            format!("limits.max_conections in {path}: {}", unknown("limits.")),
            format!("prot in {path}: no such setting; outside of sections there are host, port, data, packet_log"),
            "CHAT_PORT=+1: must be a whole number from 0 to 65535".to_owned(),
            "CHAT_LOG=inof: must be off, error, warn, info, debug or trace, or directives such as info,chat_server=debug".to_owned(),
            "CHAT_LIMITS_MAX=1: no setting has this name".to_owned(),
            "--port 65536: must be a whole number from 0 to 65535".to_owned(),
            "--log-format xml: must be text or json".to_owned(),
        ]
    );
}

#[test]
fn wrong_types_and_shapes_are_mistakes_too() {
    let check = |text: &str, expected: &str| assert_eq!(mistakes(file(text)), [expected], "{text}");
    check("port = '12345'", "port = \"12345\" in server.toml: must be a whole number from 0 to 65535");
    check("port = -1", "port = -1 in server.toml: must be a whole number from 0 to 65535");
    check("limits = 3", "limits = 3 in server.toml: must be a table");
    check("[keys]\npairs = 1.5", "keys.pairs = 1.5 in server.toml: must be a whole number from 1 to 1024");
    check(
        "[limits]\nbyte_burst = 2000",
        "limits.byte_burst = 2000: must be limits.max_packet_bytes (262144) at least, or the longest packet could \
         never be sent",
    );
    check(
        "[accounts]\nmemory_kib = 8\nlanes = 2",
        "accounts.memory_kib = 8: must be 8 for each of accounts.lanes (2) at least",
    );
}

#[test]
fn a_file_that_is_no_toml_or_not_there_is_one_mistake_beside_the_others() {
    let broken = mistakes(file("port = \n"));
    assert_eq!(broken.len(), 1);
    assert!(broken[0].starts_with("server.toml: TOML parse error at line 1"), "{broken:?}");
    let missing = Layers { file: Some("/nowhere/server.toml".into()), ..environment(&[("CHAT_PORT", "x")]) };
    let missing = mistakes(missing.resolve());
    assert!(missing[0].starts_with("settings file /nowhere/server.toml: No such file"), "{missing:?}");
    assert_eq!(missing.len(), 2);
}

#[test]
fn the_log_level_has_its_customary_variables() {
    let level = |variables: &[(&str, &str)]| environment(variables).resolve().unwrap().log.level;
    assert_eq!(level(&[("RUST_LOG", "debug")]), "debug");
    assert_eq!(level(&[("RUST_LOG", "debug"), ("CHAT_LOG", "warn")]), "warn");
    assert_eq!(level(&[("CHAT_LOG_LEVEL", "info,redb=off"), ("CHAT_LOG", "warn")]), "info,redb=off");
}

#[test]
fn an_empty_variable_empties_a_list_and_leaves_everything_else_as_it_is() {
    let settings = environment(&[
        ("CHAT_LIMITS_EXEMPT", ""),
        ("CHAT_LIMITS_MAX_NAME_BYTES", ""),
        ("CHAT_LOG", ""),
        ("CHAT_LIMITS_UNKNOWN", ""),
    ])
    .resolve()
    .unwrap();
    let limits = Limits { exempt: Vec::new(), ..Limits::default() };
    assert_eq!(settings, Settings { limits, ..Settings::default() });
}

#[test]
fn several_mistakes_are_listed_and_one_is_told_in_a_line() {
    let one = environment(&[("CHAT_PORT", "x")]).resolve().unwrap_err().to_string();
    assert_eq!(one, "mistake in the settings: CHAT_PORT=x: must be a whole number from 0 to 65535");
    let two = environment(&[("CHAT_PORT", "x"), ("CHAT_HOST", "y")]).resolve().unwrap_err().to_string();
    assert!(two.starts_with("2 mistakes in the settings:\n  CHAT_HOST=y: must be"), "{two}");
}
