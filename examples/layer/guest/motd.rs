// build: --edition 2021 -C opt-level=s -C panic=abort -C strip=symbols -C lto=fat -C codegen-units=1
// The guest motd in Rust.
fn main() {
    print!("{}", std::fs::read_to_string("/etc/motd").expect("read /etc/motd"));
    println!("printed by a guest in Rust");
}
