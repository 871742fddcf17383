;; Writes the bits of NaNs: 0/0 as f64, f32, f64x2 and f32x4.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 128) "\00\00\00\00\30\00\00\00")
  (func (export "_start") (local $f64 f64) (local $f32 f32) (local $v v128)
    (f64.store (i32.const 0) (f64.div (local.get $f64) (local.get $f64)))
    (f32.store (i32.const 8) (f32.div (local.get $f32) (local.get $f32)))
    (v128.store (i32.const 16) (f64x2.div (local.get $v) (local.get $v)))
    (v128.store (i32.const 32) (f32x4.div (local.get $v) (local.get $v)))
    (drop (call $fd_write (i32.const 1) (i32.const 128) (i32.const 1) (i32.const 140)))))
