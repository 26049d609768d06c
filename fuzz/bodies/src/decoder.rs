//! Any bytes at all: frames, need-more or an error; never a panic, never more memory than what was received allows.

use msglib_proto::{Decoder, Limits, SendQueue, encode};

pub fn run(data: &[u8]) {
    let Some((first, mut input)) = data.split_first() else { return };
    let limits = Limits::default().with_max_payload(u32::from(*first) * 16);
    let mut decoder = Decoder::new(&limits);
    let all = input;
    let mut again = SendQueue::new();
    loop {
        let before = input.len();
        match decoder.decode(&mut input) {
            Ok(Some(frame)) => {
                assert!(input.len() < before, "a frame takes bytes");
                encode(&frame, &mut again).expect("what was decoded can be encoded");
                let taken = all.len() - input.len();
                assert_eq!(again.to_vec(), &all[..taken], "there is one encoding for each frame: {frame:?}");
                assert_eq!(decoder.offset(), taken as u64);
            }
            Ok(None) => {
                assert!(input.is_empty(), "need-more takes everything");
                assert!(decoder.buffered() <= 2 * all.len() + 4096, "{} bytes held", decoder.buffered());
                return;
            }
            Err(error) => {
                assert!(error.offset <= all.len() as u64, "{error} is beyond what was sent");
                assert_eq!(decoder.decode(&mut &all[..]), Err(error), "an error is terminal");
                assert_eq!(decoder.buffered(), 0);
                return;
            }
        }
        // Long inputs of tiny frames would make the comparison quadratic.
        if again.len() > 4096 {
            return;
        }
    }
}
