//go:build !linux

package hostfs

func openDir(dir string, o options) (backend, error) { return openRooted(dir, o) }

func openFile(path string) (backend, error) { return openRootedFile(path) }
