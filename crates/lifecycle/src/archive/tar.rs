//! Headers of the GNU tar format, bit for bit as `tar --format=gnu --numeric-owner` writes them.
//! Names of users and groups are left empty, so that the bytes do not depend on the machine.

/// What tar reads and pads in.
pub(super) const TAR_BLOCK: usize = 512;
/// GNU tar pads the whole archive to this.
pub(super) const RECORD: usize = 20 * TAR_BLOCK;

/// The kind of an entry, by the letter tar has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    File = b'0',
    HardLink = b'1',
    Symlink = b'2',
    CharacterDevice = b'3',
    BlockDevice = b'4',
    Directory = b'5',
    Fifo = b'6',
    /// The next entry's link name, too long for its header.
    LongLink = b'K',
    /// The next entry's name, too long for its header.
    LongName = b'L',
}

/// What a header says of an entry.
#[derive(Clone, Debug)]
pub(super) struct Header {
    /// `./`-rooted, with a `/` at the end of directories.
    pub(super) name: Vec<u8>,
    /// Target of a symlink, or name of the entry a hard link is to; empty for all else.
    pub(super) link: Vec<u8>,
    pub(super) kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Bytes that follow the header; not zero for [`Kind::File`] and the long names only.
    pub(super) size: u64,
    /// Whole seconds since 1970, before it too.
    pub(super) mtime: i64,
    /// Major and minor number of a device.
    pub(super) device: Option<(u64, u64)>,
}

impl Header {
    /// The header's bytes, preceded by entries for names that do not fit; a multiple of 512.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if self.link.len() > 100 {
            long(&mut bytes, Kind::LongLink, &self.link);
        }
        if self.name.len() > 100 {
            long(&mut bytes, Kind::LongName, &self.name);
        }
        bytes.extend_from_slice(&self.block());
        bytes
    }

    fn block(&self) -> [u8; 512] {
        let mut block = [0; 512];
        text(&mut block[0..100], &self.name);
        number(&mut block[100..108], self.mode.into());
        number(&mut block[108..116], self.uid.into());
        number(&mut block[116..124], self.gid.into());
        number(&mut block[124..136], self.size.into());
        number(&mut block[136..148], self.mtime.into());
        block[156] = self.kind as u8;
        text(&mut block[157..257], &self.link);
        block[257..265].copy_from_slice(b"ustar  \0");
        if let Some((major, minor)) = self.device {
            number(&mut block[329..337], major.into());
            number(&mut block[337..345], minor.into());
        }
        // The checksum counts its own field as blanks; six digits, then NUL and a blank.
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        number(&mut block[148..155], sum.into());
        block
    }
}

/// Appends `././@LongLink`: a header and `name` with its NUL, padded.
fn long(bytes: &mut Vec<u8>, kind: Kind, name: &[u8]) {
    let size = name.len() as u64 + 1;
    let header = Header {
        name: b"././@LongLink".to_vec(),
        link: Vec::new(),
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        size,
        mtime: 0,
        device: None,
    };
    bytes.extend_from_slice(&header.block());
    bytes.extend_from_slice(name);
    bytes.resize(bytes.len() + 1 + padding(size, TAR_BLOCK), 0);
}

/// Zero bytes needed after `size` bytes to reach a multiple of `unit`.
pub(super) fn padding(size: u64, unit: usize) -> usize {
    // Below `unit`, so it fits.
    usize::try_from(size.next_multiple_of(unit as u64) - size).unwrap_or(0)
}

fn text(field: &mut [u8], value: &[u8]) {
    let length = value.len().min(field.len());
    field[..length].copy_from_slice(&value[..length]);
}

/// Octal digits and a NUL where they fit; else GNU's base 256, whose first byte has the top bit set.
fn number(field: &mut [u8], value: i128) {
    let digits = field.len() - 1;
    let octal = format!("{value:0digits$o}");
    if value >= 0 && octal.len() == digits {
        field[..digits].copy_from_slice(octal.as_bytes());
        field[digits] = 0;
    } else {
        let bytes = value.to_be_bytes();
        field.copy_from_slice(&bytes[bytes.len() - field.len()..]);
        field[0] = if value < 0 { 0xff } else { 0x80 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(width: usize, value: i128) -> Vec<u8> {
        let mut field = vec![0; width];
        number(&mut field, value);
        field
    }

    #[test]
    fn numbers_are_octal_while_they_fit() {
        assert_eq!(written(8, 0o755), b"0000755\0");
        assert_eq!(written(8, 0o7_777_777), b"7777777\0");
        // The last size that fits is one byte below 8 GiB.
        assert_eq!(written(12, (8 << 30) - 1), b"77777777777\0");
    }

    #[test]
    fn numbers_that_do_not_fit_are_in_base_256() {
        assert_eq!(written(8, 0o10_000_000), b"\x80\0\0\0\0\x20\0\0");
        assert_eq!(written(12, 8 << 30), b"\x80\0\0\0\0\0\0\x02\0\0\0\0");
        assert_eq!(written(12, -1), b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff");
        assert_eq!(written(8, u32::MAX.into()), b"\x80\0\0\0\xff\xff\xff\xff");
    }

    #[test]
    fn data_is_padded_to_whole_blocks() {
        // Size and padding; the last one needs more than 32 bits.
        for (size, zeros) in
            [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511), ((1 << 40) + 1, 511)]
        {
            assert_eq!(padding(size, TAR_BLOCK), zeros, "{size}");
        }
    }
}
