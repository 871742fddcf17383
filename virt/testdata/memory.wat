;; What tests of guests' memory call.
(module
  (memory (export "memory") 16)
  ;; malloc writes to all of the memory and never returns.
  (func (export "malloc") (param i32) (result i32) (local $i i32)
    (loop $again
      (local.set $i (i32.const 0))
      (loop $fill
        (i64.store (local.get $i) (i64.const 0x4141414141414141))
        (local.set $i (i32.add (local.get $i) (i32.const 64)))
        (br_if $fill (i32.lt_u (local.get $i) (i32.const 1048576))))
      (br $again))
    (i32.const 0))
  (func (export "free") (param i32))
  ;; scan tells what is in the memory, all bytes or'ed together.
  (func (export "scan") (result i64) (local $i i32) (local $o i64)
    (loop $each
      (local.set $o (i64.or (local.get $o) (i64.load (local.get $i))))
      (local.set $i (i32.add (local.get $i) (i32.const 8)))
      (br_if $each (i32.lt_u (local.get $i) (i32.const 1048576))))
    (local.get $o))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  ;; touch writes to each page of the machine from one address to another.
  (func (export "touch") (param $i i32) (param $end i32)
    (loop $each
      (i32.store (local.get $i) (i32.const 1))
      (local.set $i (i32.add (local.get $i) (i32.const 4096)))
      (br_if $each (i32.lt_u (local.get $i) (local.get $end))))))
