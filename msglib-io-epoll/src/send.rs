//! One vectored write that cannot raise a signal.

use socket2::SockRef;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;

/// The most slices that one call of the kernel takes (`UIO_MAXIOV`).
const MAX_SLICES: usize = 1024;

/// `writev` raises `SIGPIPE` in a host that does not ignore it; `sendmsg` with this flag fails with `BrokenPipe`.
/// The number is the same on every Linux.
const MSG_NOSIGNAL: i32 = 0x4000;

/// `bufs` without leading empty slices, split into what one call may be offered, at most [`MAX_SLICES`], and the rest.
///
/// Since leading empty slices are left out, nothing sent means that there was nothing to send.
pub(crate) fn split<'a, 'b>(bufs: &'a [IoSlice<'b>]) -> (&'a [IoSlice<'b>], &'a [IoSlice<'b>]) {
    let empty = bufs.iter().take_while(|buf| buf.is_empty()).count();
    let bufs = &bufs[empty..];
    bufs.split_at(bufs.len().min(MAX_SLICES))
}

/// Sends a prefix of `bufs`, of which there are at most [`MAX_SLICES`].
pub(crate) fn send(socket: &impl AsFd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let socket = SockRef::from(socket);
    match bufs {
        [] => Ok(0),
        [one] => socket.send_with_flags(one, MSG_NOSIGNAL),
        many => socket.send_vectored_with_flags(many, MSG_NOSIGNAL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_slices_are_skipped_and_the_number_is_bounded() {
        let mut bufs = vec![IoSlice::new(b""); 2000];
        assert_eq!(lengths(&bufs), (0, 0));
        bufs.push(IoSlice::new(b"x"));
        assert_eq!(lengths(&bufs), (1, 0));
        bufs.extend([IoSlice::new(b"y"); MAX_SLICES - 1]);
        assert_eq!(lengths(&bufs), (MAX_SLICES, 0));
        bufs.push(IoSlice::new(b"z"));
        assert_eq!(lengths(&bufs), (MAX_SLICES, 1));
    }

    fn lengths(bufs: &[IoSlice<'_>]) -> (usize, usize) {
        let (now, later) = split(bufs);
        (now.len(), later.len())
    }
}
