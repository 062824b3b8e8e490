// piecrust: this file is not of the release, whose counter mode takes three times as long.
//! Counter mode (RFC 4344) in batches of blocks, which the CPU's AES units work on side by side.

use aes::cipher::{
    Array, BlockCipherEncrypt, BlockSizeUser, Iv, IvSizeUser, Key, KeyInit, KeyIvInit, KeySizeUser,
    consts::U16,
};

use super::block::{BlockStreamCipher, PacketLengthProbe};

/// Blocks encrypted at once.
const BATCH: usize = 64;
const BLOCK: usize = 16;

/// A block cipher in counter mode. Packets are whole blocks, so none is kept in parts.
#[derive(Clone)]
pub struct CounterMode<C> {
    cipher: C,
    counter: u128,
}

impl<C: KeySizeUser> KeySizeUser for CounterMode<C> {
    type KeySize = C::KeySize;
}

impl<C> IvSizeUser for CounterMode<C> {
    type IvSize = U16;
}

impl<C: KeyInit> KeyIvInit for CounterMode<C> {
    fn new(key: &Key<Self>, iv: &Iv<Self>) -> Self {
        Self {
            cipher: C::new(key),
            counter: u128::from_be_bytes((*iv).into()),
        }
    }
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>> CounterMode<C> {
    fn apply(&mut self, data: &mut [u8]) {
        let mut stream = [0; BATCH * BLOCK];
        for batch in data.chunks_mut(BATCH * BLOCK) {
            #[allow(clippy::indexing_slicing)] // a batch is no longer than the stream
            let stream = &mut stream[..batch.len().next_multiple_of(BLOCK)];
            for block in stream.as_chunks_mut::<BLOCK>().0 {
                *block = self.counter.to_be_bytes();
                self.counter = self.counter.wrapping_add(1);
            }
            self.cipher.encrypt_blocks(Array::slice_as_chunks_mut(stream).0);
            // By blocks: byte by byte, as it is without a vectoriser, takes longer than the encryption.
            let (blocks, rest) = batch.as_chunks_mut::<BLOCK>();
            let mut keys = stream.as_chunks::<BLOCK>().0.iter();
            for (block, key) in blocks.iter_mut().zip(keys.by_ref()) {
                *block = (u128::from_ne_bytes(*block) ^ u128::from_ne_bytes(*key)).to_ne_bytes();
            }
            for (byte, key) in rest.iter_mut().zip(keys.flatten()) {
                *byte ^= *key;
            }
        }
    }
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>> BlockStreamCipher for CounterMode<C> {
    fn encrypt_data(&mut self, data: &mut [u8]) {
        self.apply(data);
    }

    fn decrypt_data(&mut self, data: &mut [u8]) {
        self.apply(data);
    }
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Clone> PacketLengthProbe for CounterMode<C> {
    fn decrypt_packet_length_block(&self, first_block: &mut [u8; BLOCK]) {
        // The whole cipher is not copied for a block.
        let mut block = Array::from(self.counter.to_be_bytes());
        self.cipher.encrypt_block(&mut block);
        for (byte, key) in first_block.iter_mut().zip(&block) {
            *byte ^= key;
        }
    }
}
