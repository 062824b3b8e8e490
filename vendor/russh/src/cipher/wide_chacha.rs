// piecrust: this file is not of the release.
//! chacha20-poly1305@openssh.com for CPUs with AVX-512, in two thirds of the time that ring takes: that has
//! ChaCha20 for AVX2 at most, and for Poly1305 no vectors at all. On other CPUs ring's ChaCha20 is the faster one.

use chacha20::ChaCha20Legacy;
use cipher::{Key, KeyIvInit, StreamCipher};
use poly1305::{Poly1305, universal_hash::KeyInit};
use subtle::ConstantTimeEq;

use super::PACKET_LENGTH_LEN;
use super::super::Error;

const TAG_LEN: usize = 16;
const KEY_LEN: usize = 32;
const BLOCK: usize = 64;

/// Both keys, for sealing or for opening.
pub(super) struct WideKey {
    content: Key<ChaCha20Legacy>,
    length: Key<ChaCha20Legacy>,
}

/// Whether this build and this CPU have it. The cfg is that of the crate `chacha20`.
pub(super) fn is_available() -> bool {
    #[cfg(all(target_arch = "x86_64", chacha20_avx512))]
    return std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("avx512vl");
    #[cfg(not(all(target_arch = "x86_64", chacha20_avx512)))]
    return false;
}

impl WideKey {
    /// Of the 64 bytes that the key exchange gives.
    pub(super) fn new(material: &[u8; 2 * KEY_LEN]) -> Self {
        let (keys, _) = material.as_chunks::<KEY_LEN>();
        #[allow(clippy::indexing_slicing)] // two by the type
        Self { content: keys[0].into(), length: keys[1].into() }
    }

    /// The key stream of a packet's content, and the key of its sum, which comes first.
    fn begin(&self, sequence_number: u32) -> (ChaCha20Legacy, Poly1305) {
        let mut stream = stream(&self.content, sequence_number);
        let mut first = [0; BLOCK];
        stream.apply_keystream(&mut first);
        let (keys, _) = first.as_chunks::<KEY_LEN>();
        #[allow(clippy::indexing_slicing)] // a block is two keys long
        (stream, Poly1305::new(&keys[0].into()))
    }
}

fn stream(key: &Key<ChaCha20Legacy>, sequence_number: u32) -> ChaCha20Legacy {
    ChaCha20Legacy::new(key, &u64::from(sequence_number).to_be_bytes().into())
}

impl super::OpeningKey for WideKey {
    fn decrypt_packet_length(&self, sequence_number: u32, encrypted: &[u8]) -> [u8; PACKET_LENGTH_LEN] {
        let mut length = [0; PACKET_LENGTH_LEN];
        length.copy_from_slice(encrypted);
        stream(&self.length, sequence_number).apply_keystream(&mut length);
        length
    }

    fn tag_len(&self) -> usize {
        TAG_LEN
    }

    fn open<'a>(&mut self, sequence_number: u32, packet: &'a mut [u8]) -> Result<&'a [u8], Error> {
        let sealed_len = packet.len().checked_sub(TAG_LEN).ok_or(Error::DecryptionError)?;
        let (sealed, tag) = packet.split_at_mut(sealed_len);
        let (mut stream, sum) = self.begin(sequence_number);
        if !bool::from(sum.compute_unpadded(sealed).as_slice().ct_eq(tag)) {
            return Err(Error::DecryptionError);
        }
        let content = sealed.get_mut(PACKET_LENGTH_LEN..).ok_or(Error::DecryptionError)?;
        stream.apply_keystream(content);
        Ok(content)
    }
}

impl super::SealingKey for WideKey {
    fn padding_length(&self, payload: &[u8]) -> usize {
        super::chacha20poly1305::padding_length(payload)
    }

    fn fill_padding(&self, padding: &mut [u8]) {
        padding.fill(0);
    }

    fn tag_len(&self) -> usize {
        TAG_LEN
    }

    fn seal(&mut self, sequence_number: u32, packet: &mut [u8], tag: &mut [u8]) {
        let (mut content, sum) = self.begin(sequence_number);
        let (length, rest) = packet.split_at_mut(PACKET_LENGTH_LEN);
        stream(&self.length, sequence_number).apply_keystream(length);
        content.apply_keystream(rest);
        tag.copy_from_slice(&sum.compute_unpadded(packet));
    }
}
