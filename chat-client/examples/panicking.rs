//! A program that takes the terminal over as the client does, and panics at the first key: the tests look at what is left of
//! the terminal then.

#![expect(clippy::panic, clippy::expect_used, reason = "panicking is what it is for")]

use chat_client::app::Show;
use chat_client::driver::{Front as _, TabId};
use chat_client::screen::Look;
use chat_client::terminal::{Terminal, TerminalError, Wishes};

fn main() -> Result<(), TerminalError> {
    let wishes =
        Wishes { look: Look::default(), zone: "Etc/UTC".to_owned(), mouse: true, bell: true, notify: false };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut terminal = Terminal::start(wishes)?;
        let shown = terminal.show(TabId::FIRST, &Show::Note("Return panics".to_owned()));
        terminal.want_line(TabId::FIRST);
        let (_, event) = terminal.next().await;
        panic!("as was wished: {shown:?}, {event:?}");
    })
}
