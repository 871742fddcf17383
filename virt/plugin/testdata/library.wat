;; A library whose allocator is another than its guest's. Its function run calls the host's function
;; name, which returns a string.
(module
  (import "env" "name" (func $name (result i64)))
  (memory (export "memory") 1)
  (global $size (mut i32) (i32.const 0))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.set $size (local.get 3))
    (i32.const 2048))
  (func (export "name"))
  ;; the string's first byte, and how much was allocated for it
  (func (export "run") (result i64)
    (i64.or
      (i64.shl (i64.load8_u (i32.wrap_i64 (i64.shr_u (call $name) (i64.const 32)))) (i64.const 32))
      (i64.extend_i32_u (global.get $size)))))
