//! `init`: a settings file to begin with.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use serde_json::json;

use super::Outcome;
use crate::error::Error;
use crate::settings::{DEFAULT_FILE, TEMPLATE};
use crate::ui::Ui;

pub(super) fn run(config: Option<&Path>, ui: &Ui) -> Result<Outcome, Error> {
    let path = config.unwrap_or(Path::new(DEFAULT_FILE));
    write_new(path)?;
    let again = match config {
        Some(path) => format!("chat-deploy up --config {}", path.display()),
        None => "chat-deploy up".to_owned(),
    };
    let text = format!(
        "wrote {}: every setting is explained in it, and none is set yet\n\
         set instance = \"myserver\", then: {again}",
        path.display()
    );
    ui.print(&text, &json!({ "file": path.display().to_string() }))?;
    Ok(Outcome::Done)
}

/// Writes the file, and never over one that is there.
fn write_new(path: &Path) -> Result<(), Error> {
    let written = File::create_new(path).and_then(|mut file| file.write_all(TEMPLATE.as_bytes()));
    written.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => Error::AlreadyThere { path: path.to_owned() },
        _ => Error::NotWritten { path: path.to_owned(), source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(DEFAULT_FILE);
        write_new(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), TEMPLATE);
        std::fs::write(&path, "mine").unwrap();
        assert!(matches!(write_new(&path), Err(Error::AlreadyThere { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        let nowhere = dir.path().join("none").join(DEFAULT_FILE);
        assert!(matches!(write_new(&nowhere), Err(Error::NotWritten { .. })));
    }
}
