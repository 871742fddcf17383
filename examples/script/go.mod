module github.com/wasivirt/wasivirt/examples/script

go 1.26.0

replace github.com/wasivirt/wasivirt => ../..

require (
	github.com/google/go-cmp v0.7.0
	github.com/wasivirt/wasivirt v0.0.0-00010101000000-000000000000
	go.starlark.net v0.0.0-20260908191801-89a6a09411d5
)

require (
	github.com/spf13/afero v1.15.0 // indirect
	github.com/tetratelabs/wazero v1.12.0 // indirect
	golang.org/x/sync v0.25.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.28.0 // indirect
)
