;; A guest with an allocator. Its function run calls the library's.
(module
  (import "library" "run" (func $run (result i64)))
  (memory (export "memory") 1025)
  (func (export "run") (result i64) (call $run))
  (func (export "name") (result i64) (i64.const 0))
  (func (export "malloc") (param i32) (result i32) (i32.const 1024))
  (func (export "free") (param i32))
  ;; pointer 0, and a length of 64 MiB
  (func (export "large") (result i64) (i64.const 0x4000000)))
