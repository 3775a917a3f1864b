//! Who may hash a password now: argon2 is made to be slow and to fill memory, so only a few run at a time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::limit_key;

/// Lets `parallel` passwords be hashed at a time, of each address in turn: from one with a long queue no more than
/// `parallel` are ahead of somebody else's.
pub(super) struct HashGate {
    addresses: AddressTurns,
    running: Arc<Semaphore>,
    inside: Arc<Semaphore>,
    parallel: u32,
}

/// The right to hash one password; given back when dropped.
pub(super) struct HashTurn {
    // Dropped in this order: whoever may run finds a place inside, and the next of this address queues behind others.
    _inside: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
    _of_address: AddressTurn,
}

impl HashGate {
    /// A gate before which up to `queue` more may wait, for each address.
    pub(super) fn new(parallel: usize, queue: usize) -> Self {
        let parallel = u32::try_from(parallel).unwrap_or(u32::MAX);
        let permits = || Arc::new(Semaphore::new(parallel as usize));
        let addresses = AddressTurns::new(parallel as usize, queue);
        Self { addresses, running: permits(), inside: permits(), parallel }
    }

    /// Waits for a turn; nothing if the address's queue is full or the gate is closed. Whoever gives up, by dropping the
    /// future, has no turn and no place any more.
    pub(super) async fn enter(&self, peer: IpAddr) -> Option<HashTurn> {
        let of_address = self.addresses.wait(peer).await?;
        let running = Arc::clone(&self.running).acquire_owned().await.ok()?;
        let inside = Arc::clone(&self.inside).try_acquire_owned().ok()?;
        Some(HashTurn { _inside: inside, _running: running, _of_address: of_address })
    }

    /// Sends those who wait away, lets nobody enter any more, and waits until those inside have finished.
    pub(super) async fn close_and_finish(&self) {
        self.running.close();
        self.addresses.close();
        let _everyone = self.inside.acquire_many(self.parallel).await;
        self.inside.close();
    }
}

/// Lets a bounded number of logins from each address be under way; further ones, also a bounded number, wait for those
/// before them.
///
/// A password guesser behind one address is slowed down by its own failures that way, however many connections
/// it opens.
pub(super) struct AddressTurns {
    at_once: usize,
    queue: usize,
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
    pub(super) fn new(at_once: usize, queue: usize) -> Self {
        Self { at_once, queue, addresses: Arc::default() }
    }

    /// Waits for a turn, in the order of asking; nothing if the address's queue is full.
    pub(super) async fn wait(&self, peer: IpAddr) -> Option<AddressTurn> {
        let address = limit_key(peer);
        let turns = {
            let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            let turns = addresses.entry(address).or_insert_with(|| Arc::new(Semaphore::new(self.at_once)));
            // One owner is the table itself. Whoever holds or waits for a permit is another.
            if Arc::strong_count(turns) > self.at_once.saturating_add(self.queue) {
                return None;
            }
            Arc::clone(turns)
        };
        // Made before waiting, so that the address is forgotten even if the client gives up while it waits.
        let mut turn = AddressTurn { permit: None, address, addresses: Arc::clone(&self.addresses) };
        turn.permit = Some(turns.acquire_owned().await.ok()?);
        Some(turn)
    }

    /// Sends those who wait now away.
    fn close(&self) {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.values().for_each(|turns| turns.close());
    }
}

impl Drop for AddressTurn {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if addresses.get(&self.address).is_some_and(|turns| Arc::strong_count(turns) == 1) {
            addresses.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    /// Enters in the background, and leaves at once; tells whether it could.
    fn enter(gate: &Arc<HashGate>, from: u8) -> tokio::task::JoinHandle<bool> {
        let gate = Arc::clone(gate);
        tokio::spawn(async move { gate.enter(address(from)).await.is_some() })
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_of_an_address_is_bounded_and_in_order() {
        let gate = Arc::new(HashGate::new(1, 1));
        let first = gate.enter(address(1)).await.unwrap();
        let waiting = enter(&gate, 1);
        tokio::time::sleep(SECOND).await;
        assert!(gate.enter(address(1)).await.is_none(), "one runs and one waits: there is no third place");
        let other = enter(&gate, 2);
        tokio::time::sleep(SECOND).await;
        drop(first);
        assert!(waiting.await.unwrap() && other.await.unwrap());
        assert!(gate.enter(address(1)).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_take_turns() {
        let gate = Arc::new(HashGate::new(2, 1000));
        let first = [gate.enter(address(1)).await.unwrap(), gate.enter(address(1)).await.unwrap()];
        let order = Arc::new(Mutex::new(Vec::new()));
        let queue = [[1; 500].as_slice(), &[2], &[1; 500], &[3, 3]].concat();
        let waiting: Vec<_> = queue
            .into_iter()
            .map(|from| {
                let (gate, order) = (Arc::clone(&gate), Arc::clone(&order));
                tokio::spawn(async move {
                    let _turn = gate.enter(address(from)).await.unwrap();
                    order.lock().unwrap().push(from);
                    tokio::time::sleep(SECOND).await;
                })
            })
            .collect();
        tokio::time::sleep(SECOND).await;
        drop(first);
        for waiting in waiting {
            waiting.await.unwrap();
        }
        let order = order.lock().unwrap();
        assert_eq!((order.len(), &order[..6]), (1003, [2, 3, 3, 1, 1, 1].as_slice()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_leaves_no_trace() {
        let gate = Arc::new(HashGate::new(1, 1));
        let first = gate.enter(address(1)).await.unwrap();
        for from in [1, 2].repeat(10) {
            let waiting = enter(&gate, from);
            tokio::time::sleep(SECOND).await;
            assert!(!waiting.is_finished(), "there was a place");
            waiting.abort();
            assert!(waiting.await.is_err());
        }
        drop(first);
        assert!(gate.enter(address(2)).await.is_some());
        assert!(gate.addresses.addresses.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn closing_waits_for_those_inside_and_for_nobody_else() {
        let gate = Arc::new(HashGate::new(1, 10));
        let inside = gate.enter(address(1)).await.unwrap();
        let waiting = [enter(&gate, 1), enter(&gate, 1), enter(&gate, 2)];
        tokio::time::sleep(SECOND).await;
        let closing = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.close_and_finish().await }
        });
        tokio::time::sleep(SECOND).await;
        for waiting in waiting {
            assert!(!waiting.await.unwrap());
        }
        assert!(!closing.is_finished());
        assert!(gate.enter(address(3)).await.is_none());
        drop(inside);
        closing.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_wait_for_themselves_only_and_are_forgotten() {
        let turns = Arc::new(AddressTurns::new(1, 1));
        let (busy, other) = (address(1), address(2));
        let held = turns.wait(busy).await.unwrap();
        drop(turns.wait(other).await.unwrap());
        let patience = tokio::time::timeout(9 * SECOND, turns.wait(busy)).await;
        assert!(patience.is_err(), "its other login is still under way");
        drop(held);
        drop(turns.wait(busy).await.unwrap());
        assert!(turns.addresses.lock().unwrap().is_empty());
    }
}
