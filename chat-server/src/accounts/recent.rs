//! A map of bounded size that forgets what has not been used for longest, in logarithmic time.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// A map of at most `capacity` entries, each with the time of its last use.
pub(super) struct Recent<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// The keys in the order of their last uses, which are numbered.
    order: BTreeMap<u64, K>,
    uses: u64,
    capacity: usize,
}

struct Entry<V> {
    value: V,
    used_at: Instant,
    use_number: u64,
}

impl<K: Eq + Hash + Clone, V> Recent<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), order: BTreeMap::new(), uses: 0, capacity }
    }

    /// The value, with the time of its last use.
    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<(&V, Instant)>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|entry| (&entry.value, entry.used_at))
    }

    /// The value, to be changed without its being a use.
    pub(super) fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.entries.get_mut(key).map(|entry| &mut entry.value)
    }

    /// Uses the value, which is made, and the least recent one forgotten for it, if there is none.
    pub(super) fn use_or_make(&mut self, key: K, now: Instant, make: impl FnOnce() -> V) -> &mut V {
        self.uses += 1;
        match self.entries.get(&key) {
            Some(entry) => _ = self.order.remove(&entry.use_number),
            None if self.entries.len() >= self.capacity => {
                if let Some((_, least_recent)) = self.order.pop_first() {
                    self.entries.remove(&least_recent);
                }
            }
            None => {}
        }
        self.order.insert(self.uses, key.clone());
        let entry = self.entries.entry(key).or_insert_with(|| Entry {
            value: make(),
            used_at: now,
            use_number: self.uses,
        });
        (entry.used_at, entry.use_number) = (now, self.uses);
        &mut entry.value
    }

    /// Forgets an entry.
    pub(super) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.use_number);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.entries.len(), self.order.len());
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_least_recently_used_makes_room() {
        let (mut recent, now) = (Recent::new(2), Instant::now());
        *recent.use_or_make("a", now, || 0) += 1;
        *recent.use_or_make("b", now, || 0) += 2;
        *recent.use_or_make("a", now + Duration::from_secs(1), || 0) += 4;
        *recent.use_or_make("c", now, || 0) += 8;
        assert_eq!(recent.get("a"), Some((&5, now + Duration::from_secs(1))));
        assert_eq!((recent.get("b"), recent.get("c"), recent.len()), (None, Some((&8, now)), 2));
        recent.remove("a");
        recent.remove("a");
        *recent.get_mut("c").unwrap() += 1;
        recent.use_or_make("d", now, || 0);
        assert_eq!((recent.get("c"), recent.len()), (Some((&9, now)), 2));
    }

    #[test]
    fn a_full_map_takes_new_entries_without_looking_at_all_old_ones() {
        const MANY: u32 = 200_000;
        let (mut recent, now) = (Recent::new(MANY as usize), Instant::now());
        // Looking at all of them each time would be 40 billion looks.
        for number in 0..2 * MANY {
            recent.use_or_make(number, now, || ());
        }
        assert_eq!(
            (recent.len(), recent.get(&(MANY - 1)), recent.get(&MANY).is_some()),
            (MANY as usize, None, true)
        );
    }
}
