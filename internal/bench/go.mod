module github.com/wasivirt/wasivirt/internal/bench

go 1.26.0

replace github.com/wasivirt/wasivirt => ../..

require (
	github.com/spf13/afero v1.15.0
	github.com/stealthrocket/wasi-go v0.8.0
	github.com/tetratelabs/wazero v1.12.0
	github.com/wasivirt/wasivirt v0.0.0
)

require (
	github.com/stealthrocket/wazergo v0.19.1 // indirect
	golang.org/x/sync v0.25.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.28.0 // indirect
)
