//! The broker of msglib, as a library.
