//! One block of data to gzip members, by the block's bytes alone: neither threads nor the machine
//! have a say. Data that looks random is stored, all else goes through libdeflate.

use libdeflater::{CompressionLvl, Compressor};

/// Sizes of droplets at this level are those of `gzip -6` or below; higher ones cost more time
/// than they save (docs/packing.md).
const LEVEL: i32 = 6;
/// Data is judged in pages of this many bytes.
const PAGE: usize = 4096;
/// Fewer random pages in a row than these are not worth a member of their own.
const FEWEST_PAGES: usize = 16;
/// How much of random-looking data is searched for repetitions, less than the fewest pages.
const SAMPLE: usize = 16 * 1024;
/// A stored block of deflate holds no more.
const STORED: usize = 0xffff;

/// Deflate, no name, no time, made on Unix: what GNU tar's gzip writes.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];

/// Makes gzip members; one per thread.
pub(super) struct Gzip {
    compressor: Compressor,
    /// The fastest level, to see whether there is anything to gain.
    sampler: Compressor,
    sample: Vec<u8>,
}

impl Gzip {
    pub(super) fn new() -> Self {
        let of_level = |level| Compressor::new(CompressionLvl::new(level).unwrap_or_default());
        let mut sampler = of_level(1);
        let sample = vec![0; sampler.deflate_compress_bound(SAMPLE)];
        Self { compressor: of_level(LEVEL), sampler, sample }
    }

    /// Replaces what is in `out` by `data` as one or more gzip members.
    pub(super) fn compress(&mut self, data: &[u8], out: &mut Vec<u8>) {
        out.clear();
        let mut start = 0;
        let mut at = 0;
        while at < data.len() {
            let pages = data[at..].chunks_exact(PAGE).take_while(|page| looks_random(page)).count();
            let end = data.len().min(at + pages.max(1) * PAGE);
            if pages >= FEWEST_PAGES && !self.repeats(&data[at..end]) {
                self.deflated(&data[start..at], out);
                stored(&data[at..end], out);
                start = end;
            }
            at = end;
        }
        self.deflated(&data[start..], out);
    }

    /// Whether random-looking bytes compress all the same, because they come again.
    fn repeats(&mut self, data: &[u8]) -> bool {
        let deflated = self.sampler.deflate_compress(&data[..SAMPLE], &mut self.sample);
        deflated.is_ok_and(|size| size < SAMPLE - SAMPLE / 64)
    }

    fn deflated(&mut self, data: &[u8], out: &mut Vec<u8>) {
        if data.is_empty() {
            return;
        }
        out.extend_from_slice(&HEADER);
        let start = out.len();
        out.resize(start + self.compressor.deflate_compress_bound(data.len()), 0);
        if let Ok(size) = self.compressor.deflate_compress(data, &mut out[start..]) {
            out.truncate(start + size);
        } else {
            // Cannot be, by the bound; were it so, the data would still be whole.
            out.truncate(start);
            stored_blocks(data, out);
        }
        trailer(data, out);
    }
}

fn stored(data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&HEADER);
    stored_blocks(data, out);
    trailer(data, out);
}

fn stored_blocks(data: &[u8], out: &mut Vec<u8>) {
    let mut chunks = data.chunks(STORED).peekable();
    while let Some(chunk) = chunks.next() {
        let length = u16::try_from(chunk.len()).unwrap_or(u16::MAX);
        out.push(u8::from(chunks.peek().is_none()));
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&(!length).to_le_bytes());
        out.extend_from_slice(chunk);
    }
}

fn trailer(data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&libdeflater::crc32(data).to_le_bytes());
    // Blocks are far smaller than the 4 GiB at which this number wraps.
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
}

/// Whether the bytes are as evenly spread as random ones: the sum of the squares of their counts
/// is about n²/256 + n then, and half a percent to be gained by coding them adds another n.
fn looks_random(page: &[u8]) -> bool {
    let evenly_spread = |bytes: &[u8]| {
        // Two tables, so that runs of one byte do not wait for each other.
        let mut counts = [[0_u32; 256]; 2];
        for pair in bytes.chunks_exact(2) {
            counts[0][usize::from(pair[0])] += 1;
            counts[1][usize::from(pair[1])] += 1;
        }
        let [even, odd] = counts;
        let squares: usize =
            even.iter().zip(odd).map(|(a, b)| (a + b) as usize).map(|n| n * n).sum();
        let n = bytes.len();
        squares < n * n / 256 + 2 * n
    };
    // A few bytes tell text at once.
    evenly_spread(&page[..512]) && evenly_spread(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(count: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_be_bytes()[0]
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    /// The sizes of the members `data` becomes; each is checked to hold its part.
    fn members(data: &[u8]) -> Vec<usize> {
        let mut out = Vec::new();
        Gzip::new().compress(data, &mut out);
        let mut rest: &[u8] = &out;
        let (mut sizes, mut restored) = (Vec::new(), Vec::new());
        while !rest.is_empty() {
            assert_eq!(rest[..10], HEADER);
            let before = rest.len();
            let mut reader = flate2::bufread::GzDecoder::new(&mut rest);
            std::io::Read::read_to_end(&mut reader, &mut restored).unwrap();
            sizes.push(before - rest.len());
        }
        assert!(restored == data, "{} bytes differ", data.len());
        sizes
    }

    #[test]
    fn text_is_one_member() {
        let text = b"It was a dark and stormy night. ".repeat(10_000);
        let sizes = members(&text);
        assert!(sizes.len() == 1 && sizes[0] < text.len() / 50, "{sizes:?}");
    }

    #[test]
    fn random_bytes_are_stored() {
        // A member's 18 bytes, and 5 for each of the stored blocks.
        assert_eq!(members(&random(20 * PAGE)), [20 * PAGE + 18 + 2 * 5]);
    }

    #[test]
    fn random_bytes_between_text_are_stored_by_themselves() {
        let text = b"It was a dark and stormy night. ".repeat(1000);
        let data = [&text[..], &random(100 * PAGE), &text[..]].concat();
        let sizes = members(&data);
        assert_eq!(sizes.len(), 3, "{sizes:?}");
        // The pages at either end are part text, and go with it.
        assert_eq!(sizes[1], 99 * PAGE + 18 + 7 * 5);
    }

    #[test]
    fn few_random_pages_do_not_interrupt_a_member() {
        let text = b"It was a dark and stormy night. ".repeat(1024);
        assert_eq!(members(&[&text[..], &random(15 * PAGE), &text[..]].concat()).len(), 1);
    }

    #[test]
    fn random_bytes_that_repeat_are_deflated() {
        let data = random(PAGE).repeat(100);
        let sizes = members(&data);
        assert!(sizes.len() == 1 && sizes[0] < data.len() / 20, "{sizes:?}");
    }

    #[test]
    fn whatever_the_length_the_data_is_whole() {
        for length in [1, PAGE - 1, PAGE, PAGE + 1, 16 * PAGE, 16 * PAGE - 1, 16 * PAGE + 1] {
            members(&random(length));
            members(&vec![0; length]);
        }
    }
}
