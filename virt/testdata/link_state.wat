;; A library with a table, globals and functions that use them.
(module
  (type $answer (func (result i32)))
  (table (export "table") 3 funcref)
  (global $count (export "count") (mut i32) (i32.const 0))
  (global (export "step") i32 (i32.const 5))
  (elem (i32.const 0) $seven)
  (func $seven (type $answer) (i32.const 7))
  (func (export "counted") (result i32) (global.get $count))
  (func (export "call") (param i32) (result i32) (call_indirect (type $answer) (local.get 0))))
