module github.com/wasivirt/wasivirt/internal/bench

go 1.26.0

replace github.com/wasivirt/wasivirt => ../..

require (
	github.com/bytecodealliance/wasmtime-go/v37 v37.0.0
	github.com/extism/go-pdk v1.1.3
	github.com/extism/go-sdk v1.7.1
	github.com/knqyf263/go-plugin v0.9.0
	github.com/samyfodil/wazy v0.8.0
	github.com/spf13/afero v1.15.0
	github.com/stealthrocket/wasi-go v0.8.0
	github.com/tetratelabs/wazero v1.12.0
	github.com/wasivirt/wasivirt v0.0.0
	golang.org/x/sys v0.49.0
)

require (
	github.com/dylibso/observe-sdk/go v0.0.0-20240819160327-2d926c5d788a // indirect

	github.com/gobwas/glob v0.2.3 // indirect
	github.com/ianlancetaylor/demangle v0.0.0-20240805132620-81f5be970eca // indirect
	github.com/stealthrocket/wazergo v0.19.1 // indirect
	github.com/tetratelabs/wabin v0.0.0-20230304001439-f6f874872834 // indirect
	go.opentelemetry.io/proto/otlp v1.3.1 // indirect
	golang.org/x/sync v0.25.0 // indirect
	golang.org/x/text v0.28.0 // indirect
	google.golang.org/protobuf v1.34.2 // indirect
)
