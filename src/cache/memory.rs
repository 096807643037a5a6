//! The first level: a few megabytes of this isolate, looked up without leaving WebAssembly.

use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::rc::Rc;

use drey_core::etag;
use lru::LruCache;

use crate::answer::{Answer, Headers, Keep};

/// All copies together: an isolate has 128 MB for everything.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// One copy: larger ones would push out too many others, and are passed on without being read.
pub const MOST_ENTRY_BYTES: u32 = 512 * 1024;

/// Absences: a table of its own, so that whoever guesses ids pushes out no copy.
const MOST_ABSENT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);
/// A longer key is not worth remembering: 4,096 of these are at most 2 MB.
const MOST_ABSENT_KEY: usize = 512;

/// An answer as it was kept: its own headers and its body, nothing of the request it was made for.
#[derive(Debug)]
pub struct Copy {
    /// Names and values.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

impl Copy {
    /// A copy of an answer. It always has an entity tag, so that nobody needs the body to tell that he has it already.
    #[must_use]
    pub fn of(answer: &Answer) -> Self {
        let mut headers = answer.headers.clone();
        if answer.header("etag").is_none() {
            headers.push(("etag".into(), etag::body_tag(&answer.body).into()));
        }
        Self { headers, body: answer.body.clone() }
    }

    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
    }

    /// The answer of a copy. Who has it already, by his `If-None-Match`, is told 304 and gets no body: none is copied for him.
    #[must_use]
    pub fn answer(&self, if_none_match: Option<&str>) -> Answer {
        let is_held = if_none_match.zip(self.header("etag")).is_some_and(|(sent, tag)| etag::if_none_match(sent, tag));
        let body = if is_held { Vec::new() } else { self.body.clone() };
        Answer { status: 200, headers: self.headers.clone(), body, keep: Keep::Never, raw: None }
    }

    fn bytes(&self) -> usize {
        self.body.len() + self.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }
}

/// The copies of an isolate, bounded by their bytes.
#[derive(Debug)]
pub struct Memory {
    copies: RefCell<LruCache<String, Rc<Copy>>>,
    bytes: Cell<usize>,
    absent: RefCell<LruCache<String, u64>>,
}

impl Default for Memory {
    fn default() -> Self {
        let absent = RefCell::new(LruCache::new(MOST_ABSENT));
        Self { copies: RefCell::new(LruCache::unbounded()), bytes: Cell::new(0), absent }
    }
}

impl Memory {
    /// A copy by its key.
    pub fn get(&self, key: &str) -> Option<Rc<Copy>> {
        self.copies.borrow_mut().get(key).map(Rc::clone)
    }

    /// Whether it is known that there is nothing under this key.
    pub fn is_absent(&self, key: &str, now_ms: u64) -> bool {
        self.absent.borrow_mut().get(key).is_some_and(|until| *until > now_ms)
    }

    /// Remembers that there is nothing under this key.
    pub fn put_absent(&self, key: String, until_ms: u64) {
        if key.len() <= MOST_ABSENT_KEY {
            self.absent.borrow_mut().put(key, until_ms);
        }
    }

    /// Keeps a copy, dropping those unused for longest until it fits.
    pub fn put(&self, key: String, copy: Rc<Copy>) {
        let size = key.len() + copy.bytes();
        if u32::try_from(size).map_or(true, |size| size > MOST_ENTRY_BYTES) {
            return;
        }
        let mut copies = self.copies.borrow_mut();
        let name = key.len();
        let replaced = copies.put(key, copy).map_or(0, |old| name + old.bytes());
        self.bytes.set((self.bytes.get() + size).saturating_sub(replaced));
        while self.bytes.get() > MOST_BYTES {
            let Some((key, old)) = copies.pop_lru() else { break };
            self.bytes.set(self.bytes.get().saturating_sub(key.len() + old.bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Copy, MOST_BYTES, MOST_ENTRY_BYTES, Memory};
    use std::rc::Rc;

    fn copy(bytes: usize) -> Rc<Copy> {
        Rc::new(Copy { headers: Vec::new(), body: vec![0; bytes] })
    }

    #[test]
    fn who_has_the_copy_already_gets_none_of_its_bytes() {
        let copy = Copy { headers: vec![("etag".into(), "\"1\"".into())], body: vec![7; 100] };
        let body = |sent| copy.answer(sent).body;
        assert_eq!([None, Some("\"2\"")].map(body), [vec![7; 100], vec![7; 100]]);
        assert_eq!([Some("\"1\""), Some("W/\"1\""), Some("*")].map(|sent| body(sent).capacity()), [0; 3]);
    }

    #[test]
    fn what_does_not_fit_pushes_out_what_was_unused_for_longest() {
        let memory = Memory::default();
        let each = MOST_ENTRY_BYTES as usize - 10;
        let many = MOST_BYTES / each + 2;
        for number in 0..many {
            memory.put(number.to_string(), copy(each));
            assert!(memory.get("0").is_some() || number > 0);
        }
        assert!(memory.bytes.get() <= MOST_BYTES);
        assert!(memory.get("1").is_none() && memory.get(&(many - 1).to_string()).is_some());
    }

    #[test]
    fn absences_end_are_bounded_and_push_out_no_copy() {
        let memory = Memory::default();
        memory.put("copy".to_owned(), copy(10));
        memory.put_absent("first".to_owned(), 100);
        assert!(memory.is_absent("first", 99) && !memory.is_absent("first", 100));
        memory.put_absent("x".repeat(513), 100);
        assert!(!memory.is_absent(&"x".repeat(513), 0));
        for number in 0..5000 {
            memory.put_absent(number.to_string(), 100);
        }
        assert!(!memory.is_absent("first", 0) && memory.is_absent("4999", 0));
        assert!(memory.get("copy").is_some());
    }

    #[test]
    fn a_copy_that_is_too_large_is_not_kept_and_one_that_is_replaced_counts_once() {
        let memory = Memory::default();
        memory.put("large".to_owned(), copy(MOST_ENTRY_BYTES as usize));
        assert!(memory.get("large").is_none());
        memory.put("a".to_owned(), copy(10));
        memory.put("a".to_owned(), copy(20));
        assert_eq!(memory.bytes.get(), 21);
    }
}
