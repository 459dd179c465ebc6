//! The wire shapes of requests, walked before decoding, so that a length that lies cannot make the decoder allocate.
//!
//! The decoder of messages reserves room for as many elements as an array claims to have. A frame of twenty
//! bytes could so ask for hundreds of gigabytes. A request is decoded only when its lengths fit its bytes.

/// Elements that all arrays of one request may have together.
const MAX_ELEMENTS: usize = 100_000;

/// A field of a request and the versions that have it.
pub(crate) struct Field {
    from: i16,
    to: i16,
    shape: Shape,
}

/// What a field looks like on the wire.
pub(crate) enum Shape {
    /// So many bytes.
    Fixed(usize),
    /// A string: 16 bits of length, -1 for none.
    Text,
    /// Bytes: 32 bits of length, -1 for none.
    Data,
    /// An array of elements of so many bytes.
    List(usize),
    /// An array of structures.
    Array(&'static [Field]),
    /// Anything up to the end; for messages without arrays.
    Rest,
}

/// A field of all versions.
pub(crate) const fn always(shape: Shape) -> Field {
    Field {
        from: 0,
        to: i16::MAX,
        shape,
    }
}

/// A field of this version and later ones.
pub(crate) const fn since(from: i16, shape: Shape) -> Field {
    Field {
        from,
        to: i16::MAX,
        shape,
    }
}

/// A field of this version and earlier ones.
pub(crate) const fn until(to: i16, shape: Shape) -> Field {
    Field { from: 0, to, shape }
}

/// Whether `body` has exactly the fields of `version`.
pub(crate) fn fits(fields: &[Field], body: &[u8], version: i16) -> bool {
    let mut walk = Walk {
        rest: body,
        version,
        elements: 0,
    };
    walk.fields(fields).is_some() && walk.rest.is_empty()
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    elements: usize,
}

impl Walk<'_> {
    fn fields(&mut self, fields: &[Field]) -> Option<()> {
        let version = self.version;
        for field in fields
            .iter()
            .filter(|field| (field.from..=field.to).contains(&version))
        {
            match &field.shape {
                Shape::Fixed(size) => self.skip(*size)?,
                Shape::Text => {
                    let length = i16::from_be_bytes(self.take()?);
                    self.skip(length_or_none(length.into())?)?;
                }
                Shape::Data => {
                    let length = i32::from_be_bytes(self.take()?);
                    self.skip(length_or_none(length)?)?;
                }
                Shape::List(size) => {
                    let count = self.count()?;
                    self.skip(count.checked_mul(*size)?)?;
                }
                Shape::Array(fields) => {
                    for _ in 0..self.count()? {
                        self.fields(fields)?;
                    }
                }
                Shape::Rest => self.rest = &[],
            }
        }
        Some(())
    }

    fn count(&mut self) -> Option<usize> {
        let count = length_or_none(i32::from_be_bytes(self.take()?))?;
        self.elements = self.elements.checked_add(count)?;
        (self.elements <= MAX_ELEMENTS).then_some(count)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*bytes)
    }

    fn skip(&mut self, size: usize) -> Option<()> {
        self.rest = self.rest.get(size..)?;
        Some(())
    }
}

/// -1 stands for none, which takes no bytes; anything below is an error.
fn length_or_none(length: i32) -> Option<usize> {
    usize::try_from(length).ok().or((length == -1).then_some(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: &[Field] = &[
        always(Shape::Text),
        until(1, Shape::Fixed(8)),
        since(
            2,
            Shape::Array(&[always(Shape::List(4)), always(Shape::Data)]),
        ),
    ];

    #[test]
    fn lengths_must_fit_the_bytes() {
        let mut body = vec![0, 1, b'x'];
        assert!(!fits(SHAPE, &body, 0));
        body.extend([0; 8]);
        assert!(fits(SHAPE, &body, 0) && fits(SHAPE, &body, 1));
        body = vec![
            0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 1, 9,
        ];
        assert!(fits(SHAPE, &body, 2));
        for at in 0..body.len() {
            assert!(!fits(SHAPE, &body[..at], 2), "cut at {at}");
        }
        for at in [2, 6, 18] {
            let mut lying = body.clone();
            lying[at] = 0x7f;
            assert!(!fits(SHAPE, &lying, 2));
        }
        body[0..2].copy_from_slice(&(-2_i16).to_be_bytes());
        assert!(!fits(SHAPE, &body, 2));
    }

    #[test]
    fn arrays_are_bounded_together() {
        let lists = |count: u32| {
            let mut body = vec![0xff, 0xff, 0, 0, 0, 1];
            body.extend(count.to_be_bytes());
            body.extend(vec![0; count as usize * 4]);
            body.extend([0xff; 4]);
            fits(SHAPE, &body, 2)
        };
        assert!(lists(99_999) && !lists(100_000));
    }
}
