// Parses and prints JSON, again and again: what most of the time of real programs goes into (strings, maps, allocation, recursion).
// Its argument is how many rounds.
use std::collections::BTreeMap;
use std::fmt::Write;

enum Value {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Value>),
    Map(BTreeMap<String, Value>),
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

type Parsed<T> = Result<T, String>;

impl Parser<'_> {
    fn space(&mut self) {
        while self.at < self.text.len() && self.text[self.at].is_ascii_whitespace() {
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Parsed<u8> {
        self.space();
        self.text.get(self.at).copied().ok_or_else(|| "the end".to_string())
    }

    fn expect(&mut self, b: u8) -> Parsed<()> {
        if self.peek()? != b {
            return Err(format!("want {} at {}", b as char, self.at));
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str, value: Value) -> Parsed<Value> {
        if !self.text[self.at..].starts_with(word.as_bytes()) {
            return Err(format!("want {} at {}", word, self.at));
        }
        self.at += word.len();
        Ok(value)
    }

    fn value(&mut self) -> Parsed<Value> {
        match self.peek()? {
            b'n' => self.word("null", Value::Null),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'"' => Ok(Value::Text(self.text()?)),
            b'[' => {
                let mut list = Vec::new();
                self.expect(b'[')?;
                while self.peek()? != b']' {
                    list.push(self.value()?);
                    if self.peek()? == b',' {
                        self.at += 1;
                    }
                }
                self.at += 1;
                Ok(Value::List(list))
            }
            b'{' => {
                let mut map = BTreeMap::new();
                self.expect(b'{')?;
                while self.peek()? != b'}' {
                    let key = self.text()?;
                    self.expect(b':')?;
                    map.insert(key, self.value()?);
                    if self.peek()? == b',' {
                        self.at += 1;
                    }
                }
                self.at += 1;
                Ok(Value::Map(map))
            }
            _ => self.number(),
        }
    }

    fn text(&mut self) -> Parsed<String> {
        self.expect(b'"')?;
        let mut out = String::new();
        loop {
            match self.text.get(self.at) {
                None => return Err("the end in a string".to_string()),
                Some(b'"') => break,
                Some(b'\\') => {
                    self.at += 1;
                    out.push(match self.text.get(self.at) {
                        Some(b'n') => '\n',
                        Some(b't') => '\t',
                        Some(&b) => b as char,
                        None => return Err("the end in a string".to_string()),
                    });
                }
                Some(&b) => out.push(b as char),
            }
            self.at += 1;
        }
        self.at += 1;
        Ok(out)
    }

    fn number(&mut self) -> Parsed<Value> {
        let from = self.at;
        while self.at < self.text.len() && matches!(self.text[self.at], b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E') {
            self.at += 1;
        }
        let text = std::str::from_utf8(&self.text[from..self.at]).map_err(|e| e.to_string())?;
        text.parse().map(Value::Number).map_err(|e| format!("{} at {}", e, from))
    }
}

fn print(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => write!(out, "{}", b).unwrap(),
        Value::Number(n) => write!(out, "{}", n).unwrap(),
        Value::Text(s) => write!(out, "{:?}", s).unwrap(),
        Value::List(list) => {
            out.push('[');
            for (i, v) in list.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                print(v, out);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (i, (k, v)) in map.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write!(out, "{:?}:", k).unwrap();
                print(v, out);
            }
            out.push('}');
        }
    }
}

fn main() {
    let rounds: usize = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(1);
    let mut text = String::from("[");
    for i in 0..100 {
        let comma = if i > 0 { "," } else { "" };
        write!(
            text,
            "{}{{\"id\": {}, \"name\": \"name \\\"{}\\\"\", \"tags\": [\"a\", \"b\", null], \"score\": {{\"x\": {}.5, \"y\": true}}}}",
            comma, i, i, i * i
        )
        .unwrap();
    }
    text.push(']');
    let mut sum = 0u32;
    for _ in 0..rounds {
        let value = Parser { text: text.as_bytes(), at: 0 }.value().unwrap();
        let mut out = String::new();
        print(&value, &mut out);
        for b in out.bytes() {
            sum = sum.wrapping_mul(31).wrapping_add(b as u32);
        }
    }
    println!("{:x}", sum);
}
