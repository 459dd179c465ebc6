//! Walks over JSON text strictly (RFC 8259) and builds nothing: strings, numbers, whole values as tokens.

/// Why a text is not acceptable JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Something else than `what` stands at byte `at`.
    Expected {
        at: usize,
        what: &'static str,
    },
    TooDeep,
}

/// The scan has failed; [`Scan::fault`] says why. Results stay as small as a register this way, which is worth a third of
/// the decoder's time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed;

type Scanned<T> = Result<T, Failed>;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    /// The record has no such field.
    Missing,
    /// A step on the path to the field is there but is not an object.
    Blocked,
    Null,
    True,
    False,
    /// A number without fraction and exponent.
    Integer,
    /// A number with a fraction or an exponent.
    Number,
    /// The inside of a string without escapes.
    Plain,
    /// The inside of a string with escapes.
    Escaped,
    Object,
    Array,
}

/// A value and its range of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Token {
    pub(crate) const MISSING: Self = Self {
        kind: Kind::Missing,
        start: 0,
        end: 0,
    };

    pub(super) fn of(self, text: &[u8]) -> &[u8] {
        &text[self.start as usize..self.end as usize]
    }
}

/// A place in a text that is known to be UTF-8.
pub(super) struct Scan<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    max_depth: usize,
    fault: Fault,
}

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a [u8], max_depth: usize) -> Self {
        Self {
            text,
            at: 0,
            max_depth,
            fault: Fault::TooDeep,
        }
    }

    /// The next byte, or 0 at the end; a real byte 0 is allowed nowhere in JSON text.
    #[inline]
    pub(super) fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    /// Passes white space.
    #[inline]
    pub(super) fn space(&mut self) {
        if self.peek() <= b' ' {
            self.rare_space();
        }
    }

    #[cold]
    fn rare_space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// Passes `byte` if it comes next.
    #[inline]
    pub(super) fn pass(&mut self, byte: u8) -> bool {
        let here = self.peek() == byte;
        self.at += usize::from(here);
        here
    }

    #[cold]
    pub(super) fn expected<T>(&mut self, what: &'static str) -> Scanned<T> {
        self.fault = Fault::Expected { at: self.at, what };
        Err(Failed)
    }

    /// Why the scan has failed.
    pub(super) fn fault(&self) -> Fault {
        self.fault
    }

    /// Passes the bracket that opens a container inside of `depth` others.
    #[inline]
    pub(super) fn open(&mut self, depth: usize) -> Scanned<()> {
        if depth >= self.max_depth {
            self.fault = Fault::TooDeep;
            return Err(Failed);
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    /// After an element: passes a comma and gives true, or passes the bracket `close` and gives false.
    #[inline]
    pub(super) fn more(&mut self, close: u8, what: &'static str) -> Scanned<bool> {
        self.space();
        let next = self.peek();
        if next == b',' {
            self.at += 1;
            self.space();
            return Ok(true);
        }
        if next != close {
            return self.expected(what);
        }
        self.at += 1;
        Ok(false)
    }

    /// After a key: passes the colon and the space around it.
    #[inline]
    pub(super) fn colon(&mut self) -> Scanned<()> {
        self.space();
        if !self.pass(b':') {
            return self.expected("a colon");
        }
        self.space();
        Ok(())
    }

    /// Passes the value that begins here, inside of `depth` containers.
    #[inline]
    pub(super) fn value(&mut self, depth: usize) -> Scanned<Kind> {
        match self.peek() {
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.rare_value(depth),
        }
    }

    /// The token of the value of this kind that began at `start` and was passed last.
    #[inline]
    pub(super) fn token(&self, kind: Kind, start: usize) -> Token {
        let quote = usize::from(matches!(kind, Kind::Plain | Kind::Escaped));
        Token {
            kind,
            start: as_u32(start + quote),
            end: as_u32(self.at - quote),
        }
    }

    fn rare_value(&mut self, depth: usize) -> Scanned<Kind> {
        match self.peek() {
            b't' => self.word(b"true", Kind::True),
            b'f' => self.word(b"false", Kind::False),
            b'n' => self.word(b"null", Kind::Null),
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            _ => self.expected("a value"),
        }
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Scanned<Kind> {
        if !self.text[self.at..].starts_with(word) {
            return self.expected("a value");
        }
        self.at += word.len();
        Ok(kind)
    }

    fn object(&mut self, depth: usize) -> Scanned<Kind> {
        self.open(depth)?;
        if self.pass(b'}') {
            return Ok(Kind::Object);
        }
        loop {
            if self.peek() != b'"' {
                return self.expected("a key in quotes");
            }
            self.string()?;
            self.colon()?;
            self.value(depth + 1)?;
            if !self.more(b'}', "a comma or }")? {
                return Ok(Kind::Object);
            }
        }
    }

    fn array(&mut self, depth: usize) -> Scanned<Kind> {
        self.open(depth)?;
        if self.pass(b']') {
            return Ok(Kind::Array);
        }
        loop {
            self.value(depth + 1)?;
            if !self.more(b']', "a comma or ]")? {
                return Ok(Kind::Array);
            }
        }
    }

    /// Passes the string whose opening quote is here.
    #[inline]
    pub(super) fn string(&mut self) -> Scanned<Kind> {
        self.at = plain_end(self.text, self.at + 1);
        if self.pass(b'"') {
            Ok(Kind::Plain)
        } else {
            self.rare_string()
        }
    }

    /// Passes the rest of a string from where its plain beginning ends.
    #[cold]
    fn rare_string(&mut self) -> Scanned<Kind> {
        loop {
            match self.text.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Kind::Escaped);
                }
                Some(b'\\') => {
                    let Some((_, after)) = escape(self.text, self.at) else {
                        return self.expected("a valid escape");
                    };
                    self.at = plain_end(self.text, after);
                }
                Some(_) => return self.expected("an escape instead of a control character"),
                None => return self.expected("a closing quote"),
            }
        }
    }

    /// Passes the number that begins here.
    #[inline]
    fn number(&mut self) -> Scanned<Kind> {
        self.pass(b'-');
        let first = self.at;
        self.digits()?;
        if self.text[first] == b'0' && self.at > first + 1 {
            self.at = first + 1;
            return self.expected("no digit after a leading zero");
        }
        let mut kind = Kind::Integer;
        if self.pass(b'.') {
            kind = Kind::Number;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            kind = Kind::Number;
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(kind)
    }

    /// Passes at least one digit.
    #[inline]
    fn digits(&mut self) -> Scanned<()> {
        let end = digits_end(self.text, self.at);
        if end == self.at {
            return self.expected("a digit");
        }
        self.at = end;
        Ok(())
    }
}

fn as_u32(at: usize) -> u32 {
    u32::try_from(at).expect("a slab's spans are 32 bits wide")
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The index of the first quote, backslash or control character at or after `at`, or the text's length.
#[inline]
fn plain_end(text: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        let hits = special(chunk);
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 16;
    }
    if let Some(chunk) = text.last_chunk::<16>() {
        // Fewer than 16 bytes are left: look at the last 16 and shift out those before `at`.
        let before = at - (text.len() - 16);
        let hits = special(chunk).checked_shr(8 * before as u32).unwrap_or(0);
        return if hits == 0 {
            text.len()
        } else {
            at + hits.trailing_zeros() as usize / 8
        };
    }
    let tail = text.get(at..).unwrap_or_default();
    let stop = tail
        .iter()
        .position(|b| matches!(b, b'"' | b'\\' | 0..0x20));
    stop.map_or(text.len(), |index| at + index)
}

/// 0xff in the place of every quote, backslash and control character, 0 elsewhere; the first byte is the lowest. The
/// compiler makes this a handful of vector instructions.
#[inline]
fn special(chunk: &[u8; 16]) -> u128 {
    let mut hits = [0; 16];
    for (hit, b) in hits.iter_mut().zip(chunk) {
        let is_special = (*b == b'"') | (*b == b'\\') | (*b < 0x20);
        *hit = if is_special { 0xff } else { 0 };
    }
    u128::from_le_bytes(hits)
}

/// The index of the first byte at or after `at` that is not a digit, or the text's length.
#[inline]
fn digits_end(text: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk) ^ (ONES * 0x30);
        let hits = (word.wrapping_add(ONES * 0x76) | word) & HIGH;
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let tail = text.get(at..).unwrap_or_default();
    let stop = tail.iter().position(|b| !b.is_ascii_digit());
    stop.map_or(text.len(), |index| at + index)
}

/// The character of the escape that begins with the backslash at `at`, and the index after it.
fn escape(text: &[u8], at: usize) -> Option<(char, usize)> {
    let simple = match text.get(at + 1)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let first = hex(text, at + 2)?;
            if let Some(simple) = char::from_u32(first) {
                return Some((simple, at + 6));
            }
            // Half of a surrogate pair: the other half must follow.
            let (0xD800..0xDC00, Some(b"\\u")) = (first, text.get(at + 6..at + 8)) else {
                return None;
            };
            let second = hex(text, at + 8).filter(|half| (0xDC00..0xE000).contains(half))?;
            let pair = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
            return char::from_u32(pair).map(|c| (c, at + 12));
        }
        _ => return None,
    };
    Some((simple, at + 2))
}

/// The value of the four hexadecimal digits at `at`.
fn hex(text: &[u8], at: usize) -> Option<u32> {
    let mut value = 0;
    for byte in text.get(at..at + 4)? {
        value = value * 16 + char::from(*byte).to_digit(16)?;
    }
    Some(value)
}

/// Appends the characters that the inside of a string stands for; `None` when it has a bad escape.
pub(super) fn unescape(inside: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut at = 0;
    loop {
        // The inside has passed `string`, so what stops here is a backslash or the end.
        let stop = plain_end(inside, at);
        out.extend_from_slice(&inside[at..stop]);
        if stop == inside.len() {
            return Some(());
        }
        let (character, after) = escape(inside, stop)?;
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        at = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_searches_equal_byte_searches() {
        let odd = [
            0u8, 0x1f, 0x20, 0x21, b'"', b'#', b'/', b'0', b'9', b':', b'[', b'\\', b']', 0x7f,
            0x80, 0x8a, 0xff,
        ];
        for length in 0..20 {
            for place in 0..length {
                for (first, second) in odd.iter().flat_map(|a| odd.iter().map(move |b| (*a, *b))) {
                    for fill in [b'a', b'5'] {
                        let mut text = vec![fill; length];
                        text[place] = first;
                        if place + 1 < length {
                            text[place + 1] = second;
                        }
                        let plain = text
                            .iter()
                            .position(|b| matches!(b, b'"' | b'\\' | 0..0x20));
                        assert_eq!(plain_end(&text, 0), plain.unwrap_or(length), "{text:?}");
                        let digits = text.iter().position(|b| !b.is_ascii_digit());
                        assert_eq!(digits_end(&text, 0), digits.unwrap_or(length), "{text:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn escapes() {
        let mut out = Vec::new();
        unescape(br#"a\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00z"#, &mut out).unwrap();
        assert_eq!(
            std::str::from_utf8(&out).unwrap(),
            "a\"\\/\u{8}\u{c}\n\r\té😀z"
        );
        for bad in [
            r"\x",
            r"\u12",
            r"\u12G4",
            r"\uD800",
            r"\uD800\n",
            r"\uD800A",
            r"\uDC00",
            r"\",
        ] {
            assert!(unescape(bad.as_bytes(), &mut out).is_none(), "{bad}");
        }
    }
}
