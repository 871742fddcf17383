// build: --edition 2021 --crate-type cdylib -C opt-level=s -C panic=abort -C strip=symbols -C lto=fat -C codegen-units=1
// The plugin in Rust. Its allocator has names of its own.
use std::alloc::{alloc, dealloc, Layout};

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size.max(1), 8).unwrap()
}

#[no_mangle]
pub extern "C" fn allocate(size: usize) -> *mut u8 {
    unsafe { alloc(layout(size)) }
}

/// # Safety
/// The block is one that allocate returned.
#[no_mangle]
pub unsafe extern "C" fn deallocate(ptr: *mut u8, size: usize) {
    dealloc(ptr, layout(size))
}

/// give copies bytes into a block that the host frees.
fn give(bytes: &[u8]) -> *mut u8 {
    let ptr = allocate(bytes.len());
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), ptr, bytes.len()) };
    ptr
}

fn pack(ptr: *const u8, len: usize) -> u64 {
    (ptr as u64) << 32 | len as u64
}

const ERROR: usize = 1 << 31;

#[no_mangle]
pub extern "C" fn name() -> u64 {
    pack(give(b"Rust"), 4)
}

/// # Safety
/// The host passes bytes of a string.
#[no_mangle]
pub unsafe extern "C" fn reverse(ptr: *const u8, len: usize) -> u64 {
    if len == 0 {
        let text = b"nothing to reverse";
        return pack(give(text), text.len() | ERROR);
    }
    let text = String::from_utf8_lossy(std::slice::from_raw_parts(ptr, len));
    let reversed: String = text.chars().rev().collect();
    pack(give(reversed.as_bytes()), reversed.len())
}

#[repr(C)]
struct Stats {
    words: u32,
    longest: *mut u8,
    len: usize,
}

/// # Safety
/// The host passes bytes of a string.
#[no_mangle]
pub unsafe extern "C" fn stats(ptr: *const u8, len: usize) -> u64 {
    let text = String::from_utf8_lossy(std::slice::from_raw_parts(ptr, len)).into_owned();
    let words = text.split_whitespace();
    let mut longest = "";
    for word in words.clone() {
        if word.len() > longest.len() {
            longest = word;
        }
    }
    let size = std::mem::size_of::<Stats>();
    let r = allocate(size) as *mut Stats;
    *r = Stats { words: words.count() as u32, longest: give(longest.as_bytes()), len: longest.len() };
    pack(r as *const u8, size)
}
