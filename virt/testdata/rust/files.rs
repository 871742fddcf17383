// Rust's standard library: files, directories, environment, time, exit codes.
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

fn main() -> std::io::Result<()> {
    fs::create_dir_all("/a/b/c")?;
    let mut f = fs::OpenOptions::new().read(true).write(true).create_new(true).open("/a/b/c/file")?;
    f.write_all(b"hello from rust")?;
    f.seek(SeekFrom::Start(6))?;
    let mut s = String::new();
    f.read_to_string(&mut s)?;
    println!("{}", s);
    assert_eq!(f.metadata()?.len(), 15);
    f.set_len(5)?;
    assert_eq!(fs::read("/a/b/c/file")?, b"hello");
    fs::rename("/a/b/c/file", "/a/moved")?;
    fs::copy("/a/moved", "/a/copy")?;
    fs::hard_link("/a/copy", "/a/linked")?;
    let mut names: Vec<_> = fs::read_dir("/a")?.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    println!("{}", names.join(" "));
    fs::remove_dir_all("/a/b")?;
    println!("{:?}", fs::metadata("/a/b").unwrap_err().kind());
    let before = Instant::now();
    std::thread::sleep(Duration::from_millis(20));
    assert!(before.elapsed() >= Duration::from_millis(20));
    println!("{}", std::env::var("GREETING").unwrap_or_default());
    println!("{}", std::env::args().skip(1).collect::<Vec<_>>().join(","));
    std::process::exit(7)
}
