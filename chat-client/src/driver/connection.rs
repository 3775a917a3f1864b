//! The connection of one tab.

use std::future::{Future, pending};
use std::pin::Pin;

use crate::app::{Destination, Event};
use crate::link::{self, Link, LinkError, Opened, Target};

/// The connection of one tab, or its making.
pub(super) struct Connection {
    target: Target,
    state: State,
}

enum State {
    None,
    Opening(Pin<Box<dyn Future<Output = Result<Opened, LinkError>>>>),
    Open(Box<Link>),
}

impl Connection {
    /// Begins without a connection; `target` says how to make one.
    pub(super) fn new(target: Target) -> Self {
        Self { target, state: State::None }
    }

    /// Begins to connect.
    pub(super) fn open(&mut self, destination: Destination) {
        let Destination { address, dialect, encryption, identity } = destination;
        (self.target.address, self.target.dialect, self.target.encryption) = (address, dialect, encryption);
        self.target.trust.demanded = identity;
        let target = self.target.clone();
        self.state = State::Opening(Box::pin(async move { link::open(&target).await }));
    }

    /// Does something with the link; a request that crosses the loss of the connection is dropped, and the app hears of
    /// the loss next.
    pub(super) fn link(
        &mut self,
        act: impl FnOnce(&mut Link) -> Result<(), LinkError>,
    ) -> Result<(), LinkError> {
        match &mut self.state {
            State::Open(link) => act(link),
            State::None | State::Opening(_) => Ok(()),
        }
    }

    /// Closes the connection, or stops making it.
    pub(super) fn close(&mut self) {
        self.state = State::None;
    }

    /// Returns how other connections are to be made: as this one.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Tells whether so much waits to be sent that no more should be for now.
    pub(super) fn is_congested(&self) -> bool {
        matches!(&self.state, State::Open(link) if link.is_congested())
    }

    /// Waits for what happens next. May be dropped and called again at any time.
    pub(super) async fn next(&mut self) -> Event {
        let (state, event) = match &mut self.state {
            State::None => return pending().await,
            State::Opening(opening) => match opening.await {
                Ok(Opened { link, peer, protection, greeting, round_trip }) => {
                    (State::Open(Box::new(link)), Event::Opened { peer, protection, greeting, round_trip })
                }
                Err(error) => (State::None, Event::OpenFailed(error)),
            },
            State::Open(link) => match link.next().await {
                Ok(incoming) => return Event::Incoming(incoming),
                Err(error) => (State::None, Event::Lost(error)),
            },
        };
        self.state = state;
        event
    }
}
