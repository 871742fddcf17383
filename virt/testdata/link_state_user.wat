;; A module that shares the table and the globals of the library "env".
(module
  (type $answer (func (result i32)))
  (import "env" "table" (table 3 funcref))
  (import "env" "count" (global $count (mut i32)))
  (import "env" "step" (global $step i32))
  (import "env" "counted" (func $counted (result i32)))
  (import "env" "call" (func $call (param i32) (result i32)))
  (elem (i32.const 1) $own)
  (func $own (type $answer) (global.get $step))
  (func (export "add") (result i32) (global.set $count (i32.add (global.get $count) (global.get $step))) (call $counted))
  (func (export "call") (param i32) (result i32) (call_indirect (type $answer) (local.get 0)))
  (func (export "call_there") (param i32) (result i32) (call $call (local.get 0))))
