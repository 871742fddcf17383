package hostfs

var backends = map[string]func(string, options) (backend, error){
	"openat": openHeld,
	"root":   openRooted,
}

var fileBackends = map[string]func(string) (backend, error){
	"openat": openHeldFile,
	"root":   openRootedFile,
}
