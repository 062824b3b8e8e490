//! Memory for chunks of a stream that is used again once they are gone: large allocations of their
//! own cost two system calls and fresh pages from the kernel each, more than to move the bytes.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::sleep;

/// How large each of the two buffers is, in bytes: more than may wait of one channel's output.
const SIZE: usize = 256 << 10;
/// Less than this, in bytes, has memory of its own: it could hold a whole buffer else.
const SMALL: usize = 4 << 10;
/// After so long without use the buffers are given back.
const REST: Duration = Duration::from_secs(1);

/// Two buffers in turn, none at first: until the one is full, chunks of the other are gone, if
/// whoever takes them keeps up.
#[derive(Debug, Default)]
pub struct Buffers {
    current: BytesMut,
    former: BytesMut,
    is_used: bool,
}

impl Buffers {
    /// A buffer that is empty and has room for `least` bytes and often more.
    pub fn room(&mut self, least: usize) -> &mut BytesMut {
        self.is_used = true;
        let size = SIZE.max(least);
        if !self.current.try_reclaim(size) && self.current.capacity() < least {
            std::mem::swap(&mut self.current, &mut self.former);
            if !self.current.try_reclaim(size) {
                self.current = BytesMut::with_capacity(size);
            }
        }
        &mut self.current
    }

    /// What was put into the buffer that [`Self::room`] gave.
    pub fn take(&mut self) -> Bytes {
        if self.current.len() >= SMALL {
            return self.current.split().freeze();
        }
        let chunk = Bytes::copy_from_slice(&self.current);
        self.current.clear();
        chunk
    }

    /// A copy of `data`.
    pub fn copy(&mut self, data: &[u8]) -> Bytes {
        if data.len() < SMALL {
            return Bytes::copy_from_slice(data);
        }
        self.room(data.len()).extend_from_slice(data);
        self.take()
    }

    /// Gives the buffers back if they were not used since the last call.
    pub fn tick(&mut self) {
        if !std::mem::take(&mut self.is_used) {
            self.clear();
        }
    }

    /// Gives the buffers back after a while; never returns.
    pub async fn rest(&mut self) {
        if self.current.capacity() > 0 || self.former.capacity() > 0 {
            sleep(REST).await;
            self.clear();
        }
        std::future::pending::<()>().await;
    }

    fn clear(&mut self) {
        self.current = BytesMut::new();
        self.former = BytesMut::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_chunks_that_are_gone_is_used_again() {
        let mut buffers = Buffers::default();
        let chunk = buffers.copy(&[1; SMALL]);
        let place = chunk.as_ptr();
        drop(chunk);
        assert_eq!(buffers.copy(&[2; SMALL]).as_ptr(), place);
    }

    #[test]
    fn chunks_that_are_kept_stay_as_they_are() {
        let mut buffers = Buffers::default();
        let kept: Vec<_> = (0..200).map(|byte| buffers.copy(&[byte; 3 * SMALL])).collect();
        assert!(kept.iter().zip(0..).all(|(chunk, byte)| chunk[..] == [byte; 3 * SMALL]));
    }

    #[test]
    fn two_buffers_do_for_a_stream_whose_reader_keeps_up() {
        let mut buffers = Buffers::default();
        let mut waiting = std::collections::VecDeque::new();
        let data = vec![0; 8 * SMALL];
        let mut places = std::collections::HashSet::new();
        for _ in 0..1000 {
            let chunk = buffers.copy(&data);
            places.insert(chunk.as_ptr());
            waiting.push_back(chunk);
            if waiting.len() > 4 {
                waiting.pop_front();
            }
        }
        assert!(places.len() <= 2 * SIZE / (8 * SMALL), "{} places", places.len());
    }

    #[test]
    fn small_chunks_hold_no_buffer() {
        let mut buffers = Buffers::default();
        buffers.room(SMALL).extend_from_slice(b"few");
        let few = buffers.take();
        assert!(few.is_unique() && buffers.current.capacity() >= SIZE);
    }

    #[tokio::test(start_paused = true)]
    async fn buffers_at_rest_are_given_back() {
        let mut buffers = Buffers::default();
        drop(buffers.copy(&[0; SMALL]));
        buffers.tick();
        assert!(buffers.current.capacity() > 0);
        buffers.tick();
        assert_eq!(buffers.current.capacity(), 0);
        drop(buffers.copy(&[0; SMALL]));
        let _never = tokio::time::timeout(2 * REST, buffers.rest()).await;
        assert_eq!(buffers.current.capacity(), 0);
    }
}
