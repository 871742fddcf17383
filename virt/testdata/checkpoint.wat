;; A command that warms up, asks for its snapshot, and then exits with what it computed and one more for its argument.
(module
  (import "wasivirt" "checkpoint" (func $checkpoint (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (table 1 funcref)
  (elem (i32.const 0) $serve)
  (func $serve (param i32)
    (call $exit (i32.add (i32.load (i32.const 16)) (local.get 0))))
  (func (export "_start")
    (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const 40)))
    (if (i32.eqz (call $checkpoint (i32.const 0) (i32.const 2)))
      (then (call $serve (i32.const 3))))))
