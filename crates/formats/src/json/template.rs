//! What a record looks like apart from its values, learned from a good one: keys and punctuation in their order.

use super::bytes::{Pattern, WIDTH, block};
use super::scan::{Failed, Kind, Scan, unescape};
use super::shape::Shapes;

/// Most values of a record that a template is made of.
const MAX_STEPS: usize = 64;
/// Most bytes of keys and punctuation in a template.
const MAX_LITERAL_BYTES: usize = 4096;
/// After so many records a template is judged.
const TRIAL: u32 = 64;
/// Most blocks that a template that does not help is left out.
const MAX_REST: u32 = 64;
/// After so many values of one kind a step guesses that kind.
const USUAL: u32 = 256;

/// The records that differ from one good record in their values only.
pub(super) struct Template {
    pub(super) steps: Vec<Step>,
    /// What follows the last value.
    pub(super) tail: Literal,
    /// The slots whose fields these records lack.
    pub(super) missing: Vec<usize>,
    /// How many records of a block it has fitted lately, times a factor.
    worth: u32,
    /// Records tried and records that fitted since it was judged last.
    tried: u32,
    fitted: u32,
    /// Blocks to leave it out, and for how many the next time.
    rest: u32,
    next_rest: u32,
}

/// One value and what stands before it.
pub(super) struct Step {
    pub(super) literal: Literal,
    pub(super) guess: Guess,
    /// Where the token goes; a value that nobody wants has the slot after the last.
    pub(super) slot: usize,
    /// The containers that the value is inside of.
    pub(super) depth: usize,
    /// Values lately that the guess was wrong for.
    surprises: u32,
    /// Values in a row of the same kind, when nothing is guessed.
    same: (Guess, u32),
}

/// What a value is expected to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Guess {
    /// A string without escapes.
    Text,
    /// Digits.
    Digits,
    /// Anything.
    Any,
}

impl Guess {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Plain => Self::Text,
            Kind::Integer => Self::Digits,
            _ => Self::Any,
        }
    }
}

/// Bytes between two values: keys, colons, commas, brackets, white space.
pub(super) struct Literal {
    /// With the closing quote of a text before and the opening quote of a text behind it.
    text: Box<[u8]>,
    quote_before: bool,
    quote_after: bool,
    /// The beginning of `text`.
    head: Pattern,
    length: u32,
}

impl Literal {
    fn new(core: &[u8], quote_before: bool, quote_after: bool) -> Self {
        let quote = |there: bool| if there { &b"\""[..] } else { b"" };
        let text = [quote(quote_before), core, quote(quote_after)].concat();
        let length = u32::try_from(text.len()).expect("records are parts of slabs below 4 GiB");
        Self {
            head: Pattern::new(&text),
            text: text.into(),
            quote_before,
            quote_after,
            length,
        }
    }

    /// The bytes without the quotes of texts.
    pub(super) fn core(&self) -> &[u8] {
        let end = self.text.len() - usize::from(self.quote_after);
        &self.text[usize::from(self.quote_before)..end]
    }

    /// The length with quotes.
    #[inline(always)]
    pub(super) fn length(&self) -> u32 {
        self.length
    }

    /// Whether it, or its first [`WIDTH`] bytes, stand at `at`; false also when less than a whole block of bytes is left
    /// there.
    #[inline(always)]
    pub(super) fn begins(&self, data: &[u8], at: u32) -> bool {
        block(data, at).is_some_and(|bytes| self.head.begins(bytes))
    }

    /// Whether [`Literal::begins`] does not look at all of it.
    #[inline(always)]
    pub(super) fn is_long(&self) -> bool {
        self.length > WIDTH as u32
    }

    /// Whether all of it stands at `at`.
    pub(super) fn matches(&self, data: &[u8], at: u32) -> bool {
        let rest = data.get(at as usize..);
        rest.is_some_and(|rest| rest.starts_with(&self.text))
    }
}

impl Step {
    /// A value turned out to be of this kind.
    pub(super) fn saw(&mut self, kind: Kind) {
        let found = Guess::of(kind);
        if self.guess != Guess::Any {
            self.surprises += u32::from(found != self.guess);
        } else if found == self.same.0 {
            self.same.1 += 1;
        } else {
            self.same = (found, 1);
        }
    }

    /// What should be guessed from now on, `records` after the last time.
    fn better_guess(&mut self, records: u32) -> Guess {
        let often = self.surprises * 8 > records;
        self.surprises = 0;
        match self.guess {
            Guess::Any if self.same.1 >= USUAL => {
                let usual = self.same.0;
                self.same.1 = 0;
                usual
            }
            _ if often => Guess::Any,
            guess => guess,
        }
    }
}

impl Template {
    /// The template of a record that the decoder has found good. `None` when it is no example: it repeats a field that is
    /// wanted, or has something else in place of an object with wanted fields, or too many values.
    pub(super) fn learn(text: &[u8], shapes: &Shapes, max_depth: usize) -> Option<Self> {
        let mut walk = Walk {
            scan: Scan::new(text, max_depth),
            shapes,
            steps: Vec::new(),
            cores: Vec::new(),
            end: 0,
            met: Vec::new(),
            missing: (0..shapes.slots()).collect(),
        };
        walk.scan.space();
        walk.object(0, 0)?;
        let tail = text.get(walk.end..)?;
        let length: usize = walk.cores.iter().map(|core| core.len()).sum();
        if walk.steps.is_empty() || length + tail.len() > MAX_LITERAL_BYTES {
            return None;
        }
        for (step, core) in walk.steps.iter_mut().zip(walk.cores) {
            step.literal = Literal::new(core, false, false);
        }
        let mut template = Self {
            steps: walk.steps,
            tail: Literal::new(tail, false, false),
            missing: walk.missing,
            worth: 0,
            tried: 0,
            fitted: 0,
            rest: 0,
            next_rest: 1,
        };
        template.arrange();
        Some(template)
    }

    /// Puts the quotes of texts into the literals.
    fn arrange(&mut self) {
        let mut before = false;
        for step in &mut self.steps {
            let after = step.guess == Guess::Text;
            step.literal = Literal::new(step.literal.core(), before, after);
            before = after;
        }
        self.tail = Literal::new(self.tail.core(), before, false);
    }

    /// Whether to leave it out of this block.
    pub(super) fn rests(&mut self) -> bool {
        let rests = self.rest > 0;
        self.rest -= u32::from(rests);
        rests
    }

    /// Templates of more worth are tried first and kept longer.
    pub(super) fn worth(&self) -> u32 {
        self.worth
    }

    /// `fitted` of `tried` records of a block were of this template. It learns from its mistakes, and rests when it does not
    /// help.
    pub(super) fn judge(&mut self, tried: u32, fitted: u32) {
        self.worth = self.worth - self.worth / 8 + fitted * 16;
        self.tried += tried;
        self.fitted += fitted;
        if self.tried < TRIAL {
            return;
        }
        let mut changed = false;
        for step in &mut self.steps {
            let guess = step.better_guess(self.tried);
            changed |= guess != step.guess;
            step.guess = guess;
        }
        if changed {
            self.arrange();
        }
        if self.fitted * 4 < self.tried {
            self.rest = self.next_rest;
            self.next_rest = (self.next_rest * 2).min(MAX_REST);
        } else {
            self.next_rest = 1;
        }
        (self.tried, self.fitted) = (0, 0);
    }
}

/// A walk over a good record to learn its template.
struct Walk<'a> {
    scan: Scan<'a>,
    shapes: &'a Shapes,
    steps: Vec<Step>,
    /// What stands before each value.
    cores: Vec<&'a [u8]>,
    /// The end of the last value.
    end: usize,
    /// Wanted keys so far, each with its object.
    met: Vec<(usize, usize)>,
    /// Slots not met so far.
    missing: Vec<usize>,
}

impl Walk<'_> {
    /// Passes an object inside of `depth` others; `None` when the record is no example.
    fn object(&mut self, shape: usize, depth: usize) -> Option<()> {
        self.scan.open(depth).ok()?;
        if self.scan.pass(b'}') {
            return Some(());
        }
        loop {
            let key = self.key(shape)?;
            let (slot, child) = key.map_or((None, None), |key| self.shapes.places(shape, key));
            if let Some(key) = key.filter(|_| slot.is_some() || child.is_some()) {
                if self.met.contains(&(shape, key)) {
                    return None;
                }
                self.met.push((shape, key));
            }
            match child {
                None => self.leaf(slot, depth + 1)?,
                Some(child) if slot.is_none() && self.scan.peek() == b'{' => {
                    self.object(child, depth + 1)?;
                }
                Some(_) => return None,
            }
            if !self.scan.more(b'}', "a comma or }").ok()? {
                return Some(());
            }
        }
    }

    /// Passes a key and its colon; the index of the key if it is known.
    fn key(&mut self, shape: usize) -> Option<Option<usize>> {
        let start = self.scan.at;
        let kind = self.scan.string().ok()?;
        let name = self.scan.token(kind, start).of(self.scan.text);
        let known = if kind == Kind::Escaped {
            let mut unescaped = Vec::new();
            unescape(name, &mut unescaped)?;
            self.shapes.known(shape, &unescaped)
        } else {
            self.shapes.known(shape, name)
        };
        self.scan.colon().ok()?;
        Some(known)
    }

    /// Passes a value that is a step of the template.
    fn leaf(&mut self, slot: Option<usize>, depth: usize) -> Option<()> {
        if self.steps.len() == MAX_STEPS {
            return None;
        }
        let start = self.scan.at;
        let kind = self.scan.value(depth).map_err(|Failed| ()).ok()?;
        let guess = match kind {
            Kind::Escaped => Guess::Text,
            _ => Guess::of(kind),
        };
        self.cores.push(&self.scan.text[self.end..start]);
        self.steps.push(Step {
            literal: Literal::new(b"", false, false),
            guess,
            slot: slot.unwrap_or(self.shapes.slots()),
            depth,
            surprises: 0,
            same: (guess, 0),
        });
        self.missing.retain(|missing| Some(*missing) != slot);
        self.end = self.scan.at;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        let mut shapes = Shapes::new();
        shapes.want(&["a".to_owned()]);
        Template::learn(br#"{"a":"x","b":1} "#, &shapes, 9).unwrap()
    }

    #[test]
    fn literals_have_the_quotes_of_texts() {
        let template = template();
        let literals: Vec<&[u8]> = template.steps.iter().map(|s| &*s.literal.text).collect();
        assert_eq!(literals, [&br#"{"a":""#[..], br#"","b":"#]);
        assert_eq!((template.steps[0].slot, template.steps[1].slot), (0, 1));
        assert_eq!(&*template.tail.text, b"} ");
    }

    #[test]
    fn a_template_that_does_not_help_rests_longer_and_longer() {
        let mut template = template();
        for expected in [1, 2, 4, 8, 16, 32, 64, 64, 64] {
            template.judge(TRIAL, TRIAL / 4 - 1);
            let rested = (0..100).take_while(|_| template.rests()).count();
            assert_eq!(rested, expected);
        }
        template.judge(TRIAL, TRIAL);
        assert!(!template.rests());
        template.judge(TRIAL, 0);
        assert!(template.rests() && !template.rests());
    }
}
