//! A vector whose clone costs next to nothing: both share chunks until one of them changes a chunk.

use std::sync::Arc;

/// Items in a chunk: what is copied when a shared chunk changes.
const CHUNK: usize = 4096;

/// A vector in chunks that are copied when they change while a clone has them, too.
#[derive(Clone, Debug)]
pub struct CowVec<T> {
    chunks: Vec<Arc<Vec<T>>>,
    length: usize,
}

impl<T> Default for CowVec<T> {
    fn default() -> Self {
        Self {
            chunks: Vec::new(),
            length: 0,
        }
    }
}

impl<T> CowVec<T> {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The item at `at`, which must be below the length.
    pub fn get(&self, at: usize) -> &T {
        &self.chunks[at / CHUNK][at % CHUNK]
    }

    /// All items in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }
}

impl<T> FromIterator<T> for CowVec<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut items = items.into_iter();
        let (mut chunks, mut length) = (Vec::new(), 0);
        loop {
            // One that is not full has room for what is pushed.
            let mut chunk = Vec::with_capacity(CHUNK);
            chunk.extend(items.by_ref().take(CHUNK));
            if chunk.is_empty() {
                return Self { chunks, length };
            }
            length += chunk.len();
            chunks.push(Arc::new(chunk));
        }
    }
}

impl<T: Clone> CowVec<T> {
    /// The item at `at`, which must be below the length, for change.
    pub fn get_mut(&mut self, at: usize) -> &mut T {
        &mut Arc::make_mut(&mut self.chunks[at / CHUNK])[at % CHUNK]
    }

    /// Adds an item at the end.
    pub fn push(&mut self, item: T) {
        if self.length.is_multiple_of(CHUNK) {
            self.chunks.push(Arc::new(Vec::with_capacity(CHUNK)));
        }
        if let Some(last) = self.chunks.last_mut() {
            Arc::make_mut(last).push(item);
        }
        self.length += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_stays_as_it_was() {
        let many = CHUNK * 2 + 7;
        let mut numbers: CowVec<usize> = (0..many - 1).collect();
        numbers.push(many - 1);
        assert_eq!((0..CHUNK).collect::<CowVec<_>>().len(), CHUNK);
        let before = numbers.clone();
        *numbers.get_mut(0) = 99;
        *numbers.get_mut(many - 1) = 98;
        numbers.push(97);
        assert!(before.iter().copied().eq(0..many));
        assert_eq!(
            (*numbers.get(0), *numbers.get(1), *numbers.get(many)),
            (99, 1, 97)
        );
        assert_eq!((before.len(), numbers.len()), (many, many + 1));
        // What did not change is shared still.
        assert!(Arc::ptr_eq(&before.chunks[1], &numbers.chunks[1]));
        assert!(!Arc::ptr_eq(&before.chunks[0], &numbers.chunks[0]));
    }
}
