;; Calls functions of a table by their types until it exits with 3. The loop's calls reach only
;; $step; the table also holds $deep, of another type, which calls back into the table.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (type $light (func (param i32) (result i32)))
  (type $heavy (func (param i64) (result i64)))
  (table funcref (elem $step $deep))
  (func $step (type $light)
    (i32.add (local.get 0) (i32.const 1)))
  (func $deep (type $heavy)
    (if (result i64) (i64.eqz (local.get 0))
      (then (i64.const 0))
      (else (call_indirect (type $heavy) (i64.sub (local.get 0) (i64.const 1)) (i32.const 1)))))
  (func (export "_start") (local $i i32)
    (loop $again
      (local.set $i (call_indirect (type $light) (local.get $i) (i32.const 0)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 1000000))))
    (drop (call_indirect (type $heavy) (i64.const 1800) (i32.const 1)))
    (call $exit (i32.const 3))))
