module github.com/wasivirt/wasivirt

go 1.26.0

require (
	github.com/google/go-cmp v0.7.0
	github.com/spf13/afero v1.15.0
	github.com/tetratelabs/wazero v1.12.0
	golang.org/x/sync v0.25.0
	golang.org/x/sys v0.49.0
)

require golang.org/x/text v0.28.0 // indirect
