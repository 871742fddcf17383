//go:build !linux

package hostfs

var backends = map[string]func(string, options) (backend, error){
	"root": openRooted,
}

var fileBackends = map[string]func(string) (backend, error){
	"root": openRootedFile,
}
