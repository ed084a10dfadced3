//! What only a browser can show.
#![cfg(target_arch = "wasm32")]
