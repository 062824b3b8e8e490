//! The data types of SSH (RFC 4251 5): reading and appending.

/// What is left to read of a message.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from their start.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// A `uint32`.
    pub fn number(&mut self) -> Option<u32> {
        let (bytes, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    /// A `boolean`: everything but 0 is true.
    pub fn boolean(&mut self) -> Option<bool> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte != 0)
    }

    /// A `string`, which is any bytes.
    pub fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    /// A `string` that must be UTF-8.
    pub fn text(&mut self) -> Option<String> {
        String::from_utf8(self.string()?.into()).ok()
    }

    /// Nothing may be left.
    pub fn end(&self) -> Option<()> {
        self.rest.is_empty().then_some(())
    }
}

/// Appends a `uint32`.
pub fn put_number(packet: &mut Vec<u8>, number: u32) {
    packet.extend_from_slice(&number.to_be_bytes());
}

/// Appends a `string`; what does not fit into 32 bits of length is cut, which no caller reaches.
pub fn put_string(packet: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    put_number(packet, length);
    packet.extend_from_slice(bytes.get(..length as usize).unwrap_or(bytes));
}
