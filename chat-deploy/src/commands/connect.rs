//! The line to type next.

use std::path::Path;

use chat_core::known_servers::ServerAddress;
use chat_core::noise::Fingerprint;

use super::Context;
use super::session::Session;
use crate::config::ServerConfig;
use crate::environment::Environment;
use crate::error::Error;
use crate::release::build::find_checkout;
use crate::ui::Ready;

const CLIENT: &str = "chat-client";

/// Prints the line for a server that runs with this configuration.
pub(super) fn print(
    context: &Context<'_>,
    session: &Session<'_>,
    config: &ServerConfig,
    identity: Option<Fingerprint>,
) -> Result<(), Error> {
    let address = session.host.reach(config);
    let command = command(&context.environment, context.settings.source.as_deref(), &address);
    context.ui.ready(&Ready { address: &address, identity, command: &command })
}

/// Returns a line that works as it is where the person stands: the client by its name if it is installed, else by cargo.
pub(super) fn command(environment: &Environment, source: Option<&Path>, address: &ServerAddress) -> String {
    let arguments = format!("connect {} {}", address.host(), address.port());
    let here = &environment.working_directory;
    if environment.has_program(CLIENT) {
        return format!("{CLIENT} {arguments}");
    }
    match find_checkout(source, here, environment.manifest_dir.as_deref()) {
        Ok(checkout) if here.starts_with(&checkout) => {
            format!("cargo run --release -p {CLIENT} -- {arguments}")
        }
        Ok(checkout) => {
            let manifest = quote(&checkout.join("Cargo.toml").display().to_string());
            format!("cargo run --release -p {CLIENT} --manifest-path {manifest} -- {arguments}")
        }
        // Without a checkout, an installed client is all there can be.
        Err(_) => format!("{CLIENT} {arguments}"),
    }
}

/// Quotes a word for a shell, if it needs that.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '+' | '@' | ':' | ',');
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_line_suits_where_the_person_stands() {
        let dir = tempfile::tempdir().unwrap();
        let checkout = dir.path().join("my chat");
        std::fs::create_dir_all(checkout.join("chat-server")).unwrap();
        for manifest in ["Cargo.toml", "chat-server/Cargo.toml"] {
            std::fs::write(checkout.join(manifest), "").unwrap();
        }
        let address = ServerAddress::new("127.0.0.1", 12345);
        let check = |environment: &Environment, expected: &str| {
            assert_eq!(command(environment, None, &address), expected);
        };
        let mut environment =
            Environment { working_directory: checkout.join("chat-server"), ..Environment::default() };
        check(&environment, "cargo run --release -p chat-client -- connect 127.0.0.1 12345");

        environment.working_directory = dir.path().to_owned();
        environment.manifest_dir = Some(checkout.join("chat-deploy"));
        let manifest = checkout.join("Cargo.toml");
        let expected = format!(
            "cargo run --release -p chat-client --manifest-path '{}' -- connect 127.0.0.1 12345",
            manifest.display()
        );
        check(&environment, &expected);

        environment.search_path = dir.path().into();
        let client = dir.path().join(CLIENT);
        std::fs::write(&client, "").unwrap();
        check(&environment, &expected);
        std::fs::set_permissions(&client, std::fs::Permissions::from_mode(0o755)).unwrap();
        check(&environment, "chat-client connect 127.0.0.1 12345");
    }

    #[test]
    fn words_are_quoted_when_they_must_be() {
        assert_eq!(quote("/home/a/b.toml"), "/home/a/b.toml");
        assert_eq!(quote("/home/a's b"), r"'/home/a'\''s b'");
    }
}
