;; A library whose allocator returns nothing.
(module
  (import "env" "name" (func $name (result i64)))
  (memory (export "memory") 1)
  (func (export "malloc") (param i32))
  (func (export "free") (param i32))
  (func (export "run") (result i64) (call $name)))
