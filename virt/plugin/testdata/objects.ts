// build: --target release --optimizeLevel 3 --runtime incremental --exportRuntime --use abort= --initialMemory 1 --maximumMemory 64

// A plugin with AssemblyScript's objects and collector.

class Point {
  constructor(public x: f64, public y: f64, public label: string) {}
}

export function upper(s: string): u64 {
  if (s.length == 0) return error("nothing to do");
  return <u64>changetype<usize>(capitals(s)) << 32;
}

// A packed result with bit 31 is an error, whose text is the object.
function error(message: string): u64 {
  return (<u64>changetype<usize>(message) << 32) | 0x80000000;
}

export function capitals(s: string): string {
  const b = new ArrayBuffer(s.length << 1);
  for (let i = 0; i < s.length; i++) {
    const c = s.charCodeAt(i);
    store<u16>(changetype<usize>(b) + (<usize>i << 1), c >= 97 && c <= 122 ? c - 32 : c);
  }
  return String.UTF16.decode(b);
}

export function join(a: string, b: string): string {
  return a + b;
}

export function reverse(b: ArrayBuffer): ArrayBuffer {
  return Uint8Array.wrap(b.slice(0)).reverse().buffer;
}

export function scale(x: f64, y: f64, label: string, by: f32): Point {
  return new Point(x * by, y * by, label + "!");
}

@external("env", "lookup")
declare function lookup(key: string): string;

export function ask(key: string): string {
  return lookup(key);
}

export function hostile(ptr: usize): usize {
  return ptr;
}
