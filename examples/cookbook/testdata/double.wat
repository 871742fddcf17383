;; A reactor that calls a function of the embedder's.
(module
  (import "env" "double" (func $double (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "quadruple") (param i32) (result i32)
    (call $double (call $double (local.get 0)))))
