package hostfs

func openDir(dir string, o options) (backend, error) { return openHeld(dir, o) }

func openFile(path string) (backend, error) { return openHeldFile(path) }
