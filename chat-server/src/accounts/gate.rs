//! Who may hash a password now: argon2 is made to be slow and to fill memory, so only a few run at a time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::limit_key;

/// Lets `parallel` passwords be hashed at a time and a bounded number more wait for it.
pub(super) struct HashGate {
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
    all_places: u32,
}

/// The right to hash one password; given back when dropped.
pub(super) struct HashTurn {
    // Dropped in this order: the next one in the queue runs before a new one may join it.
    _running: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

impl HashGate {
    pub(super) fn new(parallel: usize, queue: usize) -> Self {
        let all_places = u32::try_from(parallel.saturating_add(queue)).unwrap_or(u32::MAX);
        Self {
            places: Arc::new(Semaphore::new(all_places as usize)),
            running: Arc::new(Semaphore::new(parallel)),
            all_places,
        }
    }

    /// Waits for a turn, in the order of asking; nothing if the queue is full or the gate is closed.
    pub(super) async fn enter(&self) -> Option<HashTurn> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let running = Arc::clone(&self.running).acquire_owned().await.ok()?;
        Some(HashTurn { _running: running, _place: place })
    }

    /// Sends those who wait away, lets nobody enter any more, and waits until those inside have finished.
    pub(super) async fn close_and_finish(&self) {
        self.running.close();
        let _everyone = self.places.acquire_many(self.all_places).await;
        self.places.close();
    }
}

/// Lets a bounded number of logins from each address be under way; further ones wait for those before them.
///
/// A password guesser behind one address is slowed down by its own failures that way, however many connections
/// it opens, and cannot fill the queue to the hash gate for everybody.
pub(super) struct AddressTurns {
    at_once: usize,
    // A std mutex: it is held for a look-up, never across an await.
    addresses: Arc<Mutex<HashMap<IpAddr, Arc<Semaphore>>>>,
}

/// The right to have one login under way; given back when dropped.
pub(super) struct AddressTurn {
    permit: Option<OwnedSemaphorePermit>,
    address: IpAddr,
    addresses: Arc<Mutex<HashMap<IpAddr, Arc<Semaphore>>>>,
}

impl AddressTurns {
    pub(super) fn new(at_once: usize) -> Self {
        Self { at_once, addresses: Arc::default() }
    }

    /// Waits for a turn, in the order of asking.
    pub(super) async fn wait(&self, peer: IpAddr) -> AddressTurn {
        let address = limit_key(peer);
        let turns = {
            let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            let turns = addresses.entry(address).or_insert_with(|| Arc::new(Semaphore::new(self.at_once)));
            Arc::clone(turns)
        };
        // Made before waiting, so that the address is forgotten even if the client gives up while it waits.
        let mut turn = AddressTurn { permit: None, address, addresses: Arc::clone(&self.addresses) };
        turn.permit = turns.acquire_owned().await.ok();
        turn
    }
}

impl Drop for AddressTurn {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        // One owner is the table itself. Whoever holds or waits for a permit is another.
        if addresses.get(&self.address).is_some_and(|turns| Arc::strong_count(turns) == 1) {
            addresses.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_queue_is_bounded_and_in_order() {
        let gate = Arc::new(HashGate::new(1, 1));
        let first = gate.enter().await.unwrap();
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter().await.is_some() }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(gate.enter().await.is_none(), "one runs and one waits: there is no third place");
        drop(first);
        assert!(waiting.await.unwrap());
        assert!(gate.enter().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn closing_waits_for_those_inside_and_for_nobody_else() {
        let gate = Arc::new(HashGate::new(1, 10));
        let inside = gate.enter().await.unwrap();
        let spawn = |close: bool| {
            let gate = Arc::clone(&gate);
            tokio::spawn(async move {
                if close {
                    gate.close_and_finish().await;
                }
                gate.enter().await.is_some()
            })
        };
        let waiting = spawn(false);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let closing = spawn(true);
        assert!(!waiting.await.unwrap());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!closing.is_finished());
        assert!(gate.enter().await.is_none());
        drop(inside);
        assert!(!closing.await.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_wait_for_themselves_only_and_are_forgotten() {
        let turns = Arc::new(AddressTurns::new(1));
        let (busy, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let held = turns.wait(busy).await;
        drop(turns.wait(other).await);
        let patience = tokio::time::timeout(Duration::from_secs(9), turns.wait(busy)).await;
        assert!(patience.is_err(), "its other login is still under way");
        drop(held);
        drop(turns.wait(busy).await);
        assert!(turns.addresses.lock().unwrap().is_empty());
    }
}
