//! The server's configuration file as `chat-deploy` writes it: where it listens, where its data is, and what the
//! `[server]` table of `chat-deploy.toml` adds.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use toml::{Table, Value};

const TEMPLATE: &str = include_str!("../../templates/deployed-server.toml");

/// The keys of the server's configuration that the deployment decides.
pub const OWN_KEYS: [&str; 3] = ["host", "port", "data"];

/// One `server.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The text of the file.
    pub text: String,
    /// Where it makes the server listen.
    pub listen: SocketAddr,
}

impl ServerConfig {
    /// Writes a configuration. `extra` holds further settings, without [`OWN_KEYS`].
    #[must_use]
    pub fn render(listen: SocketAddr, data: &Path, extra: &Table) -> Self {
        let quoted = |text: String| Value::String(text).to_string();
        let mut text = TEMPLATE
            .replace("@host@", &quoted(listen.ip().to_string()))
            .replace("@port@", &listen.port().to_string())
            .replace("@data@", &quoted(data.display().to_string()));
        if !extra.is_empty() {
            text.push_str("\n# From [server] in chat-deploy.toml.\n");
            text.push_str(&extra.to_string());
        }
        Self { text, listen }
    }

    /// Reads a configuration back; `None` if it does not say where to listen.
    #[must_use]
    pub fn parse(text: String) -> Option<Self> {
        let table: Table = text.parse().ok()?;
        let host: IpAddr = table.get("host")?.as_str()?.parse().ok()?;
        let port = u16::try_from(table.get("port")?.as_integer()?).ok()?;
        Some(Self { text, listen: SocketAddr::new(host, port) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let listen: SocketAddr = "127.0.0.1:12345".parse().unwrap();
        let extra: Table = "[limits]\nmax_connections = 10\n".parse().unwrap();
        let config = ServerConfig::render(listen, Path::new("/home/a \"b\"/data"), &extra);
        assert_eq!(ServerConfig::parse(config.text.clone()), Some(config.clone()));
        insta::assert_snapshot!(config.text);
    }

    #[test]
    fn an_unreadable_one_is_none() {
        for text in [
            "",
            "host = 1\nport = 2\n",
            "host = \"x\"\nport = 1\n",
            "host = \"127.0.0.1\"\nport = 70000\n",
            "=",
        ] {
            assert_eq!(ServerConfig::parse(text.to_owned()), None, "{text}");
        }
    }
}
