//! The layers by example.

use super::*;

fn sources(flags: &[(&str, &str)], file: &str) -> Sources {
    let flags = flags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sources { flags, file: Some(("/c.toml".into(), file.to_owned())) }
}

fn nothing(_: &str) -> Option<String> {
    None
}

#[test]
fn flags_weigh_more_than_the_environment_than_the_file_than_the_default() {
    let file = "title = \"file\"\nport = 1\nscrollback = 200\n[colours]\nerrors = \"#ff0000\"\n";
    let environment = |name: &str| match name {
        "CHAT_CLIENT_TITLE" => Some("environment".to_owned()),
        "CHAT_CLIENT_PORT" => Some("2".to_owned()),
        "CHAT_CLIENT_COLOURS_NOTES" => Some("215".to_owned()),
        _ => None,
    };
    let (settings, origins) = resolve(sources(&[("title", "flag")], file), environment).unwrap();
    assert_eq!((settings.title.as_str(), settings.port, settings.scrollback), ("flag", 2, 200));
    assert_eq!(settings.colours.errors, Some(ratatui::style::Color::Rgb(255, 0, 0)));
    assert_eq!(settings.colours.notes, Some(ratatui::style::Color::Indexed(215)));
    let lines: Vec<_> = origins
        .iter()
        .map(|origin| format!("{} = {} ({})", origin.name, origin.value, origin.source))
        .collect();
    for line in [
        "title = \"flag\" (command line)",
        "port = 2 (environment, CHAT_CLIENT_PORT)",
        "scrollback = 200 (/c.toml)",
        "colours.errors = \"#ff0000\" (/c.toml)",
        "mouse = true (default)",
    ] {
        assert!(lines.contains(&line.to_owned()), "{lines:#?}");
    }
}

#[test]
fn servers_have_names() {
    let identity = Fingerprint::of(&[1; 32]);
    let file = format!(
        "[servers.Home]\nhost = \"chat.example\"\nport = 4000\nidentity = \"{identity}\"\n[servers.old]\nhost = \"::1\"\nencryption = \"classic\"\n"
    );
    let (settings, origins) = resolve(sources(&[], &file), nothing).unwrap();
    let home = &settings.servers["home"];
    assert_eq!((home.address.to_string().as_str(), home.identity), ("chat.example:4000", Some(identity)));
    let old = &settings.servers["old"];
    assert_eq!((old.address.to_string().as_str(), old.encryption), ("[::1]:12345", Encryption::Classic));
    assert!(origins.iter().any(|origin| origin.name == "servers.old.encryption"));
}

#[test]
fn what_is_said_now_weighs_more_than_what_the_file_says_of_one_server() {
    let file = "[servers.home]\nhost = \"chat.example\"\nencryption = \"off\"\n";
    let home = |flags: &[(&str, &str)], environment: Option<&str>| {
        let environment =
            |name: &str| environment.filter(|_| name == "CHAT_CLIENT_ENCRYPTION").map(str::to_owned);
        let (settings, _) = resolve(sources(flags, file), environment).unwrap();
        settings.destination(ServerAddress::new("home", DEFAULT_PORT)).encryption
    };
    assert_eq!(home(&[], None), Encryption::Off);
    assert_eq!(home(&[("encryption", "noise")], None), Encryption::Noise);
    assert_eq!(home(&[], Some("classic")), Encryption::Classic);
}

#[test]
fn every_mistake_is_reported() {
    let file = "prot = 1\nnope = 1\nmouse = 3\ntheme = \"pink\"\n[colours]\ntext = \"mauve-ish\"\n[servers]\nx = 1\n[servers.y]\nport = 0\nname = \"z\"\n";
    let environment = |name: &str| (name == "CHAT_CLIENT_ZONE").then(|| "Mars/Base".to_owned());
    let error = resolve(sources(&[("scrollback", "7"), ("colour", "x")], file), environment).unwrap_err();
    insta::assert_snapshot!(error.to_string());
    let error = resolve(sources(&[], "title = \"x\"\nport =\n"), nothing).unwrap_err();
    assert!(error.to_string().starts_with("/c.toml: line 2: "), "{error}");
}

#[test]
fn the_example_says_everything_and_changes_nothing() {
    let example = example();
    insta::assert_snapshot!(example);
    let (settings, _) = resolve(sources(&[], &example), nothing).unwrap();
    assert_eq!(settings, Settings::default());
    let live: String = example
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| !rest.starts_with(' '))
                .unwrap_or(line)
                .replace("SHA256:...", &Fingerprint::of(&[1; 32]).to_string())
                + "\n"
        })
        .collect();
    let (settings, _) = resolve(sources(&[], &live), nothing).unwrap();
    assert_eq!(Settings { servers: BTreeMap::new(), ..settings }, Settings::default());
}
