//! The wanted fields as a tree of objects, and guesses at the order of keys, learned from the records before.

use std::collections::HashMap;

use super::scan::{Failed, Fault, Kind, Scan, Token, unescape};

/// Most keys that nobody wants but that are remembered per object, so that their order can be guessed.
const MAX_LEARNED_KEYS: usize = 64;
/// Longest unwanted key that is remembered, in bytes.
const MAX_LEARNED_BYTES: usize = 64;

/// Finds the wanted fields of a record.
pub(super) struct Shapes {
    /// The record itself is the first.
    shapes: Vec<Shape>,
    /// One per wanted path, for the record scanned last.
    tokens: Vec<Token>,
    /// A key whose spelling has escapes.
    unescaped: Vec<u8>,
}

/// One object: the keys known in it.
#[derive(Default)]
struct Shape {
    /// The wanted keys, then the learned ones.
    keys: Vec<Key>,
    wanted: usize,
    index: HashMap<Box<[u8]>, usize>,
    /// The keys that came first lately.
    first: Guesses,
}

/// The keys to try next, the newest first. Two are enough for one optional field or two kinds of record.
type Guesses = [Option<usize>; 2];

struct Key {
    /// The key as it is mostly written: in quotes, with the colon.
    literal: Box<[u8]>,
    /// Up to 16 bytes of `literal`, and the mask of these bytes.
    head: u128,
    mask: u128,
    /// Where the token goes.
    slot: Option<usize>,
    /// The object behind this key in which fields are wanted.
    child: Option<usize>,
    /// The keys that came after this one lately.
    next: Guesses,
}

impl Key {
    fn new(name: &[u8]) -> Self {
        let name = String::from_utf8_lossy(name);
        let literal = format!("{}:", serde_json::Value::from(name)).into_bytes();
        let mut head = [0; 16];
        let mut mask = [0; 16];
        let length = literal.len().min(16);
        head[..length].copy_from_slice(&literal[..length]);
        mask[..length].fill(0xff);
        Self {
            literal: literal.into(),
            head: u128::from_le_bytes(head),
            mask: u128::from_le_bytes(mask),
            slot: None,
            child: None,
            next: [None; 2],
        }
    }

    /// Whether `rest` begins with this key.
    #[inline]
    fn matches(&self, rest: &[u8]) -> bool {
        let Some(chunk) = rest.first_chunk::<16>() else {
            return rest.starts_with(&self.literal);
        };
        u128::from_le_bytes(*chunk) & self.mask == self.head
            && (self.literal.len() <= 16 || rest.starts_with(&self.literal))
    }
}

impl Shape {
    /// The key `name`, new if need be. All wanted keys come before the first learned one.
    fn want(&mut self, name: &str) -> &mut Key {
        let at = self.add(name.as_bytes());
        self.wanted = self.keys.len();
        &mut self.keys[at]
    }

    /// The index of the key `name`, which is new if need be.
    fn add(&mut self, name: &[u8]) -> usize {
        let next = self.keys.len();
        let at = *self.index.entry(name.into()).or_insert(next);
        if at == next {
            self.keys.push(Key::new(name));
        }
        at
    }

    /// The index of a key found in a record, learned if there is room.
    fn find(&mut self, name: &[u8]) -> Option<usize> {
        if let Some(at) = self.index.get(name) {
            return Some(*at);
        }
        let room = self.keys.len() < self.wanted + MAX_LEARNED_KEYS;
        (room && name.len() <= MAX_LEARNED_BYTES).then(|| self.add(name))
    }

    /// The guesses at the key after `previous`.
    #[inline]
    fn guesses(&mut self, previous: Previous) -> Option<&mut Guesses> {
        match previous {
            Previous::Start => Some(&mut self.first),
            Previous::Key(at) => Some(&mut self.keys[at].next),
            Previous::Unknown => None,
        }
    }
}

/// What came before a key.
#[derive(Clone, Copy)]
enum Previous {
    Start,
    Key(usize),
    Unknown,
}

impl Shapes {
    /// No wanted fields yet.
    pub(super) fn new() -> Self {
        Self {
            shapes: vec![Shape::default()],
            tokens: Vec::new(),
            unescaped: Vec::new(),
        }
    }

    /// Wants the field at `path`, which has at least one step, and gives the slot of its token.
    pub(super) fn want(&mut self, path: &[String]) -> usize {
        let (last, steps) = path.split_last().expect("a path has at least one step");
        let mut shape = 0;
        for step in steps {
            let fresh = self.shapes.len();
            shape = *self.shapes[shape].want(step).child.get_or_insert(fresh);
            if shape == fresh {
                self.shapes.push(Shape::default());
            }
        }
        let fresh = self.tokens.len();
        let slot = *self.shapes[shape].want(last).slot.get_or_insert(fresh);
        if slot == fresh {
            self.tokens.push(Token::MISSING);
        }
        slot
    }

    /// The number of slots.
    pub(super) fn slots(&self) -> usize {
        self.tokens.len()
    }

    /// The index of a key if it is known in `shape`.
    pub(super) fn known(&self, shape: usize, name: &[u8]) -> Option<usize> {
        self.shapes[shape].index.get(name).copied()
    }

    /// The slot for the value of a key, and the object behind it in which fields are wanted.
    pub(super) fn places(&self, shape: usize, key: usize) -> (Option<usize>, Option<usize>) {
        let key = &self.shapes[shape].keys[key];
        (key.slot, key.child)
    }

    /// The value of the field with this slot in the record scanned last.
    #[inline]
    pub(super) fn token(&self, slot: usize) -> Token {
        self.tokens[slot]
    }

    /// Scans a whole record. `Ok(Some(kind))` when it is good JSON but not an object. Of a repeated key the last value
    /// counts, as in serde_json, Jackson and PostgreSQL's `jsonb`.
    #[inline]
    pub(super) fn scan(&mut self, text: &[u8], max_depth: usize) -> Result<Option<Kind>, Fault> {
        let mut scan = Scan::new(text, max_depth);
        self.walk(&mut scan).map_err(|Failed| scan.fault())
    }

    #[inline]
    fn walk(&mut self, scan: &mut Scan<'_>) -> Result<Option<Kind>, Failed> {
        self.tokens.fill(Token::MISSING);
        scan.space();
        let mut other = None;
        if scan.peek() == b'{' {
            self.object(scan, 0, 0)?;
        } else {
            other = Some(scan.value(0)?);
        }
        scan.space();
        if scan.at == scan.text.len() {
            Ok(other)
        } else {
            scan.expected("nothing after the value")
        }
    }

    /// Passes an object inside of `depth` others in which fields are wanted.
    fn object(&mut self, scan: &mut Scan<'_>, shape: usize, depth: usize) -> Result<(), Failed> {
        scan.open(depth)?;
        if scan.pass(b'}') {
            return Ok(());
        }
        let mut previous = Previous::Start;
        loop {
            previous = self.key(scan, shape, previous)?;
            let (mut slot, mut child) = (None, None);
            if let Previous::Key(at) = previous {
                let key = &self.shapes[shape].keys[at];
                (slot, child) = (key.slot, key.child);
            }
            let start = scan.at;
            let kind = match child {
                None => scan.value(depth + 1)?,
                Some(child) => self.parent(scan, child, depth + 1)?,
            };
            if let Some(slot) = slot {
                self.tokens[slot] = scan.token(kind, start);
            }
            if !scan.more(b'}', "a comma or }")? {
                return Ok(());
            }
        }
    }

    /// Passes a value in which fields are wanted, if it is an object.
    fn parent(&mut self, scan: &mut Scan<'_>, child: usize, depth: usize) -> Result<Kind, Failed> {
        if scan.peek() == b'{' {
            // The key may be a repeated one: forget what its earlier value had.
            self.set_all(child, Token::MISSING);
            self.object(scan, child, depth)?;
            return Ok(Kind::Object);
        }
        let start = scan.at;
        let kind = scan.value(depth)?;
        let inner = if kind == Kind::Null {
            Kind::Missing
        } else {
            Kind::Blocked
        };
        self.set_all(
            child,
            Token {
                kind: inner,
                ..scan.token(kind, start)
            },
        );
        Ok(kind)
    }

    /// Sets the tokens of all fields wanted in `shape` and below.
    fn set_all(&mut self, shape: usize, token: Token) {
        for at in 0..self.shapes[shape].wanted {
            let key = &self.shapes[shape].keys[at];
            let (slot, child) = (key.slot, key.child);
            if let Some(slot) = slot {
                self.tokens[slot] = token;
            }
            if let Some(child) = child {
                self.set_all(child, token);
            }
        }
    }

    /// Passes a key, its colon and the space after it.
    #[inline]
    fn key(
        &mut self,
        scan: &mut Scan<'_>,
        shape: usize,
        after: Previous,
    ) -> Result<Previous, Failed> {
        let known = &mut self.shapes[shape];
        if let Some(guesses) = known.guesses(after).copied() {
            let rest = &scan.text[scan.at..];
            for at in guesses.into_iter().flatten() {
                let key = &known.keys[at];
                if key.matches(rest) {
                    scan.at += key.literal.len();
                    scan.space();
                    return Ok(Previous::Key(at));
                }
            }
        }
        self.unexpected_key(scan, shape, after)
    }

    /// Passes a key that was not guessed, and guesses it next time.
    #[cold]
    fn unexpected_key(
        &mut self,
        scan: &mut Scan<'_>,
        shape: usize,
        after: Previous,
    ) -> Result<Previous, Failed> {
        if scan.peek() != b'"' {
            return scan.expected("a key in quotes");
        }
        let start = scan.at;
        let kind = scan.string()?;
        let mut name = scan.token(kind, start).of(scan.text);
        if kind == Kind::Escaped {
            self.unescaped.clear();
            unescape(name, &mut self.unescaped).ok_or(Failed)?;
            name = &self.unescaped;
        }
        scan.colon()?;
        let known = &mut self.shapes[shape];
        let Some(at) = known.find(name) else {
            return Ok(Previous::Unknown);
        };
        if let Some(guesses) = known.guesses(after)
            && guesses[0] != Some(at)
        {
            *guesses = [Some(at), guesses[0]];
        }
        Ok(Previous::Key(at))
    }
}
