// build: --edition 2021 --crate-type cdylib -C opt-level=s -C panic=abort -C strip=symbols -C lto=fat -C codegen-units=1
// The part of layer.c that writes in capitals, in Rust.
const EFAULT: u32 = 21;

mod guest {
    #[link(wasm_import_module = "wasivirt_plug")]
    extern "C" {
        pub fn read(from: u32, len: u32, to: *mut u8) -> u32;
        pub fn write(to: u32, from: *const u8, len: u32) -> u32;
    }
}

mod next {
    #[link(wasm_import_module = "wasivirt_next")]
    extern "C" {
        pub fn fd_write(fd: u32, iovs: u32, n: u32, nwritten: u32) -> u32;
    }
}

#[repr(C)]
pub struct Vector(*const u8, usize);

mod wasi {
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    extern "C" {
        pub fn fd_write(fd: u32, iovs: *const super::Vector, n: u32, nwritten: *mut u32) -> u32;
    }
}

/// # Safety
/// The host calls it, as fd_write of a guest.
#[export_name = "fd_write"]
pub unsafe extern "C" fn layer_fd_write(fd: u32, iovs: u32, n: u32, nwritten: u32) -> u32 {
    if fd != 1 || n == 0 {
        return next::fd_write(fd, iovs, n, nwritten);
    }
    let mut one = [0u8; 8];
    if guest::read(iovs, 8, one.as_mut_ptr()) != 0 {
        return EFAULT;
    }
    let field = |at: usize| u32::from_le_bytes(one[at..at + 4].try_into().unwrap());
    let mut text = vec![0u8; field(4).min(4096) as usize]; // the guest writes the rest again
    if guest::read(field(0), text.len() as u32, text.as_mut_ptr()) != 0 {
        return EFAULT;
    }
    text.make_ascii_uppercase();
    let mut written = 0u32;
    match wasi::fd_write(fd, &Vector(text.as_ptr(), text.len()), 1, &mut written) {
        0 => guest::write(nwritten, &written as *const u32 as *const u8, 4),
        errno => errno,
    }
}
