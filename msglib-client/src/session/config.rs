//! What a client says of itself in its `HELLO`.

use core::fmt;
use msglib_proto::{Feature, Hello, Limits, VERSION};

/// What a client says of itself (PROTOCOL §4.1).
///
/// ```
/// use msglib_client::SessionConfig;
///
/// let config = SessionConfig { name: "billing".into(), ..SessionConfig::default() };
/// assert_eq!(config.max_payload, 16 * 1024 * 1024);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// What the client calls itself, for the broker's logs; at most 255 bytes. Default: empty.
    pub name: String,
    /// The largest payload that the client takes, in bytes. Default 16 MiB.
    pub max_payload: u32,
    /// After how many milliseconds without a byte the client gives the connection up; 0, the default, for never. The
    /// session reads no clock: this is what the broker is told, the read time-out of the stream is what acts on it.
    pub idle_ms: u32,
    /// Feature bits that the client has (PROTOCOL §12.1). Default: all those of PROTOCOL §14.1.
    pub features: u64,
    /// How the client proves who it is; at most 255 bytes. Default: empty, for not at all.
    pub mechanism: String,
    /// The proof. The whole `HELLO` has at most 16,384 bytes.
    pub credentials: Vec<u8>,
}

impl SessionConfig {
    pub(super) fn hello(&self) -> Hello<'_> {
        Hello {
            min_version: VERSION,
            max_version: VERSION,
            features: self.features,
            max_payload: self.max_payload,
            idle_ms: self.idle_ms,
            name: &self.name,
            mechanism: &self.mechanism,
            credentials: &self.credentials,
        }
    }
}

impl Default for SessionConfig {
    fn default() -> SessionConfig {
        SessionConfig {
            name: String::new(),
            max_payload: Limits::default().max_payload,
            idle_ms: 0,
            features: Feature::all_bits(),
            mechanism: String::new(),
            credentials: Vec::new(),
        }
    }
}

/// Without the credentials: configurations end up in logs.
impl fmt::Debug for SessionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionConfig")
            .field("name", &self.name)
            .field("max_payload", &self.max_payload)
            .field("idle_ms", &self.idle_ms)
            .field("features", &self.features)
            .field("mechanism", &self.mechanism)
            .field("credentials", &format_args!("({} bytes)", self.credentials.len()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_shown() {
        let config = SessionConfig { credentials: b"hunter2".to_vec(), ..SessionConfig::default() };
        let shown = format!("{config:?}");
        assert!(shown.contains("(7 bytes)") && !shown.contains("hunter2"), "{shown}");
    }
}
