//! What was said, as far back as it is kept: the entries, which of them are in view, and where unread ones begin.
//!
//! Only what is in view is laid out, once per width, and forgotten when it has left the view. The place in view is held by an entry, not by a count of rows, so that
//! neither a resize nor what comes in below moves what somebody is reading.

use std::collections::{BTreeSet, VecDeque};
use std::ops::RangeInclusive;

use jiff::civil::Date;

use super::entry::{Entry, Kind};
use super::text::Ruler;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scrollback {
    /// Entries.
    pub entries: usize,
    /// About as many bytes of memory.
    pub bytes: usize,
}

/// A part of the message pane, one row high.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Row<'a> {
    /// A day begins.
    Day(Date),
    /// What is below is unread.
    Unread,
    /// A row of an entry, counted from 0. Entries are numbered as they come.
    Text {
        entry: &'a Entry,
        row: usize,
        #[cfg_attr(
            not(feature = "window"),
            expect(dead_code, reason = "only a window keeps something by row")
        )]
        serial: u64,
    },
}

/// The last row in view: which entry, and which of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    serial: u64,
    row: usize,
}

#[derive(Debug)]
pub(crate) struct Log {
    limit: Scrollback,
    entries: VecDeque<Entry>,
    /// The number of the first entry that is still there; entries are numbered from 0 as they come.
    first: u64,
    bytes: usize,
    /// Where somebody has scrolled to; `None` for the end.
    place: Option<Place>,
    unread_from: Option<u64>,
    unread: usize,
    mentions: usize,
    folded: bool,
    /// The entries that are laid out.
    laid_out: BTreeSet<u64>,
    ruler: Ruler,
    /// The size of the message pane as it was drawn last: in units of the ruler, in rows.
    width: usize,
    height: usize,
}

impl Log {
    pub(super) fn new(limit: Scrollback, folded: bool, ruler: Ruler) -> Self {
        Self {
            limit,
            entries: VecDeque::new(),
            first: 0,
            bytes: 0,
            place: None,
            unread_from: None,
            unread: 0,
            mentions: 0,
            folded,
            ruler,
            laid_out: BTreeSet::new(),
            width: 80,
            height: 24,
        }
    }

    /// Takes an entry in. `attended` says that somebody sees it come.
    pub(super) fn push(&mut self, entry: Entry, attended: bool) {
        if attended {
            self.read();
        } else {
            self.count_unread(&entry);
        }
        let unread_begins_here = self.unread_from == Some(self.end());
        if let Some(last) = self.entries.back_mut().filter(|last| !unread_begins_here && last.absorbs(&entry))
        {
            let before = last.bytes();
            last.absorb(entry);
            self.bytes += last.bytes() - before;
        } else {
            self.bytes += entry.bytes();
            self.entries.push_back(entry);
        }
        while self.entries.len() > self.limit.entries
            || (self.bytes > self.limit.bytes && self.entries.len() > 1)
        {
            if let Some(gone) = self.entries.pop_front() {
                self.bytes -= gone.bytes().min(self.bytes);
                self.first += 1;
            }
        }
    }

    fn count_unread(&mut self, entry: &Entry) {
        // The program's own remarks are not what somebody comes back for.
        let Kind::Message { mention, .. } = entry.kind else { return };
        if self.unread == 0 {
            self.unread_from = Some(self.end());
        }
        self.unread += 1;
        self.mentions += usize::from(mention);
    }

    /// Takes note that everything has been seen. The mark stays where it is: it is what somebody looks for.
    pub(super) fn read(&mut self) {
        (self.unread, self.mentions) = (0, 0);
    }

    /// Takes the mark away: whoever answers has read.
    pub(super) fn unmark(&mut self) {
        self.unread_from = None;
    }

    /// Returns how many messages nobody has seen, and how many of them name this client's user.
    pub(super) fn unread(&self) -> (usize, usize) {
        (self.unread, self.mentions)
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.first = self.end();
        self.entries.clear();
        (self.bytes, self.place, self.unread_from) = (0, None, None);
        self.read();
    }

    /// Goes through everything that is kept, oldest first.
    pub(super) fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Shows comings and goings one by one, or in one sentence again; tells whether they are in one sentence now.
    pub(super) fn toggle_fold(&mut self) -> bool {
        self.folded = !self.folded;
        self.folded
    }

    /// Tells whether the end is in view.
    pub(crate) fn is_at_end(&self) -> bool {
        self.place.is_none()
    }

    /// Counts the entries below the view.
    pub(crate) fn below(&self) -> u64 {
        self.place.map_or(0, |place| self.end().saturating_sub(place.serial + 1))
    }

    pub(crate) fn scroll_to_end(&mut self) {
        self.place = None;
    }

    /// Scrolls to the beginning of the newest entry, if it is longer than the pane.
    pub(super) fn scroll_to_newest(&mut self) {
        let height = self.height.max(1);
        self.place = self.last_place().filter(|last| last.row >= height);
        if let Some(place) = &mut self.place {
            place.row = height - 1;
        }
        self.settle();
    }

    pub(super) fn scroll_to_start(&mut self) {
        self.place = Some(Place { serial: self.first, row: 0 });
        self.settle();
    }

    /// Returns how many rows a page is: a little less than the pane, so that something stays in view.
    pub(super) fn page(&self) -> usize {
        self.height.saturating_sub(2).max(1)
    }

    pub(crate) fn scroll_up(&mut self, rows: usize) {
        let Some(mut place) = self.place.or_else(|| self.last_place()) else { return };
        for _ in 0..rows {
            place = self.above(place).unwrap_or(place);
        }
        self.place = Some(place);
        self.settle();
    }

    pub(crate) fn scroll_down(&mut self, rows: usize) {
        for _ in 0..rows {
            let Some(place) = self.place else { return };
            self.place = self.beneath(place);
        }
        self.settle();
    }

    /// Scrolls so that an entry, counted from the oldest one kept, is the last in view.
    #[cfg(feature = "window")]
    pub(crate) fn scroll_to(&mut self, index: usize) {
        self.place =
            Some(Place { serial: self.first + index.min(self.entries.len()) as u64, row: usize::MAX });
        self.settle();
    }

    /// Returns how many entries there are down to the last one in view, and how many in all.
    #[cfg(feature = "window")]
    pub(crate) fn extent(&self) -> (usize, usize) {
        let last = self.place.and_then(|place| self.index(place.serial));
        (last.map_or(self.entries.len(), |index| index + 1), self.entries.len())
    }

    /// Scrolls to the newest entry before the one in view, or before the end, in which `matches` finds something.
    pub(super) fn find_above(&mut self, from: Option<u64>, matches: impl Fn(&Entry) -> bool) -> Option<u64> {
        let end = from.unwrap_or(self.end());
        let before =
            usize::try_from(end.saturating_sub(self.first)).unwrap_or(usize::MAX).min(self.entries.len());
        let found = self.entries.range(..before).rposition(matches)?;
        let serial = self.first + found as u64;
        self.place = Some(Place { serial, row: 0 });
        // Something below it is shown as well.
        self.scroll_down(self.height / 2);
        Some(serial)
    }

    /// Returns the rows in view, top to bottom, of a pane of this size; they are laid out then.
    pub(super) fn view(&mut self, width: usize, height: usize) -> Vec<Row<'_>> {
        (self.width, self.height) = (width, height);
        self.settle();
        let mut places = Vec::with_capacity(height);
        let mut next = self.place.or_else(|| self.last_place());
        while let Some(place) = next.filter(|_| places.len() < height) {
            places.push(place);
            next = self.above(place);
        }
        places.reverse();
        if let (Some(top), Some(bottom)) = (places.first(), places.last()) {
            self.forget_layouts_but(&(top.serial..=bottom.serial));
        }
        places.into_iter().filter_map(|place| self.row_at(place)).collect()
    }

    /// Forgets the layouts of all entries but these: laid out, they take many times as much memory. Whether the end is in
    /// view depends on the last entry, which is therefore asked for with every picture.
    fn forget_layouts_but(&mut self, in_view: &RangeInclusive<u64>) {
        let last = self.end().saturating_sub(1);
        for serial in std::mem::take(&mut self.laid_out) {
            if in_view.contains(&serial) || serial == last {
                self.laid_out.insert(serial);
            } else if let Some(entry) = self.index(serial).and_then(|index| self.entries.get_mut(index)) {
                entry.forget_layout();
            }
        }
    }

    /// Counts the entries that are laid out.
    #[cfg(test)]
    pub(super) fn laid_out(&self) -> usize {
        self.entries.iter().filter(|entry| entry.is_laid_out()).count()
    }

    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn index(&self, serial: u64) -> Option<usize> {
        serial.checked_sub(self.first).and_then(|index| usize::try_from(index).ok())
    }

    /// Keeps the place inside what there is, with a full pane above it, and lets go of it at the end.
    fn settle(&mut self) {
        let Some(mut place) = self.place else { return };
        if place.serial >= self.end() {
            self.place = None;
            return;
        }
        if place.serial < self.first {
            place = Place { serial: self.first, row: 0 };
        }
        place.row = place.row.min(self.row_count(place.serial).saturating_sub(1));
        let mut rows_above = 0;
        let mut top = place;
        while rows_above + 1 < self.height
            && let Some(above) = self.above(top)
        {
            (top, rows_above) = (above, rows_above + 1);
        }
        self.place = Some(place);
        let missing = self.height.saturating_sub(rows_above + 1);
        if missing > 0 {
            let mut place = Some(place);
            for _ in 0..missing {
                place = place.and_then(|place| self.beneath(place));
            }
            self.place = place;
        }
        let last = self.last_place();
        if self.place == last {
            self.place = None;
        }
    }

    fn last_place(&mut self) -> Option<Place> {
        let serial = self.end().checked_sub(1).filter(|serial| *serial >= self.first)?;
        let rows = self.row_count(serial);
        Some(Place { serial, row: rows.saturating_sub(1) })
    }

    fn above(&mut self, place: Place) -> Option<Place> {
        if place.row > 0 {
            return Some(Place { row: place.row - 1, ..place });
        }
        let serial = place.serial.checked_sub(1).filter(|serial| *serial >= self.first)?;
        let rows = self.row_count(serial);
        Some(Place { serial, row: rows.saturating_sub(1) })
    }

    fn beneath(&mut self, place: Place) -> Option<Place> {
        if place.row + 1 < self.row_count(place.serial) {
            return Some(Place { row: place.row + 1, ..place });
        }
        (place.serial + 1 < self.end()).then_some(Place { serial: place.serial + 1, row: 0 })
    }

    /// Lays an entry out and counts its rows, with the day and the mark above it.
    fn row_count(&mut self, serial: u64) -> usize {
        let heads = self.heads(serial).into_iter().flatten().count();
        let index = self.index(serial).unwrap_or(usize::MAX);
        let Some(entry) = self.entries.get_mut(index) else { return 0 };
        entry.lay_out(self.width, self.folded, &self.ruler);
        self.laid_out.insert(serial);
        heads + entry.rows()
    }

    /// Returns what stands above an entry. The day of the first one is always said.
    fn heads(&self, serial: u64) -> [Option<Row<'_>>; 2] {
        let Some(index) = self.index(serial) else { return [None; 2] };
        let day = |index: usize| self.entries.get(index).map(|entry| entry.at.date());
        let before = index.checked_sub(1).and_then(day);
        let begins = day(index).filter(|day| before != Some(*day));
        [begins.map(Row::Day), (self.unread_from == Some(serial)).then_some(Row::Unread)]
    }

    fn row_at(&self, place: Place) -> Option<Row<'_>> {
        let heads: Vec<_> = self.heads(place.serial).into_iter().flatten().collect();
        match heads.get(place.row) {
            Some(head) => Some(*head),
            None => {
                let entry = self.entries.get(self.index(place.serial)?)?;
                Some(Row::Text { entry, row: place.row - heads.len(), serial: place.serial })
            }
        }
    }
}
