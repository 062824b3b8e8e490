//! Finds the end of a body whose bytes nobody wants: by length, by chunks, or at a megabyte.

use super::head::Framing;

/// More of a body than this is not read.
const BODY_LIMIT: u64 = 1 << 20;
/// More than this before the end of a line of the chunked coding is nonsense.
const LINE_LIMIT: u64 = 16 << 10;

/// The state between two pieces of a body.
#[derive(Debug)]
pub struct BodyEnd {
    seen: u64,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// So many bytes are left, then it is over.
    Length(u64),
    UntilClose,
    /// In the size of a chunk, or after its digits.
    Size {
        value: u64,
        has_extension: bool,
        length: u64,
    },
    /// So many bytes of a chunk are left, its line end included.
    Data(u64),
    /// In a line after the last chunk.
    Trailer {
        length: u64,
    },
    Over,
}

const NEXT_SIZE: State = State::Size { value: 0, has_extension: false, length: 0 };

impl BodyEnd {
    /// Before the first byte.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Over,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => NEXT_SIZE,
            Framing::UntilClose => State::UntilClose,
        };
        Self { seen: 0, state }
    }

    /// Whether there is no more to read. A malformed body is over where its error is.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over) || self.seen >= BODY_LIMIT
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        self.seen += piece.len() as u64;
        let mut rest = piece;
        while let [first, others @ ..] = rest {
            let length = rest.len() as u64;
            (self.state, rest) = match self.state {
                State::Over | State::UntilClose => return,
                State::Length(left) if left <= length => (State::Over, others),
                State::Length(left) => (State::Length(left - length), &[][..]),
                State::Data(left) if left <= length => {
                    (NEXT_SIZE, usize::try_from(left).map_or(&[][..], |left| &rest[left..]))
                }
                State::Data(left) => (State::Data(left - length), &[][..]),
                State::Size { value, has_extension, length } => {
                    (size(value, has_extension, length + 1, *first), others)
                }
                State::Trailer { length } => (trailer(length, *first), others),
            };
        }
    }
}

/// The state after `byte`, the `length`th, of the line of a chunk's size.
fn size(value: u64, has_extension: bool, length: u64, byte: u8) -> State {
    let digit = char::from(byte).to_digit(16).filter(|_| !has_extension);
    match (byte, digit) {
        _ if length > LINE_LIMIT => State::Over,
        (_, Some(digit)) => value.checked_mul(16).map_or(State::Over, |value| State::Size {
            value: value | u64::from(digit),
            has_extension,
            length,
        }),
        _ if length == 1 => State::Over,
        (b'\n', _) if value == 0 => State::Trailer { length: 0 },
        // The data and the line end after it; a bare newline there is nobody's practice.
        (b'\n', _) => value.checked_add(2).map_or(State::Over, State::Data),
        _ => State::Size { value, has_extension: true, length },
    }
}

/// The state after `byte` in a line after the last chunk.
fn trailer(length: u64, byte: u8) -> State {
    match byte {
        b'\n' if length == 0 => State::Over,
        b'\n' => State::Trailer { length: 0 },
        b'\r' if length == 0 => State::Trailer { length: 0 },
        _ if length >= LINE_LIMIT => State::Over,
        _ => State::Trailer { length: length + 1 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes of `body`, given one by one, are read before it is over; `None`: more are wanted.
    fn end(framing: Framing, body: &[u8]) -> Option<usize> {
        let mut one_by_one = BodyEnd::new(framing);
        let mut at_once = BodyEnd::new(framing);
        at_once.push(body);
        let mut read = 0;
        while !one_by_one.is_over() && read < body.len() {
            one_by_one.push(&body[read..=read]);
            read += 1;
        }
        assert_eq!(one_by_one.is_over(), at_once.is_over(), "{:?}", String::from_utf8_lossy(body));
        one_by_one.is_over().then_some(read)
    }

    #[test]
    fn a_body_with_length_is_over_after_its_bytes() {
        assert_eq!(end(Framing::Length(0), b""), Some(0));
        assert_eq!(end(Framing::Length(3), b"abcd"), Some(3));
        assert_eq!(end(Framing::Length(3), b"ab"), None);
    }

    #[test]
    fn a_body_without_length_is_over_at_the_limit_only() {
        assert_eq!(end(Framing::UntilClose, b"abc"), None);
        let mut body = BodyEnd::new(Framing::UntilClose);
        let piece = [0; 1 << 14];
        for _ in 0..63 {
            body.push(&piece);
        }
        assert!(!body.is_over());
        body.push(&piece);
        assert!(body.is_over());
    }

    #[test]
    fn chunks_are_over_after_the_empty_one_and_its_trailer() {
        for body in [
            "0\r\n\r\n",
            "5\r\nabcde\r\n0\r\n\r\n",
            "A;x=y\r\n0123456789\r\n0\r\n\r\n",
            "3 \r\nabc\r\n00\r\n\r\n",
            "3\r\nabc\r\n0\r\nX: y\r\nZ: y\r\n\r\n",
            "3\r\n\r\n\r\r\n0\r\n\r\n",
            "0\n\n",
        ] {
            assert_eq!(end(Framing::Chunked, body.as_bytes()), Some(body.len()), "{body:?}");
            let cut = &body[..body.len() - 1];
            assert_eq!(end(Framing::Chunked, cut.as_bytes()), None, "{cut:?}");
        }
    }

    #[test]
    fn nonsense_instead_of_chunks_is_over_at_once() {
        for body in
            ["x\r\n", "\r\n", "\n", "ffffffffffffffff1\r\n", "fffffffffffffffe\r\n", "-1\r\n"]
        {
            assert!(end(Framing::Chunked, body.as_bytes()).is_some(), "{body:?}");
        }
        let endless = [b"1;".as_slice(), b"x".repeat(20_000).as_slice()].concat();
        assert!(end(Framing::Chunked, &endless).is_some());
        let endless = [b"0\r\n".as_slice(), b"x".repeat(20_000).as_slice()].concat();
        assert!(end(Framing::Chunked, &endless).is_some());
    }
}
