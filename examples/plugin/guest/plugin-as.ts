// build: --target release --optimizeLevel 3 --runtime incremental --exportRuntime --use abort= --initialMemory 1 --maximumMemory 64

// The plugin in AssemblyScript. Strings and objects are the language's own; the collector frees them.

class Stats {
  words: u32 = 0;
  longest: string = "";
}

export function name(): string {
  return "AssemblyScript";
}

// A result that may be an error is packed: the object in the upper half, bit 31 for an error.
export function reverse(text: string): u64 {
  if (text.length == 0) return (<u64>changetype<usize>("nothing to reverse") << 32) | 0x80000000;
  return <u64>changetype<usize>(text.split("").reverse().join("")) << 32;
}

export function stats(text: string): Stats {
  const r = new Stats();
  const words = text.split(" ");
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    if (word.length > 0) r.words++;
    if (word.length > r.longest.length) r.longest = word;
  }
  return r;
}
