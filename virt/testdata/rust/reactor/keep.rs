// A reactor that keeps state in its memory, on the heap, in open files and in the directory.
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Mutex;

struct State {
    total: u32,
    notes: BTreeMap<u32, Vec<u8>>,
    files: [Option<File>; 4],
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

impl State {
    fn mix(&mut self, v: u32) {
        self.total = self.total.wrapping_mul(31).wrapping_add(v);
    }

    fn digest(&mut self) -> u32 {
        let mut sum = self.total;
        for (k, note) in &self.notes {
            sum = sum.wrapping_mul(31).wrapping_add(*k);
            for b in note {
                sum = sum.wrapping_mul(31).wrapping_add(*b as u32);
            }
        }
        let mut names: Vec<_> = fs::read_dir("/tmp").unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        for b in names.concat().bytes() {
            sum = sum.wrapping_mul(31).wrapping_add(b as u32);
        }
        sum
    }
}

fn path(n: u32) -> String {
    format!("/tmp/{}", n % 6)
}

/// step does what op says with a and b, and answers a number that depends on what was found.
#[no_mangle]
pub extern "C" fn step(op: u32, a: u32, b: u32) -> u32 {
    let mut state = STATE.lock().unwrap();
    let s = state.get_or_insert_with(|| State { total: 7, notes: BTreeMap::new(), files: [None, None, None, None] });
    let file = (a % 4) as usize;
    match op % 7 {
        0 => s.mix(a),
        1 => {
            s.notes.insert(a % 50, (0..b % 5000).map(|i| i.wrapping_mul(b) as u8).collect());
        }
        2 => {
            s.notes.remove(&(a % 50));
        }
        3 => s.files[file] = OpenOptions::new().read(true).write(true).create(true).open(path(b)).ok(),
        4 => {
            let text = format!("{} {}", s.total, b);
            if let Some(f) = &mut s.files[file] {
                let n = f.write(text.as_bytes()).unwrap_or(99);
                s.mix(n as u32);
            }
        }
        5 => {
            let mut buf = [0; 16];
            if let Some(f) = &mut s.files[file] {
                let n = f.read(&mut buf[..(b % 16) as usize]).unwrap_or(0);
                let at = f.seek(SeekFrom::Start((b % 40) as u64)).unwrap_or(99);
                for c in &buf[..n] {
                    s.mix(*c as u32);
                }
                s.mix(at as u32);
            }
        }
        _ => {
            let done = if b % 3 == 0 { fs::remove_file(path(b)) } else { fs::rename(path(a), path(b)) };
            s.mix(done.is_ok() as u32);
        }
    }
    s.digest()
}
