//! How much memory this isolate's WebAssembly has. It grows in pages and is never given back.

#[cfg(target_arch = "wasm32")]
const PAGE_BYTES: u64 = 65_536;

/// The size in bytes; 0 outside of WebAssembly.
#[must_use]
pub fn bytes() -> u64 {
    #[cfg(target_arch = "wasm32")]
    return u64::try_from(core::arch::wasm32::memory_size(0)).unwrap_or_default() * PAGE_BYTES;
    #[cfg(not(target_arch = "wasm32"))]
    return 0;
}
