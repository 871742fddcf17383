// build: --edition 2021 --crate-type cdylib -C opt-level=s -C panic=abort -C strip=debuginfo -C lto=fat -C codegen-units=1
// The innermost of three modules. It says on its standard error what it was asked.
static mut IN: Vec<u8> = Vec::new();
static mut OUT: Vec<u8> = Vec::new(); // the last byte first

#[no_mangle]
pub unsafe extern "C" fn put(b: u32) {
    IN.push(b as u8)
}

#[inline(never)]
fn answer(text: &str) -> String {
    match text {
        "trap" => core::arch::wasm32::unreachable(),
        "loop" => loop {
            std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst)
        },
        _ => format!("rust({})", text),
    }
}

#[no_mangle]
pub unsafe extern "C" fn say() {
    let text = String::from_utf8_lossy(&std::mem::take(&mut IN)).into_owned();
    eprintln!("rust is asked {:?}", text);
    OUT = answer(&text).into_bytes();
    OUT.reverse()
}

#[no_mangle]
pub unsafe extern "C" fn take() -> i32 {
    OUT.pop().map_or(-1, i32::from)
}
