//! One value of a settings file, read as what it should be. What it is not is noted as a mistake, so that reading goes on.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::super::{Base, Mistake};

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(super) struct Mistakes(Vec<(Range<usize>, String)>);

impl Mistakes {
    /// Notes one; `span` is where in the file it is, in bytes.
    pub(super) fn add(&mut self, span: Range<usize>, message: String) {
        self.0.push((span, message));
    }

    /// Returns them from top to bottom, as a person reads.
    pub(super) fn into_lines(mut self, text: &str) -> Vec<Mistake> {
        self.0.sort_by_key(|(span, _)| span.start);
        let line =
            |span: Range<usize>| 1 + text.bytes().take(span.start).filter(|byte| *byte == b'\n').count();
        self.0.into_iter().map(|(span, message)| Mistake { line: line(span), message }).collect()
    }
}

/// A key with its value, or one element of its list.
pub(super) struct Entry<'a> {
    /// The table it is in, empty for the file itself.
    pub(super) section: &'a str,
    /// Its key.
    pub(super) key: &'a str,
    /// Where it is in the file, in bytes.
    pub(super) span: Range<usize>,
    /// Its value.
    pub(super) value: &'a DeValue<'a>,
    /// What paths are relative to.
    pub(super) base: &'a Base<'a>,
    /// Where mistakes go.
    pub(super) mistakes: &'a mut Mistakes,
}

impl<'a> Entry<'a> {
    /// Notes a mistake; there is no value then.
    pub(super) fn refuse<T>(&mut self, message: &str) -> Option<T> {
        let name = self.name();
        self.mistakes.add(self.span.clone(), format!("{name}: {message}"));
        None
    }

    /// Reads a text with something in it.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        match self.value.as_str() {
            Some("") => self.refuse("it is empty"),
            Some(text) => Some(text),
            None => self.is_not("a string"),
        }
    }

    /// Reads a text that means something.
    pub(super) fn parsed<T, E: Display>(&mut self, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        match parse(self.text()?) {
            Ok(value) => Some(value),
            Err(error) => self.refuse(&error.to_string()),
        }
    }

    /// Reads a path.
    pub(super) fn path(&mut self) -> Option<PathBuf> {
        let base = self.base;
        self.text().map(|text| base.locate(Path::new(text)))
    }

    /// Reads a number within a range.
    pub(super) fn integer<T>(&mut self, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<u64> + PartialOrd + Display,
    {
        let Some(integer) = self.value.as_integer() else { return self.is_not("a number") };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.and_then(|number| T::try_from(number).ok()).filter(|n| range.contains(n));
        if number.is_none() {
            let message =
                format!("{} is {} to {}, not {}", self.name(), range.start(), range.end(), integer.as_str());
            self.mistakes.add(self.span.clone(), message);
        }
        number
    }

    /// Reads a list with something in it; what is wrong with any element is noted.
    pub(super) fn list<T>(&mut self, mut read: impl FnMut(&mut Entry<'_>) -> Option<T>) -> Option<Vec<T>> {
        let Some(elements) = self.value.as_array() else { return self.is_not("a list") };
        if elements.is_empty() {
            return self.refuse("it is empty");
        }
        let mut values = Vec::new();
        for element in elements {
            values.push(read(&mut Entry {
                section: self.section,
                key: self.key,
                span: element.span(),
                value: element.get_ref(),
                base: self.base,
                mistakes: self.mistakes,
            }));
        }
        values.into_iter().collect()
    }

    /// Reads a table.
    pub(super) fn table(&mut self) -> Option<&'a DeTable<'a>> {
        if let Some(table) = self.value.as_table() {
            return Some(table);
        }
        let message = format!("[{}] is a table", self.key);
        self.mistakes.add(self.span.clone(), message);
        None
    }

    /// Returns the key with its table.
    fn name(&self) -> String {
        if self.section.is_empty() { self.key.to_owned() } else { format!("{}.{}", self.section, self.key) }
    }

    fn is_not<T>(&mut self, wanted: &str) -> Option<T> {
        let kind = self.value.type_str();
        let article = if kind.starts_with(['a', 'i']) { "an" } else { "a" };
        let message = format!("{} is {wanted}, not {article} {kind}", self.name());
        self.mistakes.add(self.span.clone(), message);
        None
    }
}
